"""One attempt of a client to connect: asking for what the request says, and along redirections."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from .abc import Call, Connector, Dialect, Gate
from .errors import ConfigError, Redirected
from .pipeline import awaited
from .registry import look_up
from .url import Url, parse_url

__all__ = ["Dialer", "Options", "Pairs", "Supply"]

ValueT = TypeVar("ValueT")

_OF_HOST = frozenset({"authorization", "cookie", "host", "proxy-authorization"})
"""Headers that are not for another host."""
_OF_CONNECTOR = frozenset(
    {
        "connection",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "upgrade",
    }
)
"""Headers that the opening handshake is made of (RFC 6455 section 4.1)."""

Pairs: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
"""Headers."""

Supply: TypeAlias = ValueT | Callable[[], ValueT] | Callable[[], Awaitable[ValueT]]
"""A value, or a function that is called for it at each attempt, and may be async."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What `connect` is told of the way to the server."""

    url: Supply[str]
    headers: Supply[Pairs]
    token: Supply[str] | None
    origin: str | None
    subprotocols: tuple[str, ...]
    tls: ssl.SSLContext | None
    server_name: str | None
    proxy: str | bool
    redirects: int
    dialect: type[Dialect]
    connector: str | Connector | None
    options: dict[str, Any]


class Dialer:
    """Makes connections as the options say.

    :raises ConfigError: they do not go together
    """

    def __init__(self, options: Options) -> None:
        if options.redirects < 0:
            raise ConfigError(
                f"redirects: must be 0 or more, not {options.redirects}", key="redirects"
            )
        if options.options and isinstance(options.connector, Connector):
            names = ", ".join(options.options)
            raise ConfigError(f"{names}: tell the connector itself", key="options")
        self.options = options
        self._connectors: dict[str, Connector] = {}

    async def dial(self, gate: Gate) -> None:
        """Make one connection.

        :raises Exception: of `Connector.connect`, or of the application's functions
        """
        options, url = self.options, await self.url()
        headers, server_name = await self._headers(url), options.server_name
        for left in range(options.redirects, -1, -1):
            call = Call(
                url=url,
                headers=headers,
                subprotocols=options.subprotocols,
                tls=options.tls,
                server_name=server_name,
                proxy=options.proxy,
            )
            try:
                await self._connector(url.connector).connect(call, gate)
                return
            except Redirected as redirected:
                there = _follow(url, redirected)
                if not left:
                    raise
                if (there.authority, there.unix) != (url.authority, url.unix):
                    headers = tuple(pair for pair in headers if pair[0].lower() not in _OF_HOST)
                    server_name = None
                url = there

    async def url(self) -> Url:
        """Where to.

        :raises ConfigError: it is no URL
        """
        url = await _supplied(self.options.url)
        if not isinstance(url, str):
            raise ConfigError(f"url: a text is wanted, not {type(url).__name__}", key="url")
        parsed = parse_url(url)
        if parsed.path == "/":
            there = self.options.dialect.path + parsed.resource[1:]
            parsed = msgspec.structs.replace(parsed, resource=there)
        return parsed

    async def _headers(self, url: Url) -> tuple[tuple[str, str], ...]:
        options = self.options
        given: Pairs = await _supplied(options.headers)
        headers = _listed(given)
        if options.origin is not None:
            headers.append(("Origin", options.origin))
        if options.token is not None:
            token = await _supplied(options.token)
            if not isinstance(token, str):
                raise ConfigError(
                    f"token: a text is wanted, not {type(token).__name__}", key="token"
                )
            headers.append(("Authorization", f"Bearer {token}"))
        elif url.credentials is not None:
            secret = base64.b64encode(":".join(url.credentials).encode()).decode()
            headers.append(("Authorization", f"Basic {secret}"))
        for name, value in headers:
            _check(name, value)
        return tuple(headers)

    def _connector(self, name: str) -> Connector:
        given = self.options.connector
        if isinstance(given, Connector):
            return given
        if given is not None:
            name = given
        elif name == self.options.dialect.name:
            name = self.options.dialect.carrier
        if name not in self._connectors:
            self._connectors[name] = look_up("connector", name)(self.options.options or None)
        return self._connectors[name]


async def _supplied(supply: Any) -> Any:
    """A value, or what a function gives for it."""
    return await awaited(supply()) if callable(supply) else supply


def _follow(url: Url, redirected: Redirected) -> Url:
    """Where to go instead.

    :raises Redirected: there is no way, or it is not safe
    """
    try:
        there = url.join(redirected.location)
    except (ConfigError, ValueError) as error:
        raise redirected from error
    if url.secure and not there.secure:
        raise redirected
    return there


def _listed(given: Any) -> list[tuple[str, str]]:
    try:
        return [(name, value) for name, value in getattr(given, "items", lambda: given)()]
    except (TypeError, ValueError) as error:
        raise ConfigError(
            'headers: a mapping or pairs are wanted, such as {"X-Name": "value"}', key="headers"
        ) from error


def _check(name: object, value: object) -> None:
    """Look whether a header can be sent (RFC 9110 section 5).

    :raises ConfigError: it cannot
    """
    if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ConfigError(f"headers: no header can be called {name!r}", key="headers")
    if not isinstance(value, str) or not value.replace("\t", " ").isprintable():
        raise ConfigError(f"headers: the value of {name} cannot be sent", key="headers")
    if name.lower() in _OF_CONNECTOR:
        hint = "; use subprotocols=[…]" if name.lower() == "sec-websocket-protocol" else ""
        raise ConfigError(f"headers: {name} is made by the connector{hint}", key="headers")
