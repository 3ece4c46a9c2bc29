"""What a client asks for, and what it is told."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import msgspec

from unisock import Handshake, HandshakeRejected
from unisock.abc import Call
from unisock.handshake import Address
from unisock.messages import printable

__all__ = ["polling_handshake", "target", "translated", "websocket_call"]

_OURS = frozenset({"EIO", "transport", "sid", "t", "b64", "j"})


class _Error(msgspec.Struct):
    """The body of an answer that says no."""

    code: int
    message: str


def translated(rejection: HandshakeRejected, body: bytes = b"") -> HandshakeRejected:
    """A refusal, in the words of the server."""
    try:
        told = msgspec.json.decode(body or rejection.reason, type=_Error)
    except (msgspec.DecodeError, RecursionError):
        return rejection
    status = rejection.status
    return HandshakeRejected(
        printable(told.message) or "refused",
        status=status,
        code=1013 if status == 503 else rejection.code,
        retry=rejection.retry or status in (429, 503),
        headers=rejection.headers,
    )


def target(call: Call, transport: str, sid: str = "") -> str:
    """Path and query of a request."""
    path, _, query = call.url.resource.partition("?")
    pairs = [(key, value) for key, value in parse_qsl(query, True) if key not in _OURS]
    pairs += [("EIO", "4"), ("transport", transport)]
    if sid:
        pairs.append(("sid", sid))
    # As the JavaScript clients do; servers of Node's take no path without it.
    return f"{path.rstrip('/')}/?{urlencode(pairs)}"


def websocket_call(call: Call, sid: str = "", cookie: str = "") -> Call:
    """The call for the WebSocket of a session."""
    url = msgspec.structs.replace(
        call.url, connector="websocket", resource=target(call, "websocket", sid)
    )
    headers = call.headers
    if cookie:
        given = [value for name, value in headers if name.lower() == "cookie"]
        headers = tuple(pair for pair in headers if pair[0].lower() != "cookie")
        headers += (("Cookie", "; ".join([*given, cookie])),)
    return msgspec.structs.replace(call, url=url, headers=headers)


def polling_handshake(call: Call) -> Handshake:
    """The request that opened a session by polling."""
    url = call.url
    return Handshake(
        target=target(call, "polling"),
        headers=[("Host", url.authority), *call.headers],
        peer=Address(url.unix) if url.unix is not None else Address(url.host, url.port),
        scheme="https" if url.secure else "http",
        transport="polling",
    )
