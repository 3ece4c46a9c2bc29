"""A client's connection, which outlives the connections beneath it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

import anyio

from .abc import NOBODY, Connection, Receiver, Runtime
from .errors import ConnectionClosed, EncodeError
from .framing import TEXT_AND_BINARY
from .handshake import Handshake
from .limits import Limits, Overflow
from .messages import Close, ControlFrame, Origin, Sent, Wire
from .timers import Timer

__all__ = ["ReconnectingConnection"]

PROBE_SECONDS = 0.25
"""How long after a message the server is asked whether it has read it."""

_SENT, _WAIT = Sent.SENT, Overflow.WAIT


class ReconnectingConnection(Connection):
    """What the spark of a client sits on. Messages wait in its queue while there is no connection,
    and go out in order when there is one.

    :param limits: ``outbox_messages`` and ``outbox_bytes`` bound the queue
    :param overflow: what `send_nowait` does when the queue is full: `Overflow.DROP_OLDEST` or
        `Overflow.DROP_NEWEST`; ``send`` waits
    :param reconnects: whether a lost connection is made anew
    :ivar dropped: messages that were dropped because the queue was full, or at the end
    :ivar lower: the connection beneath, while there is one
    :ivar broke: how the one before it ended
    """

    __slots__ = (
        "_closing",
        "_confirmed",
        "_deadline",
        "_direct",
        "_flowing",
        "_handed",
        "_limits",
        "_overflow",
        "_overheard",
        "_probe",
        "_queue",
        "_reconnects",
        "_runtime",
        "_short",
        "_size",
        "_stemmed",
        "_waiter",
        "broke",
        "dropped",
        "lower",
    )

    def __init__(
        self,
        handshake: Handshake,
        *,
        limits: Limits,
        overflow: Overflow,
        reconnects: bool,
        runtime: Runtime,
    ) -> None:
        super().__init__(handshake, TEXT_AND_BINARY)
        self._limits = limits
        self._overflow = overflow
        self._reconnects = reconnects
        self._runtime = runtime
        self.lower: Connection | None = None
        self.broke: Close | None = None
        self.dropped = 0
        self._queue: deque[Wire] = deque()
        self._size = 0
        # What is sent goes straight down: nothing waits, and the connection beneath takes it.
        self._flowing = False
        self._direct = False
        # A task waits until the connection beneath takes more.
        self._stemmed = False
        # A sender waits for room, who would be overtaken by another that finds some.
        self._short = False
        self._closing: Close | None = None
        self._deadline: Timer | None = None
        self._waiter: anyio.Event | None = None
        # Wires handed to the connection beneath, and how many of them the server has surely read.
        self._handed = 0
        self._confirmed = 0
        self._probe: Timer | None = None
        self._overheard: Callable[[ControlFrame], None] | None = None

    # For who makes the connections.

    @property
    def queued(self) -> int:
        """Messages that wait."""
        return len(self._queue)

    @property
    def unconfirmed(self) -> int:
        """Messages that were handed to the connection beneath, and of which nobody knows whether
        the server has read them.
        """
        return self._handed - self._confirmed

    def take_unconfirmed(self) -> int:
        """`unconfirmed`, for who reports it: each message is reported once."""
        unconfirmed, self._handed, self._confirmed = self.unconfirmed, 0, 0
        return unconfirmed

    def carry_on(self, lower: Connection) -> None:
        """There is a connection: begin with what waits."""
        closing = self.closing
        if closing is not None:
            lower.close(closing)
            return
        self.lower = lower
        self.handshake = lower.handshake
        self._handed = self._confirmed = 0
        self._stemmed = False
        lower.attach(_Carrier(self, lower))
        if self._overheard is not None:
            lower.overhear(self._overheard)
        if self._holds:
            lower.hold()
        self._direct = True
        self.receiver.on_resume()
        self._direct = False
        self._pump()

    def ended(self, close: Close) -> None:
        """There will be no other connection. Only the first call counts."""
        if self.closed is not None:
            return
        self.closed = close
        self.lower = None
        self._flowing = False
        for timer in (self._deadline, self._probe):
            if timer is not None:
                timer.cancel()
        self.dropped += len(self._queue)
        self._queue.clear()
        self._size = 0
        self._wake()
        receiver, self.receiver = self.receiver, NOBODY
        receiver.on_close(close)

    async def changed(self) -> None:
        """Wait until something has changed: room in the queue, a connection less, the end."""
        if self._waiter is None:
            self._waiter = anyio.Event()
        await self._waiter.wait()

    def lost(self, close: Close) -> None:
        """The connection beneath has ended."""
        if self.lower is not None and self.lower.agreed:
            self._confirmed = self._handed
        self.lower = None
        if self._closing is None:
            close = self.receiver.judge(close)
        self.broke = close
        self._flowing = False
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None
        if self._closing is not None:
            self.ended(close)
        elif self._reconnects and close.come_back:
            self.receiver.on_interrupt(close)
            self._wake()
        elif close.origin is Origin.PEER:
            self.ended(Close.from_server(close.code, close.reason))
        else:  # this side gave it up, but not because the application wanted that
            self.ended(Close(close.code, close.reason, close.reconnect, Origin.LOST))

    # For the spark.

    @property
    def closing(self) -> Close | None:
        return self.closed or self._closing

    @property
    def latency(self) -> float | None:
        return None if self.lower is None else self.lower.latency

    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        lower = self.lower
        if lower is not None and (self._flowing or self._direct):
            sent = lower.write(frame, _WAIT)
            if sent is _SENT:
                self._count()
                return sent
            self._stem(lower)
            if sent is Sent.QUEUED:
                self._count()
                return sent
        return self._put_aside(frame, overflow)

    async def drain(self) -> None:
        while self.closing is None and (self._short or not self._has_room(0)):
            await self.changed()
        closing = self.closing
        if closing is not None:
            raise closing.error()

    def close(self, close: Close) -> None:
        if self.closing is not None:
            return
        self._closing = close
        lower = self.lower
        if lower is None:
            self.ended(close)
        elif self._flowing:
            lower.close(close)
        else:  # what waits goes first
            self._deadline = self._runtime.timers.call_later(
                self._limits.close_seconds, lambda: lower.fail(close)
            )
        self._wake()

    def fail(self, close: Close) -> None:
        lower = self.lower
        self._closing = self._closing or close
        if lower is not None:
            lower.fail(close)
        self.ended(close)

    def control(self, kind: Literal["ping", "pong"], payload: bytes = b"") -> bool:
        return self.lower is not None and self.lower.control(kind, payload)

    def overhear(self, tell: Callable[[ControlFrame], None] | None) -> bool:
        self._overheard = tell
        return self.lower is not None and self.lower.overhear(tell)

    async def wait_closed(self) -> None:
        while self.closed is None:
            await self.changed()

    def pause_reading(self) -> None:
        if self.lower is not None:
            self.lower.hold()

    def resume_reading(self) -> None:
        if self.lower is not None:
            self.lower.release()

    # The queue.

    def _has_room(self, size: int) -> bool:
        limits, queue = self._limits, self._queue
        return not queue or (
            len(queue) < limits.outbox_messages and self._size + size <= limits.outbox_bytes
        )

    def _put_aside(self, frame: Wire, overflow: Overflow | None) -> Sent:
        if self.closing is not None:
            return Sent.DROPPED
        size = _size(frame)
        if overflow is _WAIT:
            self._short = self._short or not self._has_room(size)
            if self._short:
                return Sent.DROPPED
        elif not self._has_room(size):
            self.dropped += 1
            if overflow is Overflow.DISCONNECT and self.lower is not None:
                why = "the server is too slow: over outbox_bytes or outbox_messages"
                self.lower.fail(Close(4008, why, origin=Origin.LOST))
                return Sent.DROPPED
            if (overflow or self._overflow) is not Overflow.DROP_OLDEST:
                return Sent.DROPPED
            self._pop()
            while not self._has_room(size):
                self.dropped += 1
                self._pop()
        self._queue.append(frame)
        self._size += size
        return Sent.QUEUED

    def _pop(self) -> None:
        self._size -= _size(self._queue.popleft())

    def _stem(self, lower: Connection) -> None:
        """The connection beneath is full, or about to end: what comes now waits here."""
        self._flowing = False
        if not self._stemmed:
            self._stemmed = True
            self._runtime.spawn(self._wait_for, lower)

    async def _wait_for(self, lower: Connection) -> None:
        try:
            await lower.drain()
        except ConnectionClosed:
            return  # `lost` follows, or has been
        if self.lower is lower:
            self._stemmed = False
            self._pump()

    def _pump(self) -> None:
        """Hand over what waits, as far as the connection beneath takes it."""
        lower, queue = self.lower, self._queue
        while lower is not None and queue and not self._stemmed:
            try:
                sent = lower.write(queue[0], _WAIT)
            except EncodeError:  # text only, this time
                self.dropped += 1
            else:
                if sent is not _SENT:
                    self._stem(lower)
                if sent is Sent.DROPPED:
                    break
                self._count()
            self._pop()
            self._short = False
        if lower is not None and not self._stemmed:
            self._flowing = True
            if self._closing is not None:
                lower.close(self._closing)
        self._wake()

    # What the server has read.

    def _count(self) -> None:
        self._handed += 1
        if self._probe is None:
            self._ask_later()

    def _ask_later(self) -> None:
        self._probe = self._runtime.timers.call_later(PROBE_SECONDS, self._ask)

    def _ask(self) -> None:
        lower, handed = self.lower, self._handed

        def answered() -> None:
            if self.lower is lower:
                self._confirmed = handed
                if self._handed > handed:
                    self._ask_later()
                else:
                    self._probe = None

        if lower is None or not self.unconfirmed:
            self._probe = None
        # The question would overtake what is stemmed, and its answer be held back with the rest.
        elif not self._flowing or self._holds or not lower.probe(answered):
            self._ask_later()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set()


class _Carrier(Receiver):
    """Hears for a connection beneath."""

    __slots__ = ("_lower", "_upper")

    def __init__(self, upper: ReconnectingConnection, lower: Connection) -> None:
        self._upper = upper
        self._lower = lower

    def on_message(self, message: str | bytes) -> None:
        if self._upper.closing is None:
            self._upper.receiver.on_message(message)

    def on_close(self, close: Close) -> None:
        if self._upper.lower is self._lower:
            self._upper.lost(close)


def _size(frame: Wire) -> int:
    return sum(map(len, frame)) if isinstance(frame, tuple) else len(frame)
