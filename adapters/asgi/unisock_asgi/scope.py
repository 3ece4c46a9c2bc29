"""ASGI's words for requests and headers, and unisock's.

The specification: https://asgi.readthedocs.io/en/stable/specs/www.html
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from unisock import Address, Handshake

__all__ = [
    "Application",
    "Event",
    "Receive",
    "Scope",
    "Send",
    "encode",
    "handshake_of",
    "has_body",
    "path_of",
]

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def path_of(scope: Scope) -> str:
    """The decoded path below the mount point, which is ``root_path``.

    Some hosts repeat ``root_path`` at the beginning of ``path``, as the specification says, and
    some do not. Litestar puts a slash behind the paths below a mount, which the client did not ask
    for.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    asked: bytes = scope.get("raw_path") or b"/"
    if path.endswith("/") and not asked.endswith(b"/"):
        path = path[:-1]
    return path or "/"


def handshake_of(scope: Scope) -> Handshake:
    """The request. A user that a middleware of the framework has found (``scope["user"]``) is its
    user until ``authorize`` says otherwise.
    """
    client = scope.get("client")
    handshake = Handshake(
        target="?" + scope.get("query_string", b"").decode("latin-1"),
        headers=[
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ],
        peer=Address(str(client[0]), int(client[1])) if client and client[0] else Address("unix"),
        method=scope.get("method", "GET"),
        scheme=_SCHEMES.get(scope.get("scheme", ""), "http"),
    )
    handshake.path = path_of(scope)
    handshake.user = scope.get("user")
    return handshake


def has_body(scope: Scope) -> bool:
    """Whether the request may have a body (RFC 9112 section 6.3). From HTTP/2 on, no header has to
    tell.
    """
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    newer = scope.get("http_version", "1.1") >= "2"
    return newer and scope["method"] not in ("GET", "HEAD")


def encode(headers: Iterable[tuple[str, str]], scope: Scope) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them, without those that HTTP/2 and HTTP/3 do not know.

    :raises ValueError: one of them is not allowed (RFC 9110 section 5)
    """
    newer = scope.get("http_version", "1.1") >= "2"
    pairs: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise ValueError(f"HTTP does not allow the header {name!r}: {value!r}")
        if not (newer and name.lower() in _OF_THE_CONNECTION):
            pairs.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return pairs
