"""What the headers of requests and responses say."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from http.client import responses

from tornado.httputil import HTTPHeaders, RequestStartLine, ResponseStartLine

from unisock.exchange import Response

__all__ = ["asks_for_websocket", "headers_of", "refusal", "status_line"]


def asks_for_websocket(start_line: RequestStartLine, headers: HTTPHeaders) -> bool:
    """Whether it is an opening handshake (RFC 6455 section 4.2.1), in good order or not."""
    return (
        start_line.method == "GET"
        and start_line.version == "HTTP/1.1"
        and "websocket" in _tokens(headers.get("Upgrade", ""))
        and "upgrade" in _tokens(headers.get("Connection", ""))
    )


def refusal(start_line: RequestStartLine, headers: HTTPHeaders, upgrade: bool) -> Response | None:
    """The answer to a request that is not even one."""
    if start_line.version == "HTTP/1.1" and not headers.get("Host"):
        return Response.text(400, "The header Host is missing.")
    if not upgrade:
        return None
    if headers.get("Sec-WebSocket-Version") != "13":
        return Response.text(
            426, "The WebSocket version must be 13.", ("Sec-WebSocket-Version", "13")
        )
    try:
        key = binascii.a2b_base64(headers.get("Sec-WebSocket-Key", ""), strict_mode=True)
    except ValueError:
        key = b""
    if len(key) != 16:
        return Response.text(400, "The header Sec-WebSocket-Key must be 16 bytes in base64.")
    return None


def headers_of(pairs: Sequence[tuple[str, str]]) -> HTTPHeaders:
    """As Tornado has them."""
    headers = HTTPHeaders()
    for name, value in pairs:
        headers.add(name, value)
    return headers


def status_line(code: int) -> ResponseStartLine:
    """The first line of a response."""
    return ResponseStartLine("HTTP/1.1", code, responses.get(code, "Unknown"))


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]
