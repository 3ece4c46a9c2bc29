"""A session over HTTP: one connection of the core's, carried by one response after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence

import anyio

from unisock.abc import Gate
from unisock.connection import LOST, BufferedConnection
from unisock.errors import LimitExceeded
from unisock.handshake import Handshake
from unisock.messages import Close, Message, Origin
from unisock.timers import Timer

from .owner import Owner
from .packets import INTERRUPTED, QUOTED, disconnect

__all__ = ["Carrier", "HttpSession", "too_long"]

SLICE = 64
"""Messages of one POST that are delivered before others have their turn."""
POSTS_WAITING = 8
"""POSTs of one session that wait while one is being read."""

_LEFT = Close(1005, "the client ended its request", origin=Origin.PEER)
_ABSENT = Close(1006, "the client did not come back", origin=Origin.LOST)


def too_long(message: str, most: int) -> bool:
    """Whether a message has more bytes of UTF-8 than are allowed."""
    size = len(message)
    return size > most or (size * 4 > most and len(message.encode()) > most)


class Carrier(ABC):
    """A response that carries a session for a while. None of its methods raises.

    :cvar transport: the name of the transport
    """

    __slots__ = ()

    transport: str

    @abstractmethod
    def gather(self) -> None:
        """Several messages follow: put them into one packet, until `flush`."""

    @abstractmethod
    def flush(self) -> None:
        """Send what was gathered."""

    @abstractmethod
    def take(self, quoted: bytes) -> None:
        """Send a message."""

    @abstractmethod
    def part(self, packet: bytes) -> bool:
        """Send the last packet of the session and end, unless something else is on its way."""

    @abstractmethod
    def beat(self) -> None:
        """Send a heartbeat, unless something else is on its way."""

    @abstractmethod
    def cut(self) -> None:
        """End without a word."""


class HttpSession(BufferedConnection):
    """The server's end.

    While no response is there to write to, or it takes no more, the session is congested, and what
    is sent waits in the outbox.

    :param key: what the client calls it
    :param heartbeat: seconds after which something is sent, if nothing else was; 0 for never
    :param delay: seconds to wait for the client's next request
    :param forget: called when it has ended, with the packet for clients that come back all the same
    :ivar owner: who opened it
    :ivar carrier: the response that is there, or on its way
    """

    __slots__ = (
        "_absent_since",
        "_delay",
        "_farewell",
        "_forget",
        "_goodbye",
        "_inbox",
        "_interval",
        "_look_at",
        "_parting",
        "_paused",
        "_posts",
        "_spoke",
        "_timer",
        "_told",
        "carrier",
        "key",
        "owner",
    )

    def __init__(
        self,
        gate: Gate,
        handshake: Handshake,
        owner: Owner,
        key: str,
        *,
        heartbeat: float,
        delay: float,
        forget: Callable[[HttpSession, bytes | None], None],
    ) -> None:
        super().__init__(gate, handshake, QUOTED)
        self.key = key
        self.owner = owner
        self.carrier: Carrier | None = None
        self._interval = heartbeat
        self._delay = delay
        self._forget = forget
        self._spoke = True
        self._goodbye: Close | None = None
        self._farewell: bytes | None = None
        self._inbox: deque[str] = deque()
        self._paused = False
        self._told: anyio.Event | None = None
        self._posts: deque[anyio.Event] | None = None
        self._timer: Timer | None = None
        self._look_at = 0.0
        self._absent_since = gate.runtime.timers.now
        self.congested()

    # Responses.

    def reserve(self, carrier: Carrier) -> None:
        """No other response may carry the session from now on."""
        self.carrier = carrier

    def begin(self, carrier: Carrier) -> None:
        """Write to this response, which was reserved, beginning with all that waits."""
        if self.closed is not None:  # meanwhile
            carrier.part(self._farewell or INTERRUPTED)
            return
        if self.carrier is not carrier:  # it is whole already
            return
        self.handshake.transport = carrier.transport
        if self._goodbye is not None:
            self.shut(self._goodbye)
            return
        self.relieved()
        if self._interval and self.carrier is carrier:
            self._look_by(self._now + self._interval / 2)

    def relieved(self) -> None:
        carrier = self.carrier
        if carrier is not None:
            carrier.gather()
            super().relieved()
            carrier.flush()

    def parted(self, carrier: Carrier) -> None:
        """This response is whole: the client has to send its next request."""
        if self.carrier is carrier:
            self.carrier = None
            self.congested()
            if self.closed is None:
                self._absent_since = self._now
                self._look_by(self._absent_since + self._delay)

    def interrupted(self, carrier: Carrier) -> None:
        """The client has dropped its request: that is its way to close the session."""
        if self.carrier is carrier:
            self.carrier = None
            self._farewell = INTERRUPTED
            self.ended(_LEFT)

    def expect(self) -> None:
        """Wait for the client's next request."""
        if self.closed is None and self.carrier is None:
            self._look_by(self._now + self._delay)

    # For the core.

    def transmit(self, frame: Message) -> None:
        assert isinstance(frame, bytes)
        assert self.carrier is not None
        self._spoke = True
        self.carrier.take(frame)

    def shut(self, close: Close) -> None:
        self._goodbye = close
        self._farewell = disconnect(close)
        carrier = self.carrier
        if carrier is None:
            return
        carrier.flush()
        if self.carrier is carrier and carrier.part(self._farewell):
            self.carrier = None
            self.ended(close)

    def abort(self) -> None:
        close = self.closing or LOST
        if self._farewell is None and Close.sendable(close.code):
            self._farewell = disconnect(close)
        carrier, self.carrier = self.carrier, None
        if carrier is not None:
            carrier.cut()
        self.ended(close)

    def ended(self, close: Close) -> None:
        if self.closed is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        super().ended(close)
        self._paused = False
        self._inbox.clear()
        self._tell()
        self._forget(self, self._farewell)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._deliver(len(self._inbox))

    # What the client sends.

    @property
    def reading(self) -> bool:
        """Whether a POST is being read, or waits for the application."""
        return self._posts is not None or bool(self._inbox)

    async def turn(self) -> None:
        """Wait until no other POST is being read.

        :raises LimitExceeded: too many wait already
        """
        if self._posts is None:
            self._posts = deque()
            return
        if len(self._posts) >= POSTS_WAITING:
            raise LimitExceeded("posts waiting", POSTS_WAITING, code=429)
        mine = anyio.Event()
        self._posts.append(mine)
        try:
            await mine.wait()
        except BaseException:
            if mine.is_set():
                self.next_turn()
            else:
                self._posts.remove(mine)
            raise

    def next_turn(self) -> None:
        """Let the next POST be read."""
        if self._posts:
            self._posts.popleft().set()
        else:
            self._posts = None

    def take_in(self, messages: list[str]) -> bool:
        """Deliver what came in one POST, while none is being read. If the application does not take
        all of it at once, it is that POST's turn, and `posted` waits for the rest.
        """
        self._inbox.extend(messages)
        self._deliver(SLICE)
        if self._inbox:
            self._posts = deque()
            return False
        return True

    async def posted(self, messages: Sequence[str] = ()) -> None:
        """Deliver what came in one POST, and wait until the application has taken it.

        If the client drops the POST meanwhile, the rest is delivered all the same.
        """
        await self._taken()  # all of a POST that was dropped
        self._inbox.extend(messages)
        try:
            await self._taken()
        finally:
            self._deliver(len(self._inbox))

    async def _taken(self) -> None:
        while self._inbox:
            self._deliver(SLICE)
            if self._paused and self._inbox:
                self._told = self._told or anyio.Event()
                await self._told.wait()
            elif self._inbox:
                await anyio.lowlevel.checkpoint()

    def _deliver(self, most: int) -> None:
        limit, inbox = self.gate.limits.message_bytes, self._inbox
        while inbox and most > 0 and not self._paused:
            if self.closing is not None:
                inbox.clear()
                break
            message = inbox.popleft()
            most -= 1
            if too_long(message, limit):
                self.close(Close(1009, f"over the limit message_bytes = {limit}"))
            else:
                self.receiver.on_message(message)
        if not inbox:
            self._tell()

    def _tell(self) -> None:
        """Wake the POST that waits for the application."""
        told, self._told = self._told, None
        if told is not None:
            told.set()

    # Time.

    @property
    def _now(self) -> float:
        return self.gate.runtime.timers.now

    def _look_by(self, when: float) -> None:
        """Have `_look` called by this time."""
        if self._timer is not None:
            if self._look_at <= when:
                return
            self._timer.cancel()
        self._look_at = when
        self._timer = self.gate.runtime.timers.call_later(when - self._now, self._look)

    def _look(self) -> None:
        """See whether the client is absent for too long, or has heard nothing for too long."""
        self._timer = None
        if self.closed is not None:
            return
        if self.carrier is None:
            left = self._absent_since + self._delay - self._now
            if left <= 0:
                self.ended(_ABSENT)
            else:
                self._look_by(self._now + left)
        elif self._interval:
            if not self._spoke:
                self.carrier.beat()
            # A proxy closes what is silent, so silence is what counts.
            self._spoke = not self._spoke
            self._look_by(self._now + self._interval / 2)
