"""WebSockets whose frames this side reads and writes: control frames, the closing handshake (RFC
6455 sections 5.5 and 7), and writes that are gathered.

For adapters whose driver gives them bytes, or frames, and no more.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from .abc import Upgrade
from .connection import LOST, BufferedConnection
from .errors import LimitExceeded, ProtocolError
from .frames import BINARY, CLOSE, PONG, FrameReader, Unmask, close_frame, read_close, unmask
from .framing import Framing
from .messages import Close, Message, printable
from .turn import TurnEnd

__all__ = ["Connections", "FrameConnection", "StreamConnection"]

GATHER = 65_536
"""Bytes that are gathered at most before they are written."""

_PING = b"\x89\x00"


class FrameConnection(BufferedConnection):
    """Answers pings and close frames, and says goodbye itself.

    The driver's side implements `say_last`, `hang_up` and `finish` besides what
    `BufferedConnection` asks for, hands control frames to `on_control`, and calls `on_fault` when
    it cannot understand the client any more.

    :ivar deaf: what comes is not understood any more: there was a close frame, or a fault
    :ivar paused: reading is paused
    :ivar said_goodbye: the close frame was written; nothing may follow it
    """

    __slots__ = ("_agreed", "_owed_pong", "deaf", "paused", "said_goodbye")

    pings = True

    def __init__(self, upgrade: Upgrade, framing: Framing) -> None:
        super().__init__(upgrade.gate, upgrade.handshake, framing)
        self.deaf = False
        self.paused = False
        self.said_goodbye = False
        self._agreed = False
        self._owed_pong: bytes | None = None

    # The driver's half.

    @abstractmethod
    def say_last(self, frame: bytes) -> None:
        """Write the close frame behind all that was written."""

    @abstractmethod
    def hang_up(self) -> None:
        """Write no more, so that the client hangs up too, which cannot be understood any more. To
        close with bytes unread would reset the connection, and could cost it our close frame.
        """

    @abstractmethod
    def finish(self) -> None:
        """Close, since both sides have said goodbye: when all is written, or after
        ``close_seconds``.
        """

    def go_deaf(self) -> None:
        """Throw away all that still comes."""
        self.deaf = True

    # Frames.

    def on_control(self, opcode: int, payload: bytes) -> None:
        """A close, ping or pong.

        :raises ProtocolError: a close with a code that may not be sent
        """
        if opcode == CLOSE:
            self._on_close_frame(read_close(payload))
        elif opcode == PONG:
            self.ponged()
        elif self.said_goodbye:
            pass
        elif self._outbox is None:
            self.transmit(_pong(payload))
        else:
            # Only the latest ping needs an answer (RFC 6455 section 5.5.3), so a client that pings
            # without reading makes nothing grow.
            self._owed_pong = payload

    def on_fault(self, fault: ProtocolError | LimitExceeded) -> None:
        """What the client sent breaks a rule or a limit."""
        self.go_deaf()
        if self.said_goodbye:
            self.hang_up()
        else:
            self.close(Close(fault.code, printable(str(fault))))

    def _on_close_frame(self, close: Close) -> None:
        self._agreed = self.said_goodbye
        self.go_deaf()
        if not self.said_goodbye:
            self._say_goodbye(Close(close.code))
        self.ended(close)
        self.finish()

    # For the core.

    def relieved(self) -> None:
        payload, self._owed_pong = self._owed_pong, None
        if payload is not None and not self.said_goodbye:
            self.transmit(_pong(payload))
        super().relieved()

    def ping(self) -> None:
        if self.paused:
            self.heard = True  # its answer could not be heard; and it waits for us, not we for it
        elif not self.said_goodbye:
            self.transmit(_PING)

    @property
    def agreed(self) -> bool:
        return self._agreed

    def shut(self, close: Close) -> None:
        self._say_goodbye(close)
        if self.deaf:
            self.hang_up()
        else:
            self.resume_reading()  # for the client's close frame

    def _say_goodbye(self, close: Close) -> None:
        self.said_goodbye = True
        self.say_last(close_frame(close))


def _pong(payload: bytes) -> bytes:
    return bytes((0x8A, len(payload))) + payload


class StreamConnection(FrameConnection):
    """A WebSocket on a driver that reads and writes bytes.

    What is sent while one read is being handled leaves in one write, and so does what is sent
    during one turn of the event loop.

    The driver's side implements `put_out`, `read_on` and `cut` besides `hang_up` and `finish`, and
    `stop_reading` where reading does not stop by itself; and calls

    - `arrived` with the bytes of each read;
    - `congested` and `relieved`, as with any `BufferedConnection`;
    - `gone` when the client has gone, or the stream broke.

    :param deflate: whether messages may be compressed; see `FrameReader`
    """

    __slots__ = (
        "_connections",
        "_held",
        "_in_turn",
        "_lost",
        "_pending",
        "_pending_size",
        "_reader",
    )

    def __init__(
        self,
        upgrade: Upgrade,
        framing: Framing,
        connections: Connections,
        unmask: Unmask = unmask,
        *,
        deflate: bool = False,
    ) -> None:
        super().__init__(upgrade, framing)
        limits = self.gate.limits
        self._reader = FrameReader(limits.message_bytes, limits.fragments, unmask, deflate=deflate)
        self._connections = connections
        # What came while reading was paused, and is not with the reader yet.
        self._held = b""
        self._in_turn = False
        self._pending: list[bytes] = []
        self._pending_size = 0
        # The client has gone while reading was paused.
        self._lost = False
        connections.add(self)

    # The driver's half.

    @abstractmethod
    def put_out(self, data: bytes) -> None:
        """Write, or call `found_closed`. May call `congested`. Never raises."""

    @abstractmethod
    def read_on(self) -> None:
        """Read again, or call `found_closed`: what was read before is delivered."""

    def stop_reading(self) -> None:
        """Read no more, until `read_on`."""

    @abstractmethod
    def cut(self) -> None:
        """Close the stream at once."""

    # Reading.

    @property
    def wants(self) -> int:
        """How many bytes to read next, at most."""
        return self._reader.wants

    def arrived(self, data: bytes) -> None:
        """Bytes from the client."""
        self.heard = True
        if self.deaf:
            # Closing with unread bytes would reset the connection, and could cost the client our
            # close frame: read on until it hangs up, or until close_seconds are over.
            return
        if self.paused or self._held or self._in_turn:
            self._held += data
            return
        self._reader.feed(data)
        self._deliver()

    def proceed(self) -> None:
        """Deliver what was held back, and read on."""
        if self._in_turn or self.paused:
            return
        self._deliver()
        if not self.paused:
            self.read_on()

    def _deliver(self) -> None:
        """Deliver what was read, and write what was sent meanwhile."""
        self._in_turn = True
        read_next = self._reader.next
        try:
            while not (self.paused or self.deaf):
                frame = read_next()
                if frame is None:
                    if not self._held:
                        break
                    held, self._held = self._held, b""
                    self._reader.feed(held)
                    continue
                opcode, payload = frame
                if opcode <= BINARY:
                    self.receiver.on_message(payload)
                elif isinstance(payload, bytes):
                    self.on_control(opcode, payload)
        except (ProtocolError, LimitExceeded) as fault:
            self.on_fault(fault)
        finally:
            self._in_turn = False
        if self._pending:
            self.flush()

    def pause_reading(self) -> None:
        if not self.paused:
            self.paused = True
            self.stop_reading()

    def resume_reading(self) -> None:
        if self.paused:
            self.paused = False
            self._connections.proceed_soon(self)

    # Writing.

    def transmit(self, frame: Message) -> None:
        assert isinstance(frame, bytes)
        pending = self._pending
        pending.append(frame)
        self._pending_size += len(frame)
        if self._pending_size >= GATHER:
            self.flush()
        elif len(pending) == 1 and not self._in_turn:
            self._connections.flush_soon(self)

    def flush(self) -> None:
        """Write what was gathered."""
        pending = self._pending
        if not pending:
            return
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        pending.clear()
        self._pending_size = 0
        self.put_out(data)

    def found_closed(self) -> None:
        """The stream is closed, and neither takes nor gives anything."""
        if self._lost:
            self.abort()

    def ping(self) -> None:
        if self._lost:
            self.abort()
        else:
            super().ping()

    # Closing.

    def say_last(self, frame: bytes) -> None:
        self._pending.append(frame)
        self.flush()

    def gone(self) -> None:
        """The stream is closed by the client, or broke."""
        if self.paused and not self.deaf:
            # What has arrived is delivered first. The next write or ping notices it as well.
            self._lost = True
        else:
            self.abort()

    def abort(self) -> None:
        self.deaf = True
        self._pending.clear()
        self._connections.discard(self)
        self.cut()
        self.ended(LOST)


class Connections(TurnEnd):
    """The connections of one server, and those of them that have something to write."""

    __slots__ = ("_live",)

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        super().__init__(call_soon)
        self._live: set[StreamConnection] = set()

    def add(self, connection: StreamConnection) -> None:
        """A new connection."""
        self._live.add(connection)

    def discard(self, connection: StreamConnection) -> None:
        """A connection whose stream is closed."""
        self._live.discard(connection)

    def proceed_soon(self, connection: StreamConnection) -> None:
        """Call ``connection.proceed()`` from the loop."""
        self._call_soon(connection.proceed)

    def abort(self) -> None:
        """Cut every connection."""
        for connection in [*self._live]:
            connection.abort()
