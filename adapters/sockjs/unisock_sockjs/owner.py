"""Whose a session is: who learns its id, from a log or over a shoulder, does not own it.

The protocol has nothing but the id, which the client makes up. So a client is given a secret in a
cookie of the endpoint's, one for all its sessions. From the first request on that shows it, the
session is bound to it. Clients without cookies never show it: scripts, pages of another origin that
use EventSource, browsers that block the cookies of third parties. Their sessions are bound to the
address that opened them, and to the credentials where the application asked for some.
"""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256
from typing import Literal

from unisock.handshake import Handshake

__all__ = ["COOKIE", "JSESSIONID", "Owner", "new_cookie"]

COOKIE = "unisock-sockjs"
"""The cookie with the client's secret: 128 bits."""
JSESSIONID = "JSESSIONID"

_SECRET = re.compile(r"[\w-]{22}", re.ASCII)
_OF_THE_CLIENT = frozenset({"t", "c", "callback"})
"""Parameters that clients add to each request: against caches, and the callback's name."""


class Owner:
    """Who opened a session.

    :param cookies: whether clients are given the cookie
    :param cookieless: what holds where it was not shown; see `Options.cookieless`
    :ivar minted: the secret that the client is to be given; ``""`` if it has one
    """

    __slots__ = ("_address", "_cookieless", "_credentials", "_page", "_proven", "_secret", "minted")

    def __init__(
        self,
        handshake: Handshake,
        *,
        cookies: bool,
        cookieless: Literal["same-address", "refuse", "anyone"],
    ) -> None:
        self._cookieless: Literal["same-address", "refuse", "anyone"] = cookieless
        self._page = _page(handshake)
        self._address = handshake.peer.host
        self._credentials = _credentials(handshake) if handshake.user is not None else b""
        self._secret = _shown(handshake) if cookies else ""
        self._proven = bool(self._secret)
        self.minted = ""
        if cookies and not self._secret:
            self._secret = self.minted = secrets.token_urlsafe(16)

    def owns(self, handshake: Handshake) -> bool:
        """Whether a request comes from who opened the session."""
        if handshake.origin is not None and _page(handshake) != self._page:
            return False  # a page of another origin cannot hide where it comes from
        shown = _shown(handshake) if self._secret else ""
        if self._proven:
            return hmac.compare_digest(shown, self._secret)
        if shown == "" or not hmac.compare_digest(shown, self._secret):
            if not self._may_lack_it(handshake):
                return False
            if not shown:
                return True
        # Another tab may have been given its secret after this one; the browser keeps the last.
        self._secret = shown
        self._proven = True
        return True

    def _may_lack_it(self, handshake: Handshake) -> bool:
        if self._cookieless != "same-address":
            return self._cookieless == "anyone"
        if handshake.peer.host != self._address:
            return False
        return not self._credentials or hmac.compare_digest(
            _credentials(handshake), self._credentials
        )


def new_cookie(handshake: Handshake, secret: str, path: str) -> str:
    """The value of the ``Set-Cookie`` header that gives a client its secret (RFC 6265bis).

    :param path: the endpoint's
    """
    secure = handshake.scheme == "https"
    if handshake.same_origin or not secure:
        site = "; SameSite=Strict"  # of one site are also two ports of one host
    else:
        site = "; SameSite=None; Partitioned"
    return f"{COOKIE}={secret}; Path={path}; HttpOnly{site}{'; Secure' if secure else ''}"


def _shown(handshake: Handshake) -> str:
    """The secret that a request shows; ``""`` without one."""
    secret = handshake.cookies.get(COOKIE, "")
    return secret if _SECRET.fullmatch(secret) else ""


def _page(handshake: Handshake) -> str:
    """Where the page comes from that makes a request; ``""`` for the same origin, or no page."""
    return "" if handshake.same_origin else (handshake.origin or "").lower()


def _credentials(handshake: Handshake) -> bytes:
    """What a request says about its user, as far as it is the same in all of a session's."""
    cookies = [
        f"{name}={value}"
        for name, value in sorted(handshake.cookies.items())
        if name not in (COOKIE, JSESSIONID)
    ]
    query = [
        f"{name}={value}"
        for name, value in sorted(handshake.query.items())
        if name not in _OF_THE_CLIENT
    ]
    told = [handshake.headers.get("authorization", ""), "&".join(query), "; ".join(cookies)]
    return sha256("\0".join(told).encode("utf-8", "backslashreplace")).digest()
