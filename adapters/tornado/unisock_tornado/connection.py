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

from unisock.abc import Upgrade
from unisock.frame_connection import Connections, StreamConnection
from unisock.framing import WebSocketFraming

__all__ = ["TornadoConnection"]

_FRAMING = WebSocketFraming()


class TornadoConnection(StreamConnection):
    """The server's end of an accepted WebSocket.

    :param stream: detached from its HTTP connection
    """

    __slots__ = ("_reading", "_stream")

    def __init__(self, upgrade: Upgrade, stream: IOStream, connections: Connections) -> None:
        super().__init__(upgrade, _FRAMING, connections, unmask)
        self._stream = stream
        self._reading = False
        stream.set_close_callback(self.gone)

    def read_on(self) -> None:
        if self._reading:
            return
        self._reading = True
        try:
            future = self._stream.read_bytes(self.wants, partial=True)
        except OSError:  # closed; what the stream had buffered was read before
            self.found_closed()
        else:
            cast("asyncio.Future[bytes]", future).add_done_callback(self._on_read)

    def _on_read(self, future: asyncio.Future[bytes]) -> None:
        self._reading = False
        if future.cancelled() or future.exception() is not None:
            return  # `gone` follows
        self.arrived(future.result())
        if not self.paused:
            self.read_on()

    def put_out(self, data: bytes) -> None:
        stream = self._stream
        try:
            written = stream.write(data)
        except StreamClosedError:
            self.found_closed()
            return
        if stream.writing():  # the kernel's buffer is full
            written.add_done_callback(self._on_written)
            self.congested()

    def _on_written(self, written: asyncio.Future[None]) -> None:
        if self._stream.closed() or self._stream.writing():
            return
        if self.closed is not None:
            self.abort()
        elif not self.said_goodbye:
            self.relieved()
        elif self.deaf:
            self.hang_up()

    def finish(self) -> None:
        if self._stream.writing():
            self.gate.runtime.timers.call_later(self.gate.limits.close_seconds, self.abort)
        else:
            self.abort()

    def hang_up(self) -> None:
        if self._stream.socket is not None and not self._stream.writing():
            with contextlib.suppress(OSError):  # it is gone already
                self._stream.socket.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        self._stream.set_close_callback(None)
        self._stream.close()
