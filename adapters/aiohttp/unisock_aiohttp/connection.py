"""A WebSocket on an asyncio transport that was aiohttp's."""

from __future__ import annotations

import asyncio
import contextlib
import socket

# Private, and what aiohttp's own WebSockets use: its C code, or Python where there is none.
from aiohttp._websocket.helpers import websocket_mask

from unisock import Close, LimitExceeded, Message, ProtocolError
from unisock.abc import Upgrade
from unisock.connection import LOST, BufferedConnection
from unisock.frames import BINARY, CLOSE, PING, FrameReader, close_frame, read_close
from unisock.framing import Framing
from unisock.messages import printable

from .deflate import PLAIN

__all__ = ["AiohttpConnection", "Connections"]

GATHER = 65_536
"""Bytes that are gathered at most before they are written."""


def unmask(mask: bytes, payload: bytes) -> bytearray:
    """By aiohttp's function, which does it in place."""
    data = bytearray(payload)
    websocket_mask(mask, data)
    return data


class Connections:
    """The connections of one server, and those of them that have something to write.

    What is sent during one turn of the event loop goes out in one write a connection. It is
    written when the turn ends, by one callback for all connections.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._live: set[AiohttpConnection] = set()
        self._dirty: list[AiohttpConnection] = []

    def add(self, connection: AiohttpConnection) -> None:
        """A new connection."""
        self._live.add(connection)

    def discard(self, connection: AiohttpConnection) -> None:
        """A connection whose transport is closed."""
        self._live.discard(connection)

    def flush_soon(self, connection: AiohttpConnection) -> None:
        """Call ``connection.flush()`` when this turn of the loop is over."""
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(connection)

    def proceed_soon(self, connection: AiohttpConnection) -> None:
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


class AiohttpConnection(BufferedConnection, asyncio.Protocol):
    """The server's end of an accepted WebSocket.

    :param transport: whose protocol this becomes
    """

    __slots__ = (
        "_connections",
        "_deaf",
        "_full",
        "_held",
        "_in_turn",
        "_lost",
        "_owed_pong",
        "_paused",
        "_pending",
        "_pending_size",
        "_reader",
        "_said_goodbye",
        "_transport",
    )

    pings = True

    def __init__(
        self,
        upgrade: Upgrade,
        transport: asyncio.Transport,
        connections: Connections,
        framing: Framing,
    ) -> None:
        super().__init__(upgrade.gate, upgrade.handshake, framing)
        limits = self.gate.limits
        self._connections = connections
        self._transport = transport
        self._reader = FrameReader(
            limits.message_bytes, limits.fragments, unmask, deflate=framing is not PLAIN
        )
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._owed_pong: bytes | None = None
        # What came while reading was paused, and is not with the reader yet.
        self._held = b""
        self._in_turn = False
        self._paused = False
        # The transport's buffer is above its high-water mark.
        self._full = False
        # What comes is not understood any more: there was a close frame, or a fault.
        self._deaf = False
        # Our close frame was written; nothing may follow it.
        self._said_goodbye = False
        # The transport was closed by the peer, or broke, while reading was paused.
        self._lost = False
        connections.add(self)

    # From asyncio.

    def data_received(self, data: bytes) -> None:
        self.heard = True
        if self._deaf:
            # Closing with unread bytes would reset the connection, and could cost the peer our
            # close frame: read on until it hangs up, or until close_seconds are over.
            return
        if self._paused or self._held or self._in_turn:
            self._held += data
            return
        self._reader.feed(data)
        self._deliver()

    def eof_received(self) -> bool:
        if self.closed is None and not self._paused:
            self.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._paused and not self._deaf:
            # What has arrived is delivered first. The next write or ping notices it as well.
            self._lost = True
        else:
            self.abort()

    def pause_writing(self) -> None:
        self._full = True
        self.congested()

    def resume_writing(self) -> None:
        self._full = False
        if self.closed is not None or self._said_goodbye:
            return
        payload, self._owed_pong = self._owed_pong, None
        if payload is not None:
            self._send(bytes((0x8A, len(payload))) + payload)
        self.relieved()

    # Reading.

    def proceed(self) -> None:
        """Deliver what was held back, and read on."""
        if self._in_turn or self._paused:
            return
        self._deliver()
        if self._paused:
            return
        if self._lost:
            self.abort()
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def _deliver(self) -> None:
        """Deliver what was read, and write what was sent meanwhile."""
        self._in_turn = True
        read_next = self._reader.next
        try:
            while not (self._paused or self._deaf):
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
                    self._on_control(opcode, payload)
        except (ProtocolError, LimitExceeded) as fault:
            self._on_fault(fault)
        finally:
            self._in_turn = False
        self.flush()

    def _on_control(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._on_close_frame(read_close(payload))
        elif opcode != PING:
            self.ponged()
        elif self._full:
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
        transport = self._transport
        transport.close()  # what is in its buffer goes first
        if transport.get_write_buffer_size():
            self.gate.runtime.timers.call_later(self.gate.limits.close_seconds, transport.abort)

    def _on_fault(self, fault: ProtocolError | LimitExceeded) -> None:
        self._deaf = True
        if self._said_goodbye:
            self._hang_up()
        else:
            self.close(Close(fault.code, printable(str(fault))))

    def pause_reading(self) -> None:
        if not self._paused:
            self._paused = True
            if not self._transport.is_closing():
                self._transport.pause_reading()

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
        if not self._transport.is_closing():
            self._transport.write(data)
        elif self._lost:
            self.abort()

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
        self._transport.abort()
        self.ended(LOST)

    def _say_goodbye(self, close: Close) -> None:
        self._pending.append(close_frame(close))
        self._said_goodbye = True
        self.flush()

    def _hang_up(self) -> None:
        """Write no more, so that the peer hangs up too; it cannot be understood any more."""
        transport = self._transport
        if transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        elif not transport.get_write_buffer_size():
            # With TLS asyncio has nothing for it. It may have gone, and uvloop's socket cannot.
            with contextlib.suppress(OSError, TypeError, AttributeError):
                transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
