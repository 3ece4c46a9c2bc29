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
from ..launch import describe_limits
from ..memory import MemoryAdapter
from ..server import Server
from ..workers import count
from .groups import GroupedCommand, group
from .options import apply, server_options, workers_option
from .output import EXIT_FAILURE, on_terminal, say, warn, write_rows
from .site.asked import SITE, SITE_NAMES, attempt_site
from .site.target import one_target, targets_of
from .target import load_server

__all__ = ["command", "effective", "warnings"]

DEFAULT = "default"


@click.command(
    "check",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  unisock check
  unisock check app:server
  unisock check app:server --adapter tornado && systemctl restart app
  unisock check app:server --url https://chat.example.com --idle 90
  unisock check https://chat.example.com/sockjs
  unisock check sockjs+https://chat.example.com/sockjs --json

\b
Exit codes:
  0    all is well
  1    something does not get through to the server
  2    a setting is wrong, or the usage
""",
)
@click.argument("target", metavar="[MODULE:SERVER | URL]", required=False)
@server_options
@workers_option
@group(SITE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_context
def command(ctx: click.Context, /, target: str | None, *, as_json: bool, **options: Any) -> None:
    """Build everything without serving, and show the settings in force; or try a site from outside.

    Without MODULE:SERVER it looks at the configuration of this folder alone. In a pipe: setting,
    value as JSON and source, with tabs between.

    With --url, or a URL of one endpoint, it does what clients do, through the proxy in front of the
    server, and says what does not get through, and which line of nginx' configuration mends it. No
    message is sent to the application; sessions are opened and closed. In a pipe: URL, protocol,
    check, state, explanation and lines to add, with tabs between.
    """
    site = {name: options.pop(name) for name in SITE_NAMES}
    well = True
    if target is not None and ("://" in target or "+unix:" in target):
        if site["url"] is not None:
            ctx.fail("the URL of an endpoint, or MODULE:SERVER with --url: one of them")
        for parameter in ctx.command.params:
            if options.get(parameter.name or ""):
                ctx.fail(f"{parameter.opts[0]} is for a server; it cannot go with a URL alone")
        well = attempt_site(ctx, [one_target(target)], site, as_json=as_json)
    else:
        server = Server() if target is None else load_server(target)
        apply(server, options)
        workers = count(server.settings.workers)
        gateway = server.check(processes=workers)
        if site["url"] is not None:
            targets = targets_of(gateway, site["url"])
            well = attempt_site(ctx, targets, site, as_json=as_json)
        else:
            _show_settings(server, as_json=as_json)
            say(f"with the adapter {server.adapter.name} it would listen {_where(server, workers)}")
        for warning in warnings(server.settings, site=site["url"]):
            warn(warning)
        if workers > 1 and gateway.per_process:
            warn(describe_limits(gateway.per_process))
    if not well:
        raise click.exceptions.Exit(EXIT_FAILURE)


def _show_settings(server: Server, *, as_json: bool) -> None:
    rows = [*effective(server.settings, server.sources)]
    if as_json:
        told = {key: {"value": json.loads(value), "source": source} for key, value, source in rows}
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    elif on_terminal(sys.stdout):
        from .tables import show_settings

        show_settings(rows)
    else:
        write_rows(rows)


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


def _where(server: Server, workers: int) -> str:
    many = f", with {workers} workers" if workers > 1 else ""
    listen = server.settings.listen
    if isinstance(server.adapter, MemoryAdapter):
        return "within the process"
    scheme = "http" if listen.tls is None else "https"
    if listen.unix is not None:
        return f"on {scheme}+unix:{listen.unix}{many}"
    address = f"on {scheme}://{Address(listen.host or '*', listen.port)}"
    return address + ("" if listen.port else ", at a free port") + many


def warnings(settings: Settings, *, site: str | None = None) -> Iterator[str]:
    """What is allowed, and may not be meant.

    :param site: the URL at which a proxy offers it
    """
    listen = settings.listen
    if site is not None and not settings.trusted_proxies and listen.unix is None:
        yield (
            "trusted_proxies is empty: all clients of a proxy have its address, and share "
            f"connections_per_address = {settings.limits.connections_per_address}. Name the proxy, "
            'such as trusted_proxies = ["127.0.0.1"], and let nginx say: '
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
        )
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
