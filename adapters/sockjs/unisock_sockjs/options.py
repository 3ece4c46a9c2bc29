"""What a SockJS endpoint can be told in its table ``options``.

The names and defaults are sockjs-node's, except where those let strangers in: such a default is
closed here, and an option opens it.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

__all__ = ["TRANSPORTS", "Options"]

SAFE = ("websocket", "websocket-raw", "xhr-streaming", "xhr-polling", "eventsource")
SCRIPTED = ("htmlfile", "jsonp-polling")
TRANSPORTS = (*SAFE, *SCRIPTED)
"""All transports of SockJS protocol 0.3.3, by the names that sockjs-node gives them."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of an endpoint whose protocol is ``sockjs``. Sizes are in bytes, times in
    milliseconds, as sockjs-node has them.
    """

    transports: tuple[str, ...] = SAFE
    """The transports on offer: ``websocket``, ``websocket-raw``, ``xhr-streaming``,
    ``xhr-polling``, ``eventsource``; also ``htmlfile`` and ``jsonp-polling``, which are off unless
    named here or switched on below."""
    websocket: bool = True
    """`False` takes ``websocket`` and ``websocket-raw`` off the offer."""
    htmlfile: bool = False
    """Offer htmlfile too: script tags in an endless page."""
    jsonp: bool = False
    """Offer jsonp-polling too: script tags in place of requests, past the same-origin policy."""
    iframe: bool = False
    """Serve the page that runs a transport inside an iframe, to pages of the allowed origins."""
    sockjs_url: str = "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js"
    """The client library that the iframe page loads: the same version as the embedding page's."""
    base_url: str = ""
    """Where clients are to go after ``/info``, if not to the endpoint's own URL."""
    response_limit: int = 131_072
    """What one streaming response carries before the client has to ask for the next."""
    heartbeat_delay: int | None = None
    """A heartbeat is sent after at most this long without anything else; 0 turns heartbeats off. By
    default the endpoint's ``heartbeat.interval``: 25,000."""
    disconnect_delay: int = 5000
    """How long a session outlives its last response, waiting for the client's next request."""
    jsessionid: bool = False
    """Set the cookie ``JSESSIONID``, for load balancers with sticky sessions."""
    disable_cors: bool = False
    """Send no CORS headers at all, and no iframe page."""
    session_cookie: bool = True
    """Bind sessions over HTTP to a secret cookie of the client's."""
    cookieless: Literal["same-address", "refuse", "anyone"] = "same-address"
    """Who may carry on a session over HTTP whose client has not shown that cookie: whoever comes
    from the address that opened it, with the same credentials; nobody; or anyone who knows the
    session's id, as in sockjs-node."""
    post_bytes: int | None = None
    """The most bytes of one POST, and of one WebSocket frame; by default twice
    ``limits.message_bytes``, since JSON makes messages longer."""
    post_messages: int = 1024
    """The most messages in one of them."""

    def __post_init__(self) -> None:
        for name in self.transports:
            if name not in TRANSPORTS:
                raise ValueError(
                    f"transports: no such transport {name!r}; there are {', '.join(TRANSPORTS)}"
                )
        for name in ("response_limit", "disconnect_delay", "post_bytes", "post_messages"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name}: must be more than 0")
        if self.heartbeat_delay is not None and self.heartbeat_delay < 0:
            raise ValueError("heartbeat_delay: must be 0 or more")
        if not re.fullmatch(r"[!#-;=?-~]+", self.sockjs_url):
            raise ValueError("sockjs_url: no URL; it has no spaces, quotes or angle brackets")
        if self.base_url and not re.fullmatch(r"(https?:/)?/[!-~]+", self.base_url):
            raise ValueError("base_url: no URL; write it like https://example.com/sockjs")
        if self.cookieless == "refuse" and not self.session_cookie:
            raise ValueError(
                'cookieless: "refuse" without session_cookie would refuse everybody; leave '
                "session_cookie on"
            )

    @property
    def offered(self) -> tuple[str, ...]:
        """The transports that the options leave on offer."""
        names = [*self.transports]
        names += [
            name
            for name, on in (("htmlfile", self.htmlfile), ("jsonp-polling", self.jsonp))
            if on and name not in names
        ]
        return tuple(n for n in names if self.websocket or not n.startswith("websocket"))
