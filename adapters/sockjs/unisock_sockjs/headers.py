"""The headers of responses: caching, CORS, cookies; and whose page a request comes from."""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from typing import TypeAlias
from urllib.parse import quote, urlsplit

from unisock.abc import Gate
from unisock.handshake import Handshake, Headers

from .options import Options
from .owner import JSESSIONID, new_cookie

__all__ = ["NOSNIFF", "NO_STORE", "PLAIN", "Pairs", "ResponseHeaders", "cacheable", "name_page"]

Pairs: TypeAlias = list[tuple[str, str]]

YEAR = 31_536_000
ALLOWED = "Access-Control-Allow-Origin"
NO_STORE = ("Cache-Control", "no-store, no-cache, no-transform, must-revalidate, max-age=0")
NOSNIFF = ("X-Content-Type-Options", "nosniff")
PLAIN = ("Content-Type", "text/plain; charset=UTF-8")


def cacheable() -> Pairs:
    """For what may be kept for a year."""
    expires = formatdate(time.time() + YEAR, usegmt=True)
    return [("Cache-Control", f"public, max-age={YEAR}"), ("Expires", expires)]


def name_page(handshake: Handshake) -> None:
    """Where a script tag may have made the request, which sends no ``Origin`` header, put one in:
    the page's, as far as the browser tells.

    ``null`` stands for a foreign one. A request with cookies and without any sign of where it comes
    from may be forged.
    """
    headers = handshake.headers
    site = headers.get("sec-fetch-site", "")
    if "origin" in headers or site in ("same-origin", "none"):
        return
    try:
        referer = urlsplit(headers.get("referer", ""))
    except ValueError:
        referer = urlsplit("")
    if referer.scheme and referer.netloc:
        page = f"{referer.scheme}://{referer.netloc}"
    elif site or "cookie" in headers:
        page = "null"
    else:
        return
    pairs = [(name, value) for name in headers for value in headers.all(name)]
    handshake.headers = Headers([*pairs, ("Origin", page)])


class ResponseHeaders:
    """The headers that depend on who asks."""

    def __init__(self, gate: Gate, options: Options) -> None:
        self._gate = gate
        self._options = options
        self._path = quote(gate.endpoint.path)

    def cors(self, handshake: Handshake) -> Pairs:
        """Let a page of another origin read the response, with its cookies: if it may connect."""
        if self._options.disable_cors:
            return []
        origin = handshake.origin
        pairs = [("Vary", "Origin")]
        if origin is None:
            if "*" in self._gate.origins:
                pairs.append((ALLOWED, "*"))
        elif self._gate.welcomes(handshake):
            pairs.append((ALLOWED, origin))
            pairs.append(("Access-Control-Allow-Credentials", "true"))
        return pairs

    def preflight(self, handshake: Handshake, method: str) -> Pairs:
        """What a page's browser wants to know before it sends the request itself."""
        allowed = self.cors(handshake)
        pairs = [*cacheable(), *allowed]
        if any(name == ALLOWED for name, _ in allowed):
            pairs.append(("Access-Control-Allow-Methods", f"OPTIONS, {method}"))
            pairs.append(("Access-Control-Max-Age", str(YEAR)))
            asked = handshake.headers.get("access-control-request-headers")
            if asked:
                pairs.append(("Access-Control-Allow-Headers", asked))
        return [*pairs, *self.sticky(handshake)]

    def session(self, handshake: Handshake, *content: tuple[str, str]) -> Pairs:
        """For any response of a session's."""
        return [*content, NO_STORE, *self.cors(handshake), *self.sticky(handshake)]

    def sticky(self, handshake: Handshake) -> Pairs:
        """The cookie by which load balancers know a client. It is set on each response, so that
        they can attach what they like.
        """
        if not self._options.jsessionid:
            return []
        value = handshake.cookies.get(JSESSIONID, "")
        plain = re.fullmatch(r"[\w.!~-]{1,128}", value, re.ASCII)
        return [("Set-Cookie", f"{JSESSIONID}={value if plain else 'dummy'}; path=/")]

    def minted(self, handshake: Handshake, secret: str) -> Pairs:
        """The cookie with a new secret; nothing without one."""
        return [("Set-Cookie", new_cookie(handshake, secret, self._path))] if secret else []
