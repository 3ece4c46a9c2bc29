"""A WebSocket on a Tornado stream."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import cast

from tornado.iostream import IOStream, StreamClosedError

# Private, and what Tornado's own WebSockets use: its C code, or Python where there is none.
from tornado.util import (
    _websocket_mask as unmask,  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
)

from unisock import Close, LimitExceeded, Message, ProtocolError
from unisock.abc import Upgrade
from unisock.connection import LOST, BufferedConnection
from unisock.frames import BINARY, CLOSE, PING, FrameReader, close_frame, read_close
from unisock.framing import WebSocketFraming
from unisock.messages import printable

__all__ = ["Connections", "TornadoConnection"]

GATHER = 65_536
"""Bytes that are gathered at most before they are written."""

_FRAMING = WebSocketFraming()


class Connections:
    """The connections of one server, and those of them that have something to write.

    What is sent during one turn of the event loop goes out in one write a connection. It is
    written when the turn ends, by one callback for all connections.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._live: set[TornadoConnection] = set()
        self._dirty: list[TornadoConnection] = []

    def add(self, connection: TornadoConnection) -> None:
        """A new connection."""
        self._live.add(connection)

    def discard(self, connection: TornadoConnection) -> None:
        """A connection whose stream is closed."""
        self._live.discard(connection)

    def flush_soon(self, connection: TornadoConnection) -> None:
        """Call ``connection.flush()`` when this turn of the loop is over."""
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(connection)

    def proceed_soon(self, connection: TornadoConnection) -> None:
        """Call ``connection.proceed()`` from the loop."""
        self._loop.call_soon(connection.proceed)

    def abort(self) -> None:
        """Cut every connection."""
        for connection in [*self._live]:
            connection.abort()

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()


class TornadoConnection(BufferedConnection):
    """The server's end of an accepted WebSocket.

    :param stream: detached from its HTTP connection
    """

    __slots__ = (
        "_connections",
        "_deaf",
        "_in_turn",
        "_lost",
        "_owed_pong",
        "_paused",
        "_pending",
        "_pending_size",
        "_reader",
        "_reading",
        "_said_goodbye",
        "_stream",
    )

    pings = True

    def __init__(self, upgrade: Upgrade, stream: IOStream, connections: Connections) -> None:
        super().__init__(upgrade.gate, upgrade.handshake, _FRAMING)
        limits = self.gate.limits
        self._connections = connections
        self._stream = stream
        self._reader = FrameReader(limits.message_bytes, limits.fragments, unmask)
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._owed_pong: bytes | None = None
        self._reading = False
        self._in_turn = False
        self._paused = False
        # What comes is not understood any more: there was a close frame, or a fault.
        self._deaf = False
        # Our close frame was written; nothing may follow it.
        self._said_goodbye = False
        # The stream was closed by the peer, or broke, while reading was paused.
        self._lost = False
        connections.add(self)
        stream.set_close_callback(self._on_stream_closed)

    def start(self) -> None:
        """Begin to read."""
        self._read()

    # Reading.

    def _read(self) -> None:
        if self._reading:
            return
        self._reading = True
        try:
            future = self._stream.read_bytes(self._reader.wants, partial=True)
        except OSError:  # closed; what the stream had buffered was read before
            if self._lost:
                self.abort()
        else:
            cast("asyncio.Future[bytes]", future).add_done_callback(self._on_read)

    def _on_read(self, future: asyncio.Future[bytes]) -> None:
        self._reading = False
        if future.cancelled() or future.exception() is not None:
            return  # `_on_stream_closed` follows
        self.heard = True
        if self._deaf:
            # Closing with unread bytes would reset the connection, and could cost the peer our
            # close frame: read on until it hangs up, or until close_seconds are over.
            self._read()
        else:
            self._reader.feed(future.result())
            self.proceed()

    def proceed(self) -> None:
        """Deliver what was read, write what was sent meanwhile, and read on."""
        if self._reading or self._in_turn:
            return
        self._in_turn = True
        read_next = self._reader.next
        try:
            while not (self._paused or self._deaf):
                frame = read_next()
                if frame is None:
                    break
                opcode, payload = frame
                if opcode <= BINARY:
                    self.receiver.on_message(payload)
                elif isinstance(payload, bytes):
                    self._on_control(opcode, payload)
        except (ProtocolError, LimitExceeded) as fault:
            self._on_fault(fault)
        finally:
            self._in_turn = False
        self.flush()
        if not self._paused:
            self._read()

    def _on_control(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._on_close_frame(read_close(payload))
        elif opcode != PING:
            self.ponged()
        elif self._stream.writing():
            # Only the latest ping needs an answer (RFC 6455 section 5.5.3), so a peer that pings
            # without reading makes nothing grow.
            self._owed_pong = payload
        else:
            self._send(bytes((0x8A, len(payload))) + payload)

    def _on_close_frame(self, close: Close) -> None:
        self._deaf = True
        if not self._said_goodbye:
            self._say_goodbye(Close(close.code))
        self.ended(close)
        if self._stream.writing():
            self.gate.runtime.timers.call_later(self.gate.limits.close_seconds, self.abort)
        else:
            self.abort()

    def _on_fault(self, fault: ProtocolError | LimitExceeded) -> None:
        self._deaf = True
        if self._said_goodbye:
            self._hang_up()
        else:
            self.close(Close(fault.code, printable(str(fault))))

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._connections.proceed_soon(self)

    # Writing.

    def transmit(self, frame: Message) -> None:
        assert isinstance(frame, bytes)
        self._send(frame)

    def _send(self, frame: bytes) -> None:
        if self._said_goodbye:
            return
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
        stream = self._stream
        try:
            written = stream.write(data)
        except StreamClosedError:
            if self._lost:
                self.abort()
            return
        if stream.writing():  # the kernel's buffer is full
            written.add_done_callback(self._on_written)
            self.congested()

    def _on_written(self, written: asyncio.Future[None]) -> None:
        if self._stream.closed() or self._stream.writing():
            return
        if self.closed is not None:
            self.abort()
        elif self._said_goodbye:
            if self._deaf:
                self._hang_up()
        else:
            payload, self._owed_pong = self._owed_pong, None
            if payload is not None:
                self._send(bytes((0x8A, len(payload))) + payload)
            self.relieved()

    def ping(self) -> None:
        if self._lost:
            self.abort()
        elif self._paused:
            # Its answer could not be read. It is this side that is slow.
            self.heard = True
        else:
            self._send(b"\x89\x00")

    # Closing.

    def shut(self, close: Close) -> None:
        self._say_goodbye(close)
        if self._deaf:
            self._hang_up()
        else:
            self.resume_reading()  # for the peer's close frame

    def abort(self) -> None:
        self._deaf = True
        self._pending.clear()
        self._connections.discard(self)
        self._stream.set_close_callback(None)
        self._stream.close()
        self.ended(LOST)

    def _say_goodbye(self, close: Close) -> None:
        self._pending.append(close_frame(close))
        self._said_goodbye = True
        self.flush()

    def _hang_up(self) -> None:
        """Write no more, so that the peer hangs up too; it cannot be understood any more."""
        if self._stream.socket is not None and not self._stream.writing():
            with contextlib.suppress(OSError):  # it is gone already
                self._stream.socket.shutdown(socket.SHUT_WR)

    def _on_stream_closed(self) -> None:
        if self._paused and not self._deaf:
            # What has arrived is delivered first. The next write or ping notices it as well.
            self._lost = True
        else:
            self.abort()
