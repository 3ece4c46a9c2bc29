"""HTTP responses as a client reads them: a server's to the handshake, a proxy's to CONNECT."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import TypeAlias, cast

import anyio
from websockets.exceptions import InvalidHandshake
from websockets.http11 import Response
from websockets.streams import StreamReader

from unisock.errors import ProtocolError
from unisock.messages import printable

__all__ = ["BODY_BYTES", "HEAD_BYTES", "read_body", "read_head"]

HEAD_BYTES = 16_384
"""The status line and all headers of a response."""
BODY_BYTES = 65_536
"""The body of a refusal."""
BODY_SECONDS = 2.0
"""How long a body is waited for: it only says more about a refusal, whose status is known."""

Receive: TypeAlias = Callable[[], Awaitable[bytes]]
"""Gives some bytes, or raises `anyio.EndOfStream` or `anyio.BrokenResourceError`."""

_Parser: TypeAlias = Generator[None, None, Response]
_BAD = (ValueError, LookupError, NotImplementedError, EOFError, InvalidHandshake)


async def read_head(receive: Receive, who: str) -> tuple[Response, bytes, bytes]:
    """A response without its body.

    :param who: who answers, for the error
    :returns: the response, the bytes that it was, and what has come behind them
    :raises ProtocolError: it is no HTTP, or too long
    """
    buffer = bytearray()
    while b"\r\n\r\n" not in buffer and len(buffer) <= HEAD_BYTES:
        buffer += await receive()
        if not b"HTTP/".startswith(buffer[:5]):
            raise ProtocolError(f"{who} does not speak HTTP")
    head, separator, rest = buffer.partition(b"\r\n\r\n")
    if len(head) > HEAD_BYTES:
        raise ProtocolError(f"{who} answered with over {HEAD_BYTES} bytes of headers")
    head += separator
    reader = StreamReader()
    reader.feed_data(bytes(head))
    # As a proxy's answer it ends with its headers.
    parser: _Parser = Response.parse(
        reader.read_line, reader.read_exact, reader.read_to_eof, proxy=True
    )
    try:
        next(parser)
    except StopIteration as done:
        return cast("Response", done.value), bytes(head), bytes(rest)
    except _BAD as error:
        told = printable(str(error), 200)
        raise ProtocolError(f"{who} does not speak HTTP: {told}") from error
    raise ProtocolError(f"{who} does not speak HTTP: its headers do not end")


async def read_body(receive: Receive, head: bytes, rest: bytes) -> bytes:
    """The body of a refusal; nothing if it is too long, too slow, or cut off.

    :param head: what `read_head` read
    :param rest: what had come behind it
    """
    reader = StreamReader()
    reader.feed_data(head)
    parser: _Parser = Response.parse(reader.read_line, reader.read_exact, reader.read_to_eof)
    read = 0
    with anyio.move_on_after(BODY_SECONDS):
        while read <= BODY_BYTES:
            try:
                if rest:
                    read += len(rest)
                    reader.feed_data(rest)
                next(parser)
                rest = await receive()
            except StopIteration as done:
                return bytes(cast("Response", done.value).body)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                if reader.eof:
                    break
                rest = b""
                reader.feed_eof()
            except (*_BAD, OSError):
                break
    return b""
