"""What carries messages, and what hears them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from ..framing import Framing
from ..handshake import Handshake
from ..limits import Overflow
from ..messages import Close, ControlFrame, Message, Sent, Wire
from ..timers import Timers

__all__ = ["NOBODY", "Connection", "Receiver", "Runtime"]


class Runtime(ABC):
    """What a running server lends to its parts."""

    timers: Timers

    @abstractmethod
    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``await function(*args)`` beside all else, until it ends or the server stops.

        May be called from any callback of the event loop. An exception out of the function is
        logged and goes no further. When the server stops, the task is cancelled as by a scope of
        anyio around it: it has begun by then, and what it shields comes to its end.
        """

    def spawn_light(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """As `spawn`, in a third of the time on asyncio, where the cancellation at the end then
        heeds no shields: for what is spawned for single messages.
        """
        self.spawn(function, *args)


class Receiver(ABC):
    """Where a connection pushes what arrives."""

    __slots__ = ()

    @abstractmethod
    def on_message(self, message: Message) -> None:
        """One whole message, in order. Never raises."""

    @abstractmethod
    def on_close(self, close: Close) -> None:
        """The connection has ended: once, after the last message. Never raises."""

    def on_interrupt(self, close: Close) -> None:  # noqa: B027 - for clients only
        """The connection broke and is being made anew: of what was sent, some may be lost, and
        what was asked is not answered any more. Comes from a client that reconnects, and on a
        server where the dialect lets its clients come back.
        """

    def on_resume(self) -> None:  # noqa: B027 - for clients only
        """The connection is there again. A client's server knows nothing of before; what the client
        sends during this call goes ahead of all that waits.
        """

    def judge(self, close: Close) -> Close:
        """What it means that a client's connection ended so: whether to come back. By default what
        the close itself says; a dialect may have been told more.
        """
        return close


class _Nobody(Receiver):
    """Hears for a connection until it is let in."""

    __slots__ = ()

    def on_message(self, message: Message) -> None: ...

    def on_close(self, close: Close) -> None: ...


NOBODY: Receiver = _Nobody()


class Connection(ABC):
    """A session's message pipe: long-lived, ordered, whatever carries it.

    Adapters and protocols derive from `unisock.connection.BufferedConnection`, which has the
    bounded outbox; a channel, a connection made from a connection, derives from this class.

    :ivar handshake: the request that opened it
    :ivar framing: how its messages are put on the wire; it may change when the transport does
    :ivar receiver: where messages go
    :ivar closed: how it ended; `None` while it lives
    """

    __slots__ = ("_holds", "closed", "framing", "handshake", "receiver")

    framing: Framing

    def __init__(self, handshake: Handshake, framing: Framing) -> None:
        self.handshake = handshake
        self.framing = framing
        self.receiver: Receiver = NOBODY
        self.closed: Close | None = None
        self._holds = 0

    @property
    def latency(self) -> float | None:
        """The last measured round trip in seconds; `None` before the first."""
        return None

    @property
    def user(self) -> Any:
        """What the ``authorize`` handler returned; `None` without one."""
        return self.handshake.user

    @property
    def id(self) -> str:
        """The id by which the peer knows the session, for its spark to take over; or ``""``."""
        return ""

    @property
    def channel(self) -> str:
        """The name of the channel that it is; ``""`` for a connection of its own."""
        return ""

    @property
    def closing(self) -> Close | None:
        """How it ends or has ended: there from the first call of `close` or `fail` on."""
        return self.closed

    @property
    def agreed(self) -> bool:
        """Whether the peer has answered this side's close: then it has read all that was sent."""
        return False

    def attach(self, receiver: Receiver) -> None:
        """Deliver to this receiver from now on, at once if the connection is closed already."""
        if self.closed is None:
            self.receiver = receiver
        else:
            receiver.on_close(self.closed)

    def write(self, wire: Wire, overflow: Overflow | None = None) -> Sent:
        """Send a message, or several that belong together, without waiting.

        :raises EncodeError: the session cannot carry it
        """
        return self.put(self.framing.frames(wire), overflow)

    @abstractmethod
    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        """Send what `framing` made of a wire, all of it or nothing, without waiting.

        :param overflow: what to do when the outbox is full; the endpoint's policy unless given.
            With `Overflow.WAIT` the frame is not taken and not counted as dropped: `drain`, and
            try again.
        """

    @abstractmethod
    async def drain(self) -> None:
        """Wait until the outbox is empty and the driver takes more.

        :raises ConnectionClosed: the connection ended, or ends meanwhile
        """

    @abstractmethod
    def close(self, close: Close) -> None:
        """Start to close: what was sent before goes first. Does nothing the second time.

        The end comes through `Receiver.on_close`, within ``limits.close_seconds``.
        """

    @abstractmethod
    def fail(self, close: Close) -> None:
        """Cut the connection at once; it ends with ``close``."""

    def probe(self, answered: Callable[[], None]) -> bool:
        """Find out when the peer has read all that was sent up to now, and call ``answered`` then.

        :returns: `False` if that cannot be found out, or not at this moment
        """
        return False

    def control(self, kind: Literal["ping", "pong"], payload: bytes = b"") -> bool:
        """Send a ping or a pong of one's own, past all that waits: to try a peer by hand.

        :param payload: at most 125 bytes (RFC 6455 section 5.5)
        :returns: `False` if this session has no such frames, or not at this moment
        :raises ValueError: the payload is too long
        """
        return False

    def overhear(self, tell: Callable[[ControlFrame], None] | None) -> bool:
        """Call ``tell`` for each ping and pong, in either direction; `None` ends that. It must not
        raise.

        :returns: `False` if this session has no such frames
        """
        return False

    @abstractmethod
    async def wait_closed(self) -> None:
        """Wait for the end."""

    def watch(self) -> None:  # noqa: B027 - not every connection has a heartbeat
        """Begin to watch for silence. The gate calls it when it has let the connection in."""

    @property
    def held(self) -> bool:
        """Whether somebody has stopped it with `hold`: then no answer of the peer's is heard."""
        return self._holds > 0

    def hold(self) -> None:
        """Deliver no message until `release` was called as often."""
        self._holds += 1
        if self._holds == 1:
            self.pause_reading()

    def release(self) -> None:
        """Take one `hold` back; without one, do nothing."""
        if self._holds:
            self._holds -= 1
            if not self._holds:
                self.resume_reading()

    @abstractmethod
    def pause_reading(self) -> None:
        """Deliver no message after this call until `resume_reading`; let the peer feel it.

        Who wants to stop a connection calls `hold`: several may.
        """

    @abstractmethod
    def resume_reading(self) -> None:
        """Deliver again, beginning with what was held back."""
