"""Places where a server listens, and raw HTTP/1.1 (RFC 9112) with it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import msgspec
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from ..handshake import Headers

__all__ = ["Answer", "Place", "read_all"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response.

    :ivar status: its status code
    :ivar headers: its headers
    :ivar body: its body, put together if it came in chunks
    """

    status: int
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens.

    :ivar unix: the path of its Unix socket, in place of host and port
    :ivar tls: how to speak TLS to it; `None` for plain text
    """

    host: str = "localhost"
    port: int = 0
    unix: str | None = None
    tls: ssl.SSLContext | None = None

    @property
    def authority(self) -> str:
        """The ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.unix is not None else f"{host}:{self.port}"

    async def dial(self) -> ByteStream:
        """A new connection to it.

        :raises OSError: nobody listens there
        """
        stream: ByteStream
        if self.unix is not None:
            stream = await anyio.connect_unix(self.unix)
        else:
            stream = await anyio.connect_tcp(self.host, self.port)
        if self.tls is None:
            return stream
        return await TLSStream.wrap(
            stream, hostname=self.host, ssl_context=self.tls, standard_compatible=False
        )

    async def request(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answer:
        """Send one request on a connection of its own, and read all that comes back.

        :raises OSError: nobody listens there
        :raises ValueError: what comes back is no HTTP response
        """
        lines = [f"{method} {target} HTTP/1.1"]
        given = [("Host", self.authority), ("Connection", "close"), *headers]
        if body:
            given.append(("Content-Length", str(len(body))))
        lines += [f"{name}: {value}" for name, value in given]
        stream = await self.dial()
        try:
            await stream.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            return parse(await read_all(stream))
        finally:
            await anyio.aclose_forcefully(stream)


async def read_all(stream: ByteStream) -> bytes:
    """All that the other side sends until it closes, or cuts, the connection."""
    parts: list[bytes] = []
    try:
        while True:
            parts.append(await stream.receive())
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return b"".join(parts)


def parse(data: bytes) -> Answer:
    """An HTTP response that ends where the data ends.

    :raises ValueError: it is none
    """
    head, separator, body = data.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    if not separator or not version.startswith("HTTP/1."):
        raise ValueError(f"no HTTP response: {data[:200]!r}")
    pairs = [line.partition(":") for line in lines]
    headers = Headers([(name, value.strip()) for name, _, value in pairs])
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _join_chunks(body)
    return Answer(int(rest[:3]), headers, body)


def _join_chunks(body: bytes) -> bytes:
    """The content of a chunked body (RFC 9112 section 7.1)."""
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            return content
        content, body = content + body[:length], body[length + 2 :]
    raise ValueError("the last chunk is missing")
