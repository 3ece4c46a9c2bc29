"""Where clients come before the application, and the channels that a connection splits into."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import anyio

from ..errors import HandshakeRejected
from ..framing import TEXT_AND_BINARY, Framing
from ..limits import Limits, Overflow
from ..messages import Close, Origin, Packet, Sent, Wire, printable
from .connection import NOBODY, Connection, Runtime
from .encoder import Encoder, Opener, Party

__all__ = ["Channel", "Stage"]


class Stage(ABC):
    """Where a dialect brings clients before the application: one for each endpoint, and one for
    each kind of channel there.

    :ivar packets: the kinds of packet that some plugin consumes
    :ivar has_channels: whether some plugin serves channels
    :ivar is_client: whether this side has made the connection
    """

    packets: frozenset[type[Packet]]
    has_channels: bool
    is_client: bool
    limits: Limits
    runtime: Runtime

    @abstractmethod
    def enter(
        self,
        connection: Connection,
        encoder: Encoder,
        *,
        id: str = "",
        opener: Opener | None = None,
    ) -> Party:
        """Make a spark of this connection, which from now on is spoken to through ``encoder``.

        :param id: the spark's id, where the dialect's clients already know one; else it is the
            connection's, if that has one, or is made
        :param opener: begins channels on it
        """

    @abstractmethod
    def join(self, channel: Channel, *, ours: bool = False) -> None:
        """Ask the application about a channel: `Channel.admitted`, `Channel.refused` or
        `Channel.unknown` is called, now or later. One without a name has the handlers of the stage
        itself.

        :param ours: this side has begun it: then it is admitted now
        """


class Channel(Connection):
    """A connection made from a connection: one lane of several on it, with a spark of its own.

    A dialect derives from it: `wrap` and `part` say how it looks on the wire, `admitted` makes the
    spark, and `take` hears what `arrived` has let through. It is bound to its connection, and ends
    with it.

    :param key: what its dialect knows it by; unique on its connection
    :param ours: whether this side has begun it
    :param forget: called when it has ended
    :ivar lower: the connection beneath
    :ivar party: its spark, which the stage notes here
    :ivar auth: what the other side gave for the ``authorize`` handler
    """

    __slots__ = (
        "_early",
        "_forget",
        "_name",
        "_user",
        "_waiter",
        "auth",
        "key",
        "lower",
        "ours",
        "party",
    )

    def __init__(
        self,
        lower: Connection,
        name: str,
        *,
        key: object,
        ours: bool = False,
        auth: object = None,
        framing: Framing = TEXT_AND_BINARY,
        forget: Callable[[Channel], None] = lambda channel: None,
    ) -> None:
        super().__init__(lower.handshake, framing)
        self.lower = lower
        self.key = key
        self.ours = ours
        self.party: Party | None = None
        self.auth = auth
        self._name = name
        self._user: Any = lower.user
        self._forget = forget
        # What arrives before the application has decided.
        self._early: list[Any] | None = []
        self._waiter: anyio.Event | None = None

    # The dialect's half.

    @abstractmethod
    def wrap(self, frame: Wire) -> Wire:
        """The message, or messages, for the connection beneath that carry what this one is to
        send. Never raises.
        """

    @abstractmethod
    def part(self, close: Close) -> None:
        """Tell the other side that this side ends the channel. Never raises."""

    @abstractmethod
    def take(self, item: Any) -> None:
        """Something arrived for the spark. Never raises."""

    @abstractmethod
    def admitted(self, stage: Stage) -> None:
        """The application lets it in: make its spark with ``stage.enter``, and call `begin`."""

    def refused(self, rejection: HandshakeRejected) -> None:
        """The application does not let it in."""
        self.close(Close(rejection.code, rejection.reason, rejection.retry))

    def unknown(self) -> None:
        """Nobody serves a channel with this name."""
        name = printable(self.channel, 60)
        self.refused(HandshakeRejected(f"there is no channel {name}", status=404))

    def resumed(self) -> None:
        """The connection beneath was made anew; tell the other side of this channel again."""

    def begin(self) -> None:
        """Deliver what has arrived meanwhile."""
        early, self._early = self._early, None
        if early:
            for item in early:
                self.take(item)
            self.release()

    def arrived(self, item: Any) -> None:
        """Something is there for the spark, or will be when there is one."""
        early = self._early
        if early is None:
            self.take(item)
            return
        early.append(item)
        if len(early) == 1:
            self.hold()  # else who joins could fill our memory before anybody has decided

    def told(self, code: int, reason: str) -> Close:
        """How it ends, in the words of the other side."""
        if self.ours:
            return Close.from_server(code, reason)
        return Close(code, reason, origin=Origin.PEER)

    def ended(self, close: Close) -> None:
        """The channel is over. Only the first call counts."""
        if self.closed is not None:
            return
        self.closed = close
        self._early = None
        if self._holds:
            self._holds = 0
            self.resume_reading()
        self._forget(self)
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set()
        receiver, self.receiver = self.receiver, NOBODY
        receiver.on_close(close)

    # The core's half.

    @property
    def channel(self) -> str:
        return self._name

    @property
    def user(self) -> Any:
        return self._user

    @user.setter
    def user(self, user: Any) -> None:
        self._user = user

    @property
    def latency(self) -> float | None:
        return self.lower.latency

    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        if self.closed is not None:
            return Sent.DROPPED
        return self.lower.write(self.wrap(frame), overflow)

    async def drain(self) -> None:
        if self.closed is None:
            await self.lower.drain()
        if self.closed is not None:
            raise self.closed.error()

    def close(self, close: Close) -> None:
        if self.closed is None:
            self.part(close)
            self.ended(close)

    def fail(self, close: Close) -> None:
        self.close(close)

    async def wait_closed(self) -> None:
        while self.closed is None:
            if self._waiter is None:
                self._waiter = anyio.Event()
            await self._waiter.wait()

    def pause_reading(self) -> None:
        self.lower.hold()

    def resume_reading(self) -> None:
        self.lower.release()
