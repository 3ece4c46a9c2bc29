"""A WebSocket on an asyncio transport that was aiohttp's."""

from __future__ import annotations

import asyncio
import contextlib
import socket

# Private, and what aiohttp's own WebSockets use: its C code, or Python where there is none.
from aiohttp._websocket.helpers import websocket_mask

from unisock.abc import Upgrade
from unisock.frame_connection import Connections, StreamConnection
from unisock.framing import Framing

from .deflate import PLAIN

__all__ = ["AiohttpConnection"]


def unmask(mask: bytes, payload: bytes) -> bytearray:
    """By aiohttp's function, which does it in place."""
    data = bytearray(payload)
    websocket_mask(mask, data)
    return data


class AiohttpConnection(StreamConnection, asyncio.Protocol):
    """The server's end of an accepted WebSocket.

    :param transport: whose protocol this becomes
    """

    __slots__ = ("_is_lost", "_transport")

    def __init__(
        self,
        upgrade: Upgrade,
        transport: asyncio.Transport,
        connections: Connections,
        framing: Framing,
    ) -> None:
        super().__init__(upgrade, framing, connections, unmask, deflate=framing is not PLAIN)
        self._transport = transport
        self._is_lost = False

    # From asyncio.

    def data_received(self, data: bytes) -> None:
        self.arrived(data)

    def eof_received(self) -> bool:
        if self.closed is None and not self.paused:
            self.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self.gone()

    def pause_writing(self) -> None:
        self.congested()

    def resume_writing(self) -> None:
        self.relieved()

    # For the base.

    def stop_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def read_on(self) -> None:
        if self._transport.is_closing():
            self.found_closed()
        else:
            self._transport.resume_reading()

    def put_out(self, data: bytes) -> None:
        if self._transport.is_closing():
            self.found_closed()
        else:
            self._transport.write(data)

    def finish(self) -> None:
        transport = self._transport
        transport.close()  # what is in its buffer goes first
        if transport.get_write_buffer_size():
            self.gate.runtime.timers.call_later(self.gate.limits.close_seconds, transport.abort)

    def hang_up(self) -> None:
        transport = self._transport
        if transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        elif not transport.get_write_buffer_size():
            # With TLS asyncio has nothing for it. It may have gone, and uvloop's socket cannot.
            with contextlib.suppress(OSError, TypeError, AttributeError):
                transport.get_extra_info("socket").shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        if not self._is_lost:  # asyncio would tell of the loss twice, and stumble over that
            self._transport.abort()
