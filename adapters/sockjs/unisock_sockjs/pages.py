"""What an endpoint says outside of sessions: the greeting, the info, the page for iframes."""

from __future__ import annotations

import html
import secrets
from hashlib import sha256
from typing import Any

import msgspec

from unisock.abc import Gate
from unisock.exchange import Response
from unisock.handshake import Handshake

from .headers import NO_STORE, NOSNIFF, PLAIN, ResponseHeaders, cacheable
from .options import Options

__all__ = ["Pages", "ancestors", "not_allowed"]

_IFRAME = """\
<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="%s"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"""


def ancestors(gate: Gate) -> tuple[str, str]:
    """Only pages of the allowed origins may embed a document."""
    allowed = ["*"] if "*" in gate.origins else ["'self'", *sorted(gate.origins)]
    return ("Content-Security-Policy", f"frame-ancestors {' '.join(allowed)}")


def not_allowed(*methods: str) -> Response:
    """The answer to a request by another method than these."""
    return Response(405, headers=[("Allow", ", ".join(methods))])


class Pages:
    """The answers of one endpoint.

    :param transports: those on offer
    """

    def __init__(
        self, gate: Gate, options: Options, headers: ResponseHeaders, transports: tuple[str, ...]
    ) -> None:
        self._gate = gate
        self._options = options
        self._headers = headers
        self._transports = transports
        self._iframe = (_IFRAME % html.escape(options.sockjs_url)).encode()
        self._etag = f'"{sha256(self._iframe).hexdigest()[:32]}"'

    def greeting(self) -> Response:
        """``GET …/``"""
        return Response(200, b"Welcome to SockJS!\n", [PLAIN])

    def info(self, handshake: Handshake) -> Response:
        """``GET …/info``: what is on offer; with it sockjs-client begins."""
        options = self._options
        told: dict[str, Any] = {
            "websocket": "websocket" in self._transports,
            "transports": self._transports,
            "origins": ["*:*"],
            "cookie_needed": options.jsessionid or options.cookieless == "refuse",
            "entropy": secrets.randbits(32),
        }
        if options.disable_cors:
            del told["origins"]
        if options.base_url:
            told["base_url"] = options.base_url
        kind = ("Content-Type", "application/json; charset=UTF-8")
        headers = [kind, NO_STORE, *self._headers.cors(handshake)]
        return Response(200, msgspec.json.encode(told), headers)

    def iframe(self, handshake: Handshake) -> Response:
        """``GET …/iframe*.html``"""
        headers = [*cacheable(), ("ETag", self._etag), ancestors(self._gate), NOSNIFF]
        if handshake.headers.get("if-none-match") == self._etag:
            return Response(304, headers=headers)
        return Response(200, self._iframe, [("Content-Type", "text/html; charset=UTF-8"), *headers])
