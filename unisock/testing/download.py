"""HTTP responses that are read while they come, chunk by chunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import ByteStream

from ..connection import LOST
from ..handshake import Headers
from ..memory import MemoryDownload as MemoryBody
from .wire import Place

__all__ = ["Download", "HttpConnection", "HttpDownload", "MemoryDownload"]


class Download(ABC):
    """A response that is being read. As a context manager, it goes away at the end.

    :ivar status: the HTTP status
    :ivar headers: its headers
    """

    status: int
    headers: Headers

    @abstractmethod
    async def receive(self) -> bytes:
        """The next chunk; ``b""`` at the end.

        :raises ConnectionLost: the body was cut off
        """

    @abstractmethod
    async def drop(self) -> None:
        """Go away."""

    async def read(self) -> bytes:
        """All that is left."""
        pieces: list[bytes] = []
        while piece := await self.receive():
            pieces.append(piece)
        return b"".join(pieces)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.drop()


class MemoryDownload(Download):
    """A response of the memory adapter."""

    def __init__(self, body: MemoryBody) -> None:
        self._body = body
        self.status = body.status
        self.headers = Headers(body.headers)

    async def receive(self) -> bytes:
        return await self._body.receive()

    async def drop(self) -> None:
        self._body.drop()


class HttpConnection:
    """A connection on which requests are made one after another (RFC 9112)."""

    def __init__(self, stream: ByteStream, place: Place) -> None:
        self._stream = stream
        self._place = place
        self._buffer = bytearray()

    @classmethod
    async def open(cls, place: Place) -> HttpConnection:
        """A new one.

        :raises OSError: nobody listens there
        """
        return cls(await place.dial(), place)

    async def send(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        version: str = "HTTP/1.1",
    ) -> None:
        """Send a request; ``Content-Length`` is added where there is a body."""
        pairs = [("Host", self._place.authority), *headers]
        if body or method in ("POST", "PUT", "PATCH"):
            pairs.append(("Content-Length", str(len(body))))
        lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in pairs)]
        await self.send_raw("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self._stream.send(data)

    async def response(self, *, method: str = "GET") -> HttpDownload:
        """The head of the next response; its body is read from what this returns.

        :param method: of its request: after ``HEAD`` there is no body
        :raises ConnectionLost: there is none
        """
        head = (await self.until(b"\r\n\r\n"))[:-4].decode("latin-1")
        status_line, *lines = head.split("\r\n")
        pairs = [line.partition(":") for line in lines]
        headers = Headers([(name, value.strip()) for name, _, value in pairs])
        return HttpDownload(self, int(status_line.split(" ")[1]), headers, head=method == "HEAD")

    async def until(self, end: bytes) -> bytes:
        """Everything up to, and with, these bytes.

        :raises ConnectionLost: they do not come
        """
        while (at := self._buffer.find(end)) < 0:
            await self._more()
        return self.take(at + len(end))

    async def exactly(self, size: int) -> bytes:
        """So many bytes.

        :raises ConnectionLost: there are not so many
        """
        while len(self._buffer) < size:
            await self._more()
        return self.take(size)

    async def some(self) -> bytes:
        """Whatever comes; ``b""`` at the end."""
        if not self._buffer:
            try:
                return await self._stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return b""
        return self.take(len(self._buffer))

    def take(self, size: int) -> bytes:
        """So many bytes of those that are there."""
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _more(self) -> None:
        try:
            self._buffer += await self._stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            raise LOST.error() from None

    async def drop(self) -> None:
        """Close it."""
        await anyio.aclose_forcefully(self._stream)


class HttpDownload(Download):
    """A response over HTTP/1: each HTTP chunk is a chunk."""

    def __init__(
        self, connection: HttpConnection, status: int, headers: Headers, *, head: bool
    ) -> None:
        self.status = status
        self.headers = headers
        self._connection = connection
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length")
        self._left: int | None = None if length is None else int(length)
        self._over = head or status in (204, 304)

    async def receive(self) -> bytes:
        if self._over:
            return b""
        if self._chunked:
            chunk = await self._chunk()
        elif self._left is not None:
            chunk = await self._connection.exactly(self._left)
            self._over = True
        else:
            chunk = await self._connection.some()
        self._over = self._over or not chunk
        return chunk

    async def _chunk(self) -> bytes:
        size = int((await self._connection.until(b"\r\n")).partition(b";")[0], 16)
        return (await self._connection.exactly(size + 2))[:-2]

    async def drop(self) -> None:
        await self._connection.drop()
