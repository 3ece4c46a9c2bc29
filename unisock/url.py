"""Where a client connects: the parts of a URL."""

from __future__ import annotations

import re
from urllib.parse import unquote, urljoin, urlsplit

import msgspec

from .errors import ConfigError

__all__ = ["Url", "parse_url"]

_SECURE = {"ws": False, "http": False, "wss": True, "https": True}


class Url(msgspec.Struct, frozen=True, kw_only=True):
    """A server's address, and what to ask it for."""

    connector: str
    """Who connects: ``websocket``, or what stood before a ``+``, which may be a dialect too."""
    secure: bool
    host: str
    port: int
    resource: str
    """Path and query, as they go into the request (RFC 6455 section 3)."""
    unix: str | None = None
    """The path of a Unix socket to connect to instead of host and port."""
    credentials: tuple[str, str] | None = None
    """User and password, for HTTP's Basic scheme (RFC 7617)."""

    @property
    def authority(self) -> str:
        """The ``Host`` header: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """The path alone."""
        return self.resource.partition("?")[0]

    def __str__(self) -> str:
        scheme = "wss" if self.secure else "ws"
        if self.connector != "websocket":
            scheme = f"{self.connector}+{'https' if self.secure else 'http'}"
        if self.unix is not None:
            return f"{scheme}+unix:{self.unix}:{self.resource}"
        return f"{scheme}://{self.authority}{self.resource}"

    def join(self, location: str) -> Url:
        """Where a redirection leads.

        :raises ConfigError: it leads nowhere
        """
        scheme = "https" if self.secure else "http"
        try:
            there = urljoin(f"{scheme}://{self.authority}{self.resource}", location)
        except ValueError as error:
            raise ConfigError(f"{location!r}: {error}", key="url") from error
        joined = parse_url(there.partition("#")[0])
        if joined.unix is not None or joined.connector != "websocket":
            raise ConfigError(f"{location!r}: no server can send its clients there", key="url")
        here = (joined.host, joined.port, joined.secure) == (self.host, self.port, self.secure)
        return msgspec.structs.replace(
            joined,
            connector=self.connector,
            unix=self.unix if here else None,
            credentials=self.credentials if here else None,
        )


def parse_url(text: str) -> Url:
    """Read ``ws://host:port/path?query`` or ``wss://…``; ``ws+unix:/path/of.sock:/path?query``; or
    ``NAME+http://…``.

    :raises ConfigError: it is none of these; says what to type
    """
    scheme, colon, rest = text.partition(":")
    before, plus, after = scheme.lower().rpartition("+")
    if colon and before in _SECURE and after == "unix":
        path, _, resource = rest.partition(":")
        if not path:
            raise ConfigError(
                f"{text!r} names no socket; write ws+unix:/run/app.sock:/ws", key="url"
            )
        return Url(
            connector="websocket",
            secure=_SECURE[before],
            host="localhost",
            port=443 if _SECURE[before] else 80,
            resource=_resource(text, resource, ""),
            unix=path,
        )
    if after not in _SECURE or not rest.startswith("//") or (plus and not before):
        raise ConfigError(
            f"{text!r} is no URL of a server; write it like ws://127.0.0.1:8000/ws", key="url"
        )
    try:
        parts = urlsplit(f"{after}:{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{text!r}: {error}", key="url") from error
    if not host:
        raise ConfigError(f"{text!r} names no host", key="url")
    if port == 0:
        raise ConfigError(f"{text!r}: nobody listens on port 0", key="url")
    try:
        host = host.encode("idna").decode()
    except UnicodeError as error:
        raise ConfigError(f"{text!r}: no host can be called {host}", key="url") from error
    if not re.fullmatch(r"[!-~]+", host):
        raise ConfigError(f"{text!r}: no host can be called {host!r}", key="url")
    if parts.fragment:
        raise ConfigError(f"{text!r}: a WebSocket URL has no #fragment", key="url")
    secure = _SECURE[after]
    credentials = None
    if parts.username is not None:
        credentials = unquote(parts.username), unquote(parts.password or "")
    return Url(
        connector=before if plus else "websocket",
        secure=secure,
        host=host,
        port=port or (443 if secure else 80),
        resource=_resource(text, parts.path, parts.query),
        credentials=credentials,
    )


def _resource(text: str, path: str, query: str) -> str:
    resource = f"{path or '/'}?{query}" if query else path or "/"
    if not re.fullmatch(r"/[!-~]*", resource):
        raise ConfigError(
            f"{text!r}: in a URL, write spaces and letters beyond ASCII as %XX", key="url"
        )
    if "#" in resource:
        raise ConfigError(f"{text!r}: a WebSocket URL has no #fragment", key="url")
    return resource
