"""What is answered to HTTP requests: errors, payloads, CORS, JSONP."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl

import msgspec

from unisock import Handshake, HandshakeRejected, ProtocolError
from unisock.abc import Gate
from unisock.exchange import Response
from unisock.messages import printable

from .options import Options

__all__ = [
    "BAD_METHOD",
    "BAD_REQUEST",
    "BAD_REVISION",
    "FORBIDDEN",
    "UNKNOWN_SID",
    "UNKNOWN_TRANSPORT",
    "cors",
    "error",
    "form_data",
    "ok",
    "payload",
    "preflight",
    "refusal",
]

UNKNOWN_TRANSPORT, UNKNOWN_SID, BAD_METHOD, BAD_REQUEST, FORBIDDEN, BAD_REVISION = range(6)
"""The codes of errors."""

_MESSAGES = (
    "Transport unknown",
    "Session ID unknown",
    "Bad handshake method",
    "Bad request",
    "Forbidden",
    "Unsupported protocol version",
)
_JSON = ("Content-Type", "application/json")
_NO_STORE = ("Cache-Control", "no-store")
_NO_SNIFF = ("X-Content-Type-Options", "nosniff")
# A browser that loads the answer to a form into an iframe would offer plain text as a download.
_OK_HEADERS = (("Content-Type", "text/html"), _NO_STORE, _NO_SNIFF)


def error(code: int, message: str = "", *, status: int = 400) -> Response:
    """The answer to a request that cannot be served, as the reference implementation has it."""
    body = {"code": code, "message": message or _MESSAGES[code]}
    return Response(status, msgspec.json.encode(body), (_JSON,))


def refusal(rejection: HandshakeRejected) -> Response:
    """The answer to a client that is turned away."""
    # `error` is where the refusals of all other protocols have the reason.
    reason = rejection.reason
    body = {"code": FORBIDDEN, "message": reason, "error": reason, "retry": rejection.retry}
    headers = (_JSON, *rejection.headers)
    return Response(rejection.status, msgspec.json.encode(body), headers)


def payload(body: bytes, kind: str, callback: str | None) -> Response:
    """The answer to a poll.

    :param callback: digits of the JSONP function
    """
    if callback is not None:
        digits = re.sub("[^0-9]", "", callback)
        script = json.dumps(body.decode()).replace("<", "\\u003c")  # ASCII, so U+2028 is escaped
        body = f"___eio[{digits}]({script});".encode()
        kind = "text/javascript; charset=UTF-8"
    return Response(200, body, (("Content-Type", kind), _NO_STORE, _NO_SNIFF))


def ok() -> Response:
    """The answer to a POST."""
    return Response(200, b"ok", _OK_HEADERS)


def form_data(body: bytes) -> bytes:
    """The payload in the form of a JSONP client.

    Browsers turn a line feed of a form into CR LF, so the client sends ``\\n`` in its place, and
    ``\\\\n`` for those two characters.

    :raises ProtocolError: there is none
    """
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=8))
        data = fields["d"]
    except (ValueError, KeyError) as failure:
        raise ProtocolError("a form without d") from failure
    data = re.sub(r"(\\)?\\n", lambda found: found[0] if found[1] else "\n", data)
    return data.replace("\\\\n", "\\n").encode("utf-8", "replace")


def cors(gate: Gate, handshake: Handshake, options: Options) -> tuple[tuple[str, str], ...]:
    """The headers that let a page of another origin read an answer (Fetch, section 3.2)."""
    origin = handshake.origin
    if origin is None or handshake.same_origin or not gate.welcomes(handshake):
        return ()
    if "*" in gate.origins:
        return (("Access-Control-Allow-Origin", "*"),)
    headers = (("Access-Control-Allow-Origin", printable(origin, 200)), ("Vary", "Origin"))
    if options.credentials:
        return (*headers, ("Access-Control-Allow-Credentials", "true"))
    return headers


def preflight(gate: Gate, handshake: Handshake, options: Options) -> Response:
    """The answer to ``OPTIONS``; the headers of `cors` are still to be added."""
    if not gate.welcomes(handshake):
        return error(FORBIDDEN, status=403)
    headers = (
        ("Access-Control-Allow-Methods", "GET, POST"),
        ("Access-Control-Allow-Headers", ", ".join(options.allowed_headers)),
        ("Access-Control-Max-Age", str(options.max_age)),
    )
    return Response(204, headers=headers)
