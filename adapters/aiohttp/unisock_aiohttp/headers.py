"""What the headers of requests and responses say."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence

from aiohttp import web
from aiohttp.http import WS_KEY, HttpVersion11
from multidict import CIMultiDict

from unisock.exchange import Response

__all__ = ["accept_of", "asks_for_websocket", "fit", "headers_of", "refusal"]

_UNFIT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


def asks_for_websocket(request: web.BaseRequest) -> bool:
    """Whether it is an opening handshake (RFC 6455 section 4.2.1), in good order or not."""
    headers = request.headers
    return (
        request.method == "GET"
        and request.version == HttpVersion11
        and "websocket" in _tokens(headers.getall("Upgrade", ()))
        and "upgrade" in _tokens(headers.getall("Connection", ()))
    )


def refusal(request: web.BaseRequest, upgrade: bool) -> Response | None:
    """The answer to a request that is not even one."""
    headers = request.headers
    if request.version == HttpVersion11 and not headers.get("Host"):
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


def accept_of(key: str) -> str:
    """``Sec-WebSocket-Accept`` for this key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + WS_KEY).digest()).decode()


def fit(pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether HTTP allows these headers (RFC 9110 section 5.5)."""
    return not any(_UNFIT.search(text) for pair in pairs for text in pair)


def headers_of(pairs: Sequence[tuple[str, str]]) -> CIMultiDict[str]:
    """As aiohttp has them."""
    return CIMultiDict(pairs)


def _tokens(values: Sequence[str]) -> list[str]:
    return [token.strip().lower() for value in values for token in value.split(",")]
