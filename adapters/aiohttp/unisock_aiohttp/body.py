"""The body of a streamed response."""

from __future__ import annotations

import asyncio

from unisock.exchange import Body, Reader, Streamed

from .watch import Observer

__all__ = ["Outgoing"]


class Outgoing(Body, Observer):
    """A body on an asyncio transport.

    :param chunked: whether each write is a chunk; with HTTP/1.0 there are none
    :param silent: whether there is no body: the request was ``HEAD``, or the status is one without
    :ivar over: set at its end, however it comes
    :ivar whole: whether that was the end of the body
    """

    __slots__ = ("_chunked", "_congested", "_reader", "_silent", "_transport", "over", "whole")

    def __init__(self, transport: asyncio.Transport, *, chunked: bool, silent: bool) -> None:
        self.over = asyncio.Event()
        self.whole = False
        self._transport = transport
        self._chunked = chunked
        self._silent = silent
        self._congested = False
        self._reader: Reader | None = None

    def start(self, response: Streamed) -> None:
        """Have it written; the headers are on their way."""
        self._reader = response.start(self)
        if self._congested and not self.over.is_set():
            self._reader.congested()

    def write(self, chunk: bytes) -> None:
        if self._silent or not chunk or self.over.is_set() or self._transport.is_closing():
            return
        data = b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk
        self._transport.write(data)

    def end(self) -> None:
        if not self.over.is_set():
            self.whole = True
            self.over.set()

    def cut(self) -> None:
        if not self.over.is_set():
            self.over.set()
            self._transport.abort()

    def on_lost(self) -> None:
        if not self.over.is_set():
            self.over.set()
            if self._reader is not None:
                self._reader.gone()

    def on_full(self) -> None:
        self._congested = True
        if self._reader is not None and not self.over.is_set():
            self._reader.congested()

    def on_room(self) -> None:
        self._congested = False
        if self._reader is not None and not self.over.is_set():
            self._reader.relieved()
