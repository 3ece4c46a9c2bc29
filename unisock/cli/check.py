"""``unisock check``"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, cast

import click
import msgspec

from ..config import Settings, Source
from ..handshake import Address
from ..memory import MemoryAdapter
from ..server import Server
from .options import apply, server_options
from .output import Command, on_terminal, say, warn, write_rows
from .target import load_server

__all__ = ["command", "effective", "warnings"]

DEFAULT = "default"


@click.command(
    "check",
    cls=Command,
    epilog="""\b
Examples:
  unisock check
  unisock check app:server
  unisock check app:server --adapter tornado && systemctl restart app
""",
)
@click.argument("target", metavar="[MODULE:SERVER]", required=False)
@server_options
def command(target: str | None, **options: Any) -> None:
    """Build everything without serving, and show the settings in force.

    Without MODULE:SERVER it looks at the configuration of this folder alone. In a pipe: setting,
    value as JSON and source, with tabs between. The exit code is 2 if a setting is wrong.
    """
    server = Server() if target is None else load_server(target)
    apply(server, options)
    server.check()
    settings = server.settings
    rows = [*effective(settings, server.sources)]
    if on_terminal(sys.stdout):
        from .tables import show_settings

        show_settings(rows)
    else:
        write_rows(rows)
    say(f"with the adapter {server.adapter.name} it would listen {_where(server)}")
    for warning in warnings(settings):
        warn(warning)


def effective(settings: Settings, sources: Sequence[Source]) -> Iterator[tuple[str, str, str]]:
    """Each setting with its value as JSON, and the name of the source that set it."""
    origin: dict[str, str] = {}
    for source, table in sources:
        for key, _ in _flat(_by_path(table)):
            # A table that was set as a whole is the origin of what is in it.
            origin[key] = source
    for key, value in _flat(_by_path(msgspec.to_builtins(settings))):
        yield key, json.dumps(value, ensure_ascii=False), origin.get(key, DEFAULT)


def _by_path(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table, its endpoints by their paths."""
    endpoints: Sequence[Any] = table.get("endpoints", ())
    by_path = {str(point["path"]): point for point in endpoints}
    return {**table, "endpoints": by_path} if by_path else dict(table)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(cast("Mapping[str, Any]", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _where(server: Server) -> str:
    listen = server.settings.listen
    if isinstance(server.adapter, MemoryAdapter):
        return "within the process"
    scheme = "http" if listen.tls is None else "https"
    if listen.unix is not None:
        return f"on {scheme}+unix:{listen.unix}"
    address = f"on {scheme}://{Address(listen.host or '*', listen.port)}"
    return address if listen.port else f"{address}, at a free port"


def warnings(settings: Settings) -> Iterator[str]:
    """What is allowed, and may not be meant."""
    listen = settings.listen
    if listen.unix is None and listen.tls is None and not _is_private(listen.host):
        yield (
            f"listen.host = {listen.host!r} can be reached from elsewhere, and there is no TLS: "
            "set [listen.tls], or listen on 127.0.0.1 behind a proxy that has it"
        )
    open_paths = [
        endpoint.path
        for endpoint in settings.endpoints
        if "*" in (settings.origins if endpoint.origins is None else endpoint.origins)
    ]
    if open_paths:
        yield (
            f'origins = ["*"] lets every web page connect to {", ".join(open_paths)} with its '
            "visitors' cookies; list the pages that may"
        )
    if any(network.endswith("/0") for network in settings.trusted_proxies):
        yield "trusted_proxies has everybody: any client can invent its address"
    if not settings.heartbeat.interval:
        yield "heartbeat.interval = 0: connections that broke without a word stay for ever"
    if not settings.drain_seconds:
        yield "drain_seconds = 0: a restart cuts clients off instead of letting them leave"


def _is_private(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
