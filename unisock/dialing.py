"""One attempt of a client to connect: asking for what the request says, and along redirections."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from .abc import Call, Connector, Gate
from .errors import ConfigError, Redirected
from .pipeline import awaited
from .registry import look_up
from .url import Url, parse_url

__all__ = ["Dialer", "Options", "Pairs", "Supply"]

ValueT = TypeVar("ValueT")

_SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})
"""Headers that are not for another host."""

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
    proxy: str | bool
    redirects: int
    connector: str | Connector | None
    options: dict[str, Any] | None


class Dialer:
    """Makes connections as the options say."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._connectors: dict[str, Connector] = {}

    async def dial(self, gate: Gate) -> None:
        """Make one connection.

        :raises Exception: of `Connector.connect`, or of the application's functions
        """
        options, url = self.options, await self.url()
        headers = await self._headers(url)
        for left in range(options.redirects, -1, -1):
            call = Call(
                url=url,
                headers=headers,
                subprotocols=options.subprotocols,
                tls=options.tls,
                proxy=options.proxy,
            )
            try:
                await self._connector(url.connector).connect(call, gate)
                return
            except Redirected as redirected:
                there = url.join(redirected.location)
                if not left or (url.secure and not there.secure):
                    raise
                if there.authority != url.authority:
                    headers = tuple(pair for pair in headers if pair[0].lower() not in _SECRET)
                url = there

    async def url(self) -> Url:
        """Where to.

        :raises ConfigError: it is no URL
        """
        return parse_url(await _supplied(self.options.url))

    async def _headers(self, url: Url) -> tuple[tuple[str, str], ...]:
        options = self.options
        given: Pairs = await _supplied(options.headers)
        headers = [*(given.items() if isinstance(given, Mapping) else given)]
        if options.origin is not None:
            headers.append(("Origin", options.origin))
        if options.token is not None:
            headers.append(("Authorization", f"Bearer {await _supplied(options.token)}"))
        elif url.credentials is not None:
            secret = base64.b64encode(":".join(url.credentials).encode()).decode()
            headers.append(("Authorization", f"Basic {secret}"))
        for name, value in headers:
            if not (name.isascii() and name.isprintable()) or set(value) & {"\r", "\n", "\0"}:
                raise ConfigError(f"{name!r}: this header cannot be sent", key="headers")
        return tuple(headers)

    def _connector(self, name: str) -> Connector:
        given = self.options.connector
        if isinstance(given, Connector):
            return given
        name = given or name
        if name not in self._connectors:
            self._connectors[name] = look_up("connector", name)(self.options.options)
        return self._connectors[name]


async def _supplied(supply: Any) -> Any:
    """A value, or what a function gives for it."""
    return await awaited(supply()) if callable(supply) else supply
