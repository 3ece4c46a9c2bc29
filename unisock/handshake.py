"""What a client said when it came: one HTTP request, as the application sees it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from itertools import chain
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload
from urllib.parse import parse_qsl, unquote, urlsplit

from .messages import printable

__all__ = ["Address", "Handshake", "Headers", "Network", "TrustedProxies", "parse_ip"]

_Default = TypeVar("_Default")
Network: TypeAlias = IPv4Network | IPv6Network


class Address(NamedTuple):
    """An end of a connection. With port 0, it is a Unix socket: ``unix``, or where one listens, its
    path.
    """

    host: str
    port: int = 0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


class Headers(Mapping[str, str]):
    """HTTP headers: names in any case, values as sent; repeated ones are joined by a comma."""

    __slots__ = ("_index", "_parsed", "_text")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._parsed: tuple[tuple[str, str], ...] | None = tuple(pairs)
        # The values by lowercase names.
        self._index: dict[str, str] | None = None
        self._text = ""

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        if self._parsed is not None:
            return self._parsed
        words = self._text.split("\0")
        return tuple(zip(words[::2], words[1::2], strict=False))

    def compact(self) -> None:
        """Put the headers away in a sixth of the memory; from now on they are split when asked for.

        An open connection keeps its headers, and hardly ever looks at them.
        """
        self._index = None
        if self._parsed:
            # NUL is not allowed in a header (RFC 9110 section 5.5); no driver lets it through.
            self._text = "\0".join(chain.from_iterable(self._parsed))
            if self._text.count("\0") == 2 * len(self._parsed) - 1:
                self._parsed = None

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of this name, in order."""
        index, pairs, name = self._by_name(), self._pairs, name.lower()
        if len(index) == len(pairs):
            return (index[name],) if name in index else ()
        return tuple([value for key, value in pairs if key.lower() == name])

    def _by_name(self) -> dict[str, str]:
        if self._index is not None:
            return self._index
        pairs = self._pairs
        index = {name.lower(): value for name, value in pairs}
        if len(index) < len(pairs):
            values: dict[str, list[str]] = {}
            for name, value in pairs:
                values.setdefault(name.lower(), []).append(value)
            for name, several in values.items():
                index[name] = ("; " if name == "cookie" else ", ").join(several)
        if self._parsed is not None:
            self._index = index
        return index

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, /, default: str) -> str: ...
    @overload
    def get(self, name: str, /, default: _Default) -> str | _Default: ...
    def get(self, name: str, /, default: Any = None) -> Any:
        """The value, or the default. A request's headers are looked up often."""
        return (self._index or self._by_name()).get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._by_name()

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name())

    def __len__(self) -> int:
        return len(self._by_name())

    def __repr__(self) -> str:
        return f"Headers({list(self._pairs)!r})"


