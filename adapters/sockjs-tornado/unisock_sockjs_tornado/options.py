"""``[options.sockjs-tornado]``: what the library leaves open, with defaults that are safe."""

from __future__ import annotations

import difflib
import re
from typing import Any

import msgspec

from unisock import ConfigError

__all__ = ["ALWAYS", "ON_REQUEST", "Options"]

ALWAYS = ("websocket", "websocket-raw", "xhr-streaming", "xhr-polling", "eventsource")
ON_REQUEST = ("htmlfile", "jsonp-polling")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of the adapter. Sizes are in bytes, times in seconds."""

    transports: tuple[str, ...] = ALWAYS
    """The transports on offer: ``websocket``, ``websocket-raw``, ``xhr-streaming``,
    ``xhr-polling``, ``eventsource``, and with the two switches below ``htmlfile`` and
    ``jsonp-polling``."""
    htmlfile: bool = False
    """Offer htmlfile too: script tags in an endless page."""
    jsonp: bool = False
    """Offer jsonp-polling too: script tags instead of requests, past the same-origin policy."""
    iframe: bool = False
    """Serve the page that runs a transport inside an iframe, for pages of the allowed origins."""
    sockjs_url: str = "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js"
    """The client library that the iframe page loads: the same version as the embedding page's."""
    disconnect_delay: float = 5.0
    """How long a session outlives its last response, waiting for the client's next request."""
    response_limit: int = 131_072
    """What one streaming response carries before the client has to ask for the next."""
    jsessionid: bool = False
    """Set the cookie ``JSESSIONID``, for load balancers with sticky sessions."""
    verify_ip: bool = True
    """Answer requests of a session only if they come from the address that opened it."""

    def __post_init__(self) -> None:
        for name in self.transports:
            if name not in (*ALWAYS, *ON_REQUEST):
                raise ValueError(
                    f"transports: no such transport {name!r}; "
                    f"there are {', '.join((*ALWAYS, *ON_REQUEST))}"
                )
        if self.disconnect_delay <= 0 or self.response_limit <= 0:
            raise ValueError("disconnect_delay and response_limit must be more than 0")
        if not re.fullmatch(r"[!#-;=?-~]+", self.sockjs_url):
            raise ValueError("sockjs_url: no URL; it has no spaces, quotes or angle brackets")

    def offers(self, transport: str) -> bool:
        """Whether a transport is on offer."""
        switched = {"htmlfile": self.htmlfile, "jsonp-polling": self.jsonp}
        return switched.get(transport, False) or transport in self.transports

    @classmethod
    def read(cls, table: dict[str, Any], name: str) -> Options:
        """The options in a table of the configuration.

        :param name: the adapter's
        :raises ConfigError: a key is unknown, or a value is of the wrong kind
        """
        where = f"options.{name}"
        for key in table:
            if key not in cls.__struct_fields__:
                close = difflib.get_close_matches(key, cls.__struct_fields__, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise ConfigError(
                    f"{where}.{key}: no such setting{hint}", key=f"{where}.{key}"
                ) from None
        try:
            return msgspec.convert(table, cls, strict=False)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `$")
            key = f"{where}{path.rstrip('`')}"
            raise ConfigError(f"{key}: {message}", key=key) from error
