"""A connection on top of a driver: the bounded outbox, closing, the heartbeat."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable

import anyio

from .abc import NOBODY, Connection, Gate, Receiver
from .framing import Framing
from .handshake import Handshake
from .limits import Overflow
from .messages import Close, Message, Origin, Sent, Wire
from .timers import Timer

__all__ = ["LOST", "BufferedConnection"]

# To read a member of an enum from its class costs as much as the rest of `put`.
_SENT = Sent.SENT


class BufferedConnection(Connection):
    """Derive from it to put a driver, or a session protocol, under unisock.

    The driver's side implements `transmit`, `shut`, `abort`, `pause_reading` and `resume_reading`
    (and `ping`, if `pings`), and calls

    - ``receiver.on_message`` for each message, and sets ``heard = True`` for each sign of life;
    - `congested` when the driver's own buffer is above its high-water mark, `relieved` when it has
      drained: meanwhile messages wait in the outbox, which `Limits` bounds;
    - `ponged` for each answer to a ping;
    - `ended` when the connection is gone, in whatever way.

    :cvar pings: `ping` asks the peer for a sign of life
    """

    __slots__ = (
        "_clear",
        "_closing",
        "_deadline",
        "_latency",
        "_outbox",
        "_pinged_at",
        "_probe",
        "_pulse",
        "_waiter",
        "gate",
        "heard",
    )

    pings = False

    def __init__(self, gate: Gate, handshake: Handshake, framing: Framing) -> None:
        super().__init__(handshake, framing)
        self.gate = gate
        self.heard = True
        # Clear: open, and nothing waits. The one flag that the way of a message looks at.
        self._clear = True
        self._outbox: _Outbox | None = None
        self._closing: Close | None = None
        self._deadline: Timer | None = None
        self._waiter: anyio.Event | None = None
        self._pinged_at: float | None = None
        self._latency: float | None = None
        self._probe: Callable[[], None] | None = None
        self._pulse: Timer | None = None

    # The driver's half.

    @abstractmethod
    def transmit(self, frame: Message) -> None:
        """Hand a frame to the driver, which takes it whole. May call `congested`. Never raises."""

    @abstractmethod
    def shut(self, close: Close) -> None:
        """Begin the closing handshake; called once, after the last `transmit`. Never raises."""

    @abstractmethod
    def abort(self) -> None:
        """Cut the connection without a word; `ended` follows, now or soon."""

    def ping(self) -> None:
        """Ask the peer for a sign of life. While reading is paused its answer cannot be heard: then
        set ``heard`` instead, since it is the peer that waits for this side.
        """

    def congested(self) -> None:
        """The driver's buffer is full."""
        if self._outbox is not None:
            self._outbox.held = True
        elif self._closing is None and self.closed is None:
            self._clear = False
            self._outbox = _Outbox()

    def relieved(self) -> None:
        """The driver's buffer has room again."""
        outbox = self._outbox
        if outbox is None:
            return
        outbox.held = False
        if outbox.flushing:
            return
        # While it is flushed, the outbox stays: whatever `transmit` sets off keeps its place.
        outbox.flushing = True
        while outbox.frames and not outbox.held and self._outbox is outbox:
            self._transmit(outbox.popleft())
        outbox.flushing = False
        if outbox.held or self._outbox is not outbox:
            return  # full again, or gone
        self._outbox = None
        if self._closing is not None:
            self.shut(self._closing)
        else:
            self._clear = True
            self._wake()

    def ponged(self) -> None:
        """The peer answered a ping."""
        self.heard = True
        if self._pinged_at is not None:
            self._latency = self.gate.runtime.timers.now - self._pinged_at
            self._pinged_at = None
            if self._pulse is not None:
                # The look that is due was for the answer: by then, the next ping may be late.
                self._pulse.cancel()
                self._look_again(self.gate.heartbeat.interval / 2)
        probe, self._probe = self._probe, None
        if probe is not None:
            probe()

    def ended(self, close: Close) -> None:
        """The connection is gone. Only the first call counts."""
        if self.closed is not None:
            return
        self.closed = close = self._closing or close
        self._clear = False
        for timer in (self._deadline, self._pulse):
            if timer is not None:
                timer.cancel()
        self._discard()
        self._wake()
        self.gate.left(self)
        # Let go of the receiver, so that no cycle of references outlives the connection.
        receiver, self.receiver = self.receiver, NOBODY
        receiver.on_close(close)

    # The core's half.

    def write(self, wire: Wire, overflow: Overflow | None = None) -> Sent:
        if self._clear and not isinstance(wire, tuple):
            self.transmit(self.framing.frame(wire))
            return _SENT
        return self.put(self.framing.frames(wire), overflow)

    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        if self._clear:
            if isinstance(frame, tuple):
                self._transmit(frame)
            else:
                self.transmit(frame)
            return _SENT
        return self._put_aside(frame, overflow)

    async def drain(self) -> None:
        while not self._clear:
            closing = self.closing
            if closing is not None:
                raise closing.error()
            await self._waiting().wait()

    def close(self, close: Close) -> None:
        if self._closing is not None or self.closed is not None:
            return
        self._closing = close
        self._clear = False
        self.receiver = _Leaving(self.receiver)
        self._deadline = self.gate.runtime.timers.call_later(
            self.gate.limits.close_seconds, self.abort
        )
        self._wake()
        if self._outbox is None:
            self.shut(close)

    def fail(self, close: Close) -> None:
        if self.closed is None:
            self._closing = self._closing or close
            self._clear = False
            self._discard()
            self.abort()

    @property
    def closing(self) -> Close | None:
        return self.closed or self._closing

    @property
    def latency(self) -> float | None:
        return self._latency

    async def wait_closed(self) -> None:
        while self.closed is None:
            await self._waiting().wait()

    def attach(self, receiver: Receiver) -> None:
        super().attach(receiver if self._closing is None else _Leaving(receiver))

    def probe(self, answered: Callable[[], None]) -> bool:
        if not self.pings or self._pinged_at is not None or self.closing is not None:
            return False
        self._probe = answered
        self._pinged_at = self.gate.runtime.timers.now
        self.ping()
        return True

    def watch(self) -> None:
        if self.pings and self.gate.heartbeat.interval:
            # Two looks an interval find any silence within one interval.
            self._look_again(self.gate.heartbeat.interval / 2)

    def _look_again(self, delay: float) -> None:
        self._pulse = self.gate.runtime.timers.call_later(delay, self._beat)

    def _beat(self) -> None:
        if self.closed is not None:
            return
        timers, heartbeat = self.gate.runtime.timers, self.gate.heartbeat
        if self.heard:
            self.heard = False
            self._pinged_at = None
            self._look_again(heartbeat.interval / 2)
        elif self._pinged_at is None:
            self._pinged_at = timers.now
            self.ping()
            self._look_again(heartbeat.timeout)
        elif timers.now - self._pinged_at < heartbeat.timeout:  # a probe of late
            self._look_again(self._pinged_at + heartbeat.timeout - timers.now)
        else:
            self.fail(Close(1006, "no answer to the heartbeat", origin=Origin.LOST))

    @property
    def backlog(self) -> int:
        """Bytes that wait in the outbox."""
        return self._outbox.size if self._outbox is not None else 0

    def _transmit(self, frame: Wire) -> None:
        for part in frame if isinstance(frame, tuple) else (frame,):
            self.transmit(part)

    def _put_aside(self, frame: Wire, overflow: Overflow | None) -> Sent:
        outbox, limits = self._outbox, self.gate.limits
        if self.closed is not None or self._closing is not None or outbox is None:
            return Sent.DROPPED
        frames = outbox.frames
        size = outbox.size + _size(frame)
        if not frames or (size <= limits.outbox_bytes and len(frames) < limits.outbox_messages):
            outbox.append(frame)
            return Sent.QUEUED
        match overflow or self.gate.overflow:
            case Overflow.WAIT if overflow is not None:
                return Sent.DROPPED
            case Overflow.DROP_OLDEST:
                before = len(frames)
                while frames and (
                    outbox.size + _size(frame) > limits.outbox_bytes
                    or len(frames) >= limits.outbox_messages
                ):
                    outbox.popleft()
                self.gate.count_dropped(before - len(frames))
                outbox.append(frame)
                return Sent.QUEUED
            case Overflow.DISCONNECT:
                self.gate.count_dropped(1)
                self._discard()  # so that the close frame is next
                self.close(Close(4008, "too slow: over outbox_bytes or outbox_messages"))
            case _:
                self.gate.count_dropped(1)
        return Sent.DROPPED

    def _discard(self) -> None:
        """Drop what waits in the outbox."""
        outbox, self._outbox = self._outbox, None
        if outbox is not None and outbox.frames:
            self.gate.count_dropped(len(outbox.frames))

    def _waiting(self) -> anyio.Event:
        if self._waiter is None:
            self._waiter = anyio.Event()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set()


class _Leaving(Receiver):
    """Hears for a connection that this side is closing: the application is done with it."""

    __slots__ = ("_receiver",)

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def on_message(self, message: Message) -> None:
        """Too late."""

    def on_close(self, close: Close) -> None:
        self._receiver.on_close(close)


LOST = Close(1006, "connection lost", origin=Origin.LOST)
"""How a connection ends that broke without a word."""


def _size(frame: Wire) -> int:
    return sum(map(len, frame)) if isinstance(frame, tuple) else len(frame)


class _Outbox:
    """Frames that wait for a congested driver.

    :ivar held: the driver takes no more
    :ivar flushing: frames are being handed to the driver
    """

    __slots__ = ("flushing", "frames", "held", "size")

    def __init__(self) -> None:
        self.frames: deque[Wire] = deque()
        self.size = 0
        self.held = True
        self.flushing = False

    def append(self, frame: Wire) -> None:
        self.frames.append(frame)
        self.size += _size(frame)

    def popleft(self) -> Wire:
        frame = self.frames.popleft()
        self.size -= _size(frame)
        return frame
