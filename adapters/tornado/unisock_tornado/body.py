"""The bodies of requests, as Tornado pushes them, and of streamed responses."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tornado.iostream import IOStream, StreamClosedError

from unisock.exchange import Body, Reader, Streamed

__all__ = ["Framed", "Incoming", "Outgoing"]

AHEAD = 65_536
"""Bytes of a request's body that are read before somebody asks for them."""


class Incoming:
    """The body of a request, between Tornado, which pushes it, and who receives it."""

    __slots__ = ("_arrival", "_dropping", "_pieces", "_room", "_size", "whole")

    def __init__(self) -> None:
        self.whole = False
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._dropping = False
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def put(self, piece: bytes) -> Awaitable[None] | None:
        """A piece has come; the next is to wait for what this returns."""
        if self._dropping:
            return None
        self._pieces.append(piece)
        self._size += len(piece)
        _release(self._arrival)
        if self._size <= AHEAD:
            return None
        self._room = asyncio.get_running_loop().create_future()
        return self._room

    def end(self) -> None:
        """All of it has come."""
        self.whole = True
        _release(self._arrival)

    def whole_body(self) -> bytes | None:
        """All of it; `None` if not all has come."""
        return b"".join(self._pieces) if self.whole else None

    async def receive(self) -> bytes:
        """The next piece; ``b""`` at the end."""
        while not (self._pieces or self.whole):
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        if not self._pieces:
            return b""
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._size <= AHEAD:
            _release(self._room)
        return piece

    def drop(self) -> None:
        """Nobody asks for the rest."""
        self._dropping = True
        self._pieces.clear()
        _release(self._room)


def _release(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class Framed(NamedTuple):
    """How the end of a body is told."""

    silent: bool
    """There is no body: the request was ``HEAD``, or the status is one without."""
    chunked: bool
    """Each write is a chunk. With HTTP/1.0 there are none: the connection ends with the body."""


class Outgoing(Body):
    """The body of a streamed response, on Tornado's stream.

    :param done: called once, when it is over, with whether it is whole
    """

    __slots__ = ("_congested", "_done", "_framed", "_over", "_reader", "_stream")

    def __init__(self, stream: IOStream, framed: Framed, done: Callable[[bool], None]) -> None:
        self._stream = stream
        self._framed = framed
        self._done = done
        self._reader: Reader | None = None
        self._congested = False
        self._over = False

    def start(self, response: Streamed) -> None:
        """Have it written; the headers are on their way."""
        self._reader = response.start(self)
        if self._congested and not self._over:
            self._reader.congested()

    def lost(self) -> None:
        """The client has gone."""
        if not self._over:
            self._over = True
            assert self._reader is not None
            self._reader.gone()

    def write(self, chunk: bytes) -> None:
        if self._over or self._framed.silent or not chunk:
            return
        data = b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._framed.chunked else chunk
        stream = self._stream
        try:
            written = stream.write(data)
        except StreamClosedError:  # `lost` follows
            return
        if not self._congested and stream.writing():  # the kernel's buffer is full
            self._congested = True
            written.add_done_callback(self._on_written)
            if self._reader is not None:
                self._reader.congested()

    def end(self) -> None:
        self._finish(True)

    def cut(self) -> None:
        self._finish(False)

    def _finish(self, whole: bool) -> None:
        if not self._over:
            self._over = True
            self._done(whole)

    def _on_written(self, written: asyncio.Future[None]) -> None:
        stream = self._stream
        if self._over or stream.closed():
            return
        if stream.writing():  # more was written meanwhile
            stream.write(b"").add_done_callback(self._on_written)
        else:
            self._congested = False
            assert self._reader is not None
            self._reader.relieved()
