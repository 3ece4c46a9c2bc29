"""Tornado's side of RFC 6455, made strict.

Tornado takes unmasked frames, any number of fragments, and close frames that are none; it sends
invalid close codes back; and it cuts the connection over a message that is too long, so that the
client never sees why. Its methods have no public hooks for any of this, hence the private names.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from tornado.websocket import WebSocketHandler, WebSocketProtocol13

from unisock import Close, LimitExceeded, Limits, ProtocolError

__all__ = ["StrictProtocol"]

TEXT, CLOSE = 1, 8
"""Opcodes (RFC 6455 section 5.2)."""
_HEADER, _LENGTH, _REST = range(3)

Fault = ProtocolError | LimitExceeded


class StrictProtocol(WebSocketProtocol13):
    """The server's side of one WebSocket.

    :param limits: what a message may have; ``most`` is the bytes that one takes on the wire
    :param on_fault: is called when the client broke a rule; nothing that comes after it is read
    :ivar told: the client sent a close frame
    """

    def __init__(
        self,
        handler: WebSocketHandler,
        params: Any,
        *,
        limits: Limits,
        most: int,
        on_fault: Callable[[Fault], None],
    ) -> None:
        super().__init__(handler, False, params)
        self.told = False
        self._limits = limits
        self._most = most
        self._on_fault = on_fault
        self._deaf = False
        self._stage = _HEADER
        self._control = False
        self._fragments = 0
        self._collected = 0

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        if self.client_terminated and not self.stream.closed():
            self.told = True
            if code is not None and not Close.sendable(code):
                code = 1002
        super().close(code, reason)

    def send_text(self, text: str) -> asyncio.Future[None]:
        """Send a message, without the task that tornado's ``write_message`` makes for each.

        :returns: done, at once, if the kernel has taken it all
        :raises StreamClosedError: the connection is closed
        """
        return self._write_frame(True, TEXT, text.encode())

    async def _receive_frame(self) -> None:
        if self._deaf:
            # To close with unread bytes would reset the connection, and the client would not see
            # the close frame: read on until it hangs up, or until close_seconds are over.
            await self.stream.read_bytes(65_536, partial=True)
            return
        self._stage = _HEADER
        try:
            await super()._receive_frame()
        except (ProtocolError, LimitExceeded) as fault:
            self._deaf = True
            self._on_fault(fault)
            if self.stream.socket is not None and not self.stream.writing():
                with contextlib.suppress(OSError):  # it is gone already
                    self.stream.socket.shutdown(socket.SHUT_WR)

    async def _read_bytes(self, n: int) -> bytes:
        # As tornado has it, without a call in between: it is called four times for each frame.
        data = await self.stream.read_bytes(n)
        self._wire_bytes_in += n
        if self._stage == _HEADER:
            self._check_header(data[0], data[1])
        elif self._stage == _LENGTH:
            self._check_size(int.from_bytes(data, "big"))
        return data

    def _check_header(self, first: int, second: int) -> None:
        if not second & 0x80:
            raise ProtocolError("a frame without a mask")
        final, opcode, size = first & 0x80, first & 0x0F, second & 0x7F
        self._control = opcode >= CLOSE
        if not self._control:
            if opcode:
                self._fragments = self._collected = 0
            self._fragments += 1
            if self._fragments > self._limits.fragments:
                raise LimitExceeded("fragments", self._limits.fragments, code=1009)
            if final:
                self._fragments = 0
        if size < 126:
            self._check_size(size)
        else:
            self._stage = _LENGTH

    def _check_size(self, size: int) -> None:
        self._stage = _REST
        if self._control:
            return
        self._collected += size
        if self._collected > self._most:
            raise LimitExceeded("message_bytes", self._limits.message_bytes, code=1009)

    def _handle_message(self, opcode: int, data: bytes) -> asyncio.Future[None] | None:
        if opcode == CLOSE and len(data) == 1:
            raise ProtocolError("a close frame with half a code")
        return super()._handle_message(opcode, data)
