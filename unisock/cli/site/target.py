"""Which endpoints are to be tried, and where."""

from __future__ import annotations

import msgspec

from ...abc import Gate
from ...config import Endpoint, Settings
from ...errors import ConfigError
from ...gateway import ServerGateway
from ...handshake import Address
from ...limits import Limits
from ...url import Url, parse_url

__all__ = ["Target", "one_target", "targets_of"]

_PROTOCOLS = {"sockjs": "sockjs", "engineio": "engineio", "sse": "eventsource"}
"""By what stands before the ``+`` of a URL for `connect`."""
_LOOPBACK = "127.0.0.1"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint, and where it is reached."""

    url: Url
    protocol: str | None = None
    """`None` if it has to be found out."""
    post_bytes: int
    """What the server takes in one POST."""
    interval: float = 25.0
    """Seconds from one heartbeat to the next."""
    backend: str = "http://127.0.0.1:8000"
    """Where a proxy finds the server."""

    @property
    def base(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self.url.secure else 'http'}://{self.url.authority}"

    def resource(self, below: str = "", **query: str) -> str:
        """A path below the endpoint's, with its query and more."""
        path, _, given = self.url.resource.partition("?")
        pairs = [given] if given else []
        pairs += [f"{key}={value}" for key, value in query.items()]
        return f"{path.rstrip('/')}{below}" + (f"?{'&'.join(pairs)}" if pairs else "")

    def __str__(self) -> str:
        return f"{self.base}{self.url.path}"


def one_target(text: str) -> Target:
    """The endpoint that a URL means. With ``http`` alone, its protocol is to be found out.

    :raises ConfigError: it is none
    """
    url = parse_url(text)
    protocol = _PROTOCOLS.get(url.connector)
    if url.connector == "websocket":
        protocol = "websocket" if text[:2].lower() == "ws" else None
    elif protocol is None:
        known = ", ".join(f"{name}+http" for name in _PROTOCOLS)
        raise ConfigError(
            f"{text!r}: nobody knows how to try {url.connector}; known are ws, http, {known}",
            key="url",
        )
    limits = Limits()
    return Target(url=_reachable(url), protocol=protocol, post_bytes=_post_bytes(protocol, limits))


def targets_of(gateway: ServerGateway, site: str) -> tuple[Target, ...]:
    """All endpoints of a server, below the URL at which a site has them.

    :raises ConfigError: it is none
    """
    url = _reachable(parse_url(site if "://" in site else f"http://{site}"))
    if "?" in url.resource:
        raise ConfigError(f"{site!r}: a site has no query", key="url")
    url = msgspec.structs.replace(url, resource=url.path.rstrip("/"))
    backend = _backend(gateway.settings)
    return tuple(_target(gate, url, backend) for gate in gateway.gates)


def _target(gate: Gate, site: Url, backend: str) -> Target:
    endpoint, brought = gate.endpoint, gate.capabilities.sessions
    protocol = endpoint.protocol or (brought[0] if brought else "websocket")
    size = _number(endpoint, "post_bytes", "max_payload")
    beat = _number(endpoint, "heartbeat_delay", "ping_interval")
    return Target(
        url=msgspec.structs.replace(site, resource=f"{site.resource}{endpoint.path}"),
        protocol=protocol,
        post_bytes=size or _post_bytes(protocol, gate.limits),
        interval=beat / 1000 if beat else gate.heartbeat.interval or 25.0,
        backend=backend,
    )


def _number(endpoint: Endpoint, *names: str) -> int | None:
    """The option of a protocol's by one of these names."""
    found = [endpoint.options[name] for name in names if name in endpoint.options]
    return found[0] if found and isinstance(found[0], int) else None


def _reachable(url: Url) -> Url:
    if url.unix is not None:
        raise ConfigError("a site is reached by host and port, not by a Unix socket", key="url")
    return url


def _post_bytes(protocol: str | None, limits: Limits) -> int:
    """What a server takes in one POST unless it is told otherwise. With SockJS, messages are
    written as JSON in it.
    """
    size = limits.message_bytes
    return 2 * size + 1024 if protocol == "sockjs" else size


def _backend(settings: Settings) -> str:
    listen = settings.listen
    scheme = "http" if listen.tls is None else "https"
    if listen.unix is not None:
        return f"{scheme}://unix:{listen.unix}"
    host = _LOOPBACK if listen.host in ("0.0.0.0", "::", "localhost") else listen.host
    return f"{scheme}://{Address(host, listen.port)}"