class Handshake:
    """The request that opened a connection.

    :ivar method: ``GET`` for every WebSocket
    :ivar path: the decoded path, without the query
    :ivar raw_query: what follows the question mark, as sent
    :ivar headers: the request's headers
    :ivar peer: the client's address; a proxy's only if `TrustedProxies` does not list it
    :ivar scheme: ``http`` or ``https``, as the client sees it
    :ivar transport: how the session is carried: ``websocket``, ``xhr-streaming``, ``polling``, …
    :ivar subprotocol: the subprotocol agreed on, or ``""``
    :ivar user: whatever the ``authorize`` handler returned; `None` without one
    :ivar auth: what the client gave for ``authorize`` besides its request, where its dialect has a
        place for that, as Socket.IO has; else `None`
    """

    __slots__ = (
        "_cookies",
        "auth",
        "headers",
        "method",
        "path",
        "peer",
        "raw_query",
        "scheme",
        "subprotocol",
        "transport",
        "user",
    )

    def __init__(
        self,
        *,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        peer: Address = Address("unix"),  # noqa: B008 - a frozen value
        method: str = "GET",
        scheme: str = "http",
        transport: str = "websocket",
    ) -> None:
        path, _, self.raw_query = target.partition("?")
        self.path = unquote(path) if "%" in path else path
        self.method = method
        self.headers = Headers(headers)
        self.peer = peer
        self.scheme = scheme
        self.transport = transport
        self.subprotocol = ""
        self.user: Any = None
        self.auth: Any = None
        self._cookies: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one, the last."""
        raw = self.raw_query
        if "%" in raw or "+" in raw:
            return dict(parse_qsl(raw, keep_blank_values=True))
        pairs = [pair.partition("=") for pair in raw.split("&") if pair]
        return {name: value for name, _, value in pairs}

    @property
    def cookies(self) -> Mapping[str, str]:
        """The request's cookies (RFC 6265 section 4.2); of a repeated one, the last."""
        if self._cookies is None:
            # http.cookies would lose all cookies over an odd one from another's hand.
            pairs = [pair.partition("=") for pair in self.headers.get("cookie", "").split(";")]
            self._cookies = {
                name.strip(): _unquote(value.strip())
                for name, equals, value in pairs
                if equals and name.strip()
            }
        return self._cookies

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client offers, best first (RFC 6455 section 1.9)."""
        offers = ",".join(self.headers.all("sec-websocket-protocol")).split(",")
        return tuple(offer.strip() for offer in offers if offer.strip())

    @property
    def origin(self) -> str | None:
        """The ``Origin`` header (RFC 6454): scheme, host and port of the page; `None` if absent."""
        return self.headers.get("origin")

    @property
    def host(self) -> str:
        """The ``Host`` header: the name by which the client knows this server."""
        return self.headers.get("host", "")

    @property
    def same_origin(self) -> bool:
        """Whether the page that asks was served from the host that it asks, or there is no page."""
        origin = self.origin
        return origin is None or _same_origin(origin, self.host, self.scheme)

    def __repr__(self) -> str:
        path, peer = printable(self.path, 200), printable(str(self.peer))
        return f"<Handshake {self.method} {path} from {peer} by {self.transport}>"


@lru_cache(maxsize=256)
def _same_origin(origin: str, host: str, scheme: str) -> bool:
    try:
        page, here = urlsplit(origin), urlsplit(f"//{host}")
        port = {"http": 80, "https": 443}.get(page.scheme)
        if port is None or not page.hostname:
            return False
        if page.scheme == "http" and scheme == "https":
            return False  # whoever sits on the line can put words into an http page
        return (page.hostname, page.port or port) == (here.hostname, here.port or port)
    except ValueError:
        return False


def _unquote(value: str) -> str:
    """A cookie's value, as `http.cookies` quotes those with odd characters."""
    if len(value) < 2 or not value[0] == value[-1] == '"':
        return value
    return re.sub(
        r"\\([0-3][0-7]{2}|.)",
        lambda escape: chr(int(escape[1], 8)) if len(escape[1]) == 3 else escape[1],
        value[1:-1],
    )


class TrustedProxies:
    """The reverse proxies whose word about the client is taken; none unless configured.

    :param networks: addresses and networks such as ``10.0.0.0/8``; ``unix`` for a Unix socket
    :raises ValueError: one of them is neither
    """

    __slots__ = ("_networks", "_unix")

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._unix = "unix" in networks
        self._networks: tuple[Network, ...] = tuple(
            ip_network(network) for network in networks if network != "unix"
        )

    def apply(self, handshake: Handshake) -> None:
        """Put the client's own address and scheme in the place of the proxy's.

        ``X-Forwarded-For`` is read from its right end, past every trusted proxy, since whatever
        stands further left may be the client's invention.
        """
        if not self._trusts(handshake.peer.host):
            return
        hops = ",".join(handshake.headers.all("x-forwarded-for")).split(",")
        for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
            address = _parse_hop(hop)
            if address is None:
                break
            handshake.peer = Address(address)
            if not self._trusts(address):
                break
        said = handshake.headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
        handshake.scheme = _SCHEMES.get(said, handshake.scheme)

    def _trusts(self, host: str) -> bool:
        if host == "unix":
            return self._unix
        address = parse_ip(host) if self._networks else None
        return address is not None and any(address in network for network in self._networks)


def _parse_hop(hop: str) -> str | None:
    """The address in one element of ``X-Forwarded-For``, which may carry a port."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    address = parse_ip(hop)
    return None if address is None else str(address)


_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""What proxies write into ``X-Forwarded-Proto``."""


def parse_ip(host: str) -> IPv4Address | IPv6Address | None:
    """The IP address that a host is; an IPv4 client of an IPv6 socket as IPv4, without zones."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
