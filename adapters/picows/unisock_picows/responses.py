"""HTTP/1.1 responses (RFC 9112) as bytes."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from unisock.handshake import Handshake

__all__ = ["CONTINUE", "LAST_CHUNK", "as_chunk", "head", "switching"]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*")
_WEBSOCKET_ID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def head(
    status: int, headers: Sequence[tuple[str, str]], *connection: str, length: int | None = None
) -> bytes:
    """A status line and headers.

    :param connection: words for the header ``Connection``, besides those in ``headers``
    :param length: of the body, where the headers are to tell it
    :raises ValueError: a header has no form in HTTP
    """
    fields = _fields(status, tuple(headers), connection) + _date()
    return fields + (b"\r\n" if length is None else b"Content-Length: %d\r\n\r\n" % length)


@lru_cache(maxsize=256)
def _fields(
    status: int, headers: tuple[tuple[str, str], ...], connection: tuple[str, ...]
) -> bytes:
    """What is the same in many responses."""
    words = [*connection]
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}"]
    for name, value in headers:
        if name.lower() == "connection":
            words.append(value)
        else:
            lines.append(_field(name, value))
    if words:
        lines.append(_field("Connection", ", ".join(words)))
    return "\r\n".join([*lines, ""]).encode("latin-1")


def switching(handshake: Handshake, headers: Iterable[tuple[str, str]]) -> bytes:
    """The answer that accepts an opening handshake (RFC 6455 section 4.2.2).

    :raises ValueError: a header has no form in HTTP
    """
    key = handshake.headers["sec-websocket-key"].encode("latin-1")
    accept = base64.b64encode(hashlib.sha1(key + _WEBSOCKET_ID).digest()).decode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    ]
    if handshake.subprotocol:
        lines.append(_field("Sec-WebSocket-Protocol", handshake.subprotocol))
    lines += [_field(name, value) for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def as_chunk(data: bytes) -> bytes:
    """A chunk of a body (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _field(name: str, value: str) -> str:
    line = f"{name}: {value}"
    if _FIELD.fullmatch(line) is None:
        raise ValueError(f"no header of HTTP: {line!r}")
    return line


_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_dates: dict[int, bytes] = {}


def _date() -> bytes:
    """The header ``Date``, made once a second."""
    now = int(time.time())
    line = _dates.get(now)
    if line is None:
        _dates.clear()
        _dates[now] = line = f"Date: {formatdate(now, usegmt=True)}\r\n".encode()
    return line
