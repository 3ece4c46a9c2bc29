"""From settings to a gateway: looking the parts up, and refusing those that do not fit together."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from .abc import Adapter, Dialect, Protocol, Runtime
from .assets import Asset
from .capabilities import Capabilities
from .codecs import Codec
from .config import Endpoint, Settings
from .errors import ConfigError, NotInstalled, Unsupported
from .gateway import EndpointGate, ServerGateway
from .hub import Hub
from .limits import Heartbeat, Limits
from .options import read_options
from .pipeline import Handler, Handlers, Pipeline
from .plugins import Plugins, Registered
from .registry import Kind, installed, look_up
from .sparks import Sparks

__all__ = ["assemble", "choose_adapter"]

TableT = TypeVar("TableT", Limits, Heartbeat)

log = logging.getLogger("unisock")


def choose_adapter(settings: Settings, given: Adapter | None = None) -> Adapter:
    """The configured adapter.

    :param given: one that was made in code; taken if the settings do not name another
    :raises NotInstalled: it is not installed
    :raises ConfigError: it does not take its options
    """
    if given is not None and given.name == settings.adapter:
        if settings.options.get(given.name):
            raise ConfigError(
                f"options.{given.name}: this adapter is made in code; give it its options there",
                key=f"options.{given.name}",
            )
        return given
    adapter: Adapter = look_up("adapter", settings.adapter)(settings.options.get(settings.adapter))
    return adapter


def assemble(
    settings: Settings,
    *,
    adapter: Adapter,
    runtime: Runtime,
    hub: Hub,
    plugins: Plugins,
    registered: Registered,
    defaults: Handlers,
    endpoints: Mapping[str, Handlers],
    assets: Mapping[str, Asset],
    processes: int = 1,
) -> ServerGateway:
    """Put a server together.

    :param registered: the application's own transforms, which come before the plugins'
    :param defaults: handlers for endpoints that have none of their own
    :param endpoints: handlers by path
    :param assets: documents by path
    :param processes: how many processes are to share the address
    :raises ConfigError: a part is missing, or cannot do what is asked of it
    """
    _check_adapter(adapter, settings)
    _check_options(adapter, settings)
    sparks = Sparks(hub, plugins, registered, runtime)
    gateway = ServerGateway(settings, sparks, assets)
    for endpoint in settings.endpoints:
        handlers = endpoints.get(endpoint.path, Handlers()).over(defaults)
        protocol = _add_endpoint(gateway, adapter, endpoint, handlers)
        if processes > 1:
            _check_sticky(adapter, protocol, endpoint)
    return gateway


def _add_endpoint(
    gateway: ServerGateway,
    adapter: Adapter,
    endpoint: Endpoint,
    handlers: Mapping[str, Handler],
) -> Protocol | None:
    settings = gateway.settings
    protocol = _choose_protocol(adapter, endpoint)
    codec = _look_up("codec", endpoint.codec, endpoint)()
    _check_codec(adapter, protocol, endpoint, codec)
    dialect: type[Dialect] = _look_up("dialect", endpoint.dialect, endpoint)
    for_dialect, *for_protocol = read_options(
        f"endpoint {endpoint.path}: options",
        endpoint.options,
        dialect.Options,
        *([] if protocol is None else [protocol.Options]),
    )
    limits = _replace(settings.limits, endpoint.limits, f"endpoint {endpoint.path}: limits")

    def build(handlers: Mapping[str, Handler], inbox: bool) -> Pipeline:
        return gateway.sparks.pipeline(
            endpoint,
            limits=limits,
            overflow=endpoint.overflow or settings.overflow,
            handlers=handlers,
            inbox=inbox,
        )

    heard = {"message", "session"} & handlers.keys() or gateway.sparks.registered.packets
    if not heard:
        log.info(
            "endpoint %s has no on_message handler: what clients send is ignored", endpoint.path
        )
    spoken = dialect(codec, for_dialect)
    gate = EndpointGate(
        gateway,
        endpoint,
        heartbeat=_replace(
            settings.heartbeat, endpoint.heartbeat, f"endpoint {endpoint.path}: heartbeat"
        ),
        capabilities=adapter.capabilities,
        dialect=spoken,
        pipeline=build(handlers, False),
        authorize=handlers.get("authorize"),
        build=build,
    )
    documents = spoken.install(gate)
    carrier = None if protocol is None else protocol(gate, *for_protocol)
    gateway.add(gate, carrier, documents)
    return carrier


def _choose_protocol(adapter: Adapter, endpoint: Endpoint) -> type[Protocol] | None:
    """The endpoint's protocol; `None` if the adapter brings such sessions itself."""
    own = adapter.capabilities.sessions
    name = endpoint.protocol or (own[0] if own else "websocket")
    if name in own:
        return None
    protocol: type[Protocol] = _look_up("protocol", name, endpoint)
    missing = [need for need in sorted(protocol.needs) if not getattr(adapter.capabilities, need)]
    if missing:
        others = _adapters_with(name, protocol.needs)
        better = next((other for other in others if other != "memory"), "")  # which has no port
        raise Unsupported(
            f"endpoint {endpoint.path} asks for the protocol '{name}', which needs "
            f"{' and '.join(missing)}; the adapter '{adapter.name}' does not offer that. "
            + (
                f"These do: {', '.join(others)}. Try --adapter {better}."
                if better
                else f"Leave out `protocol` to take what it offers: {', '.join(own) or 'nothing'}."
            ),
            what=name,
            who=adapter.name,
        )
    return protocol


def _adapters_with(protocol: str, needs: frozenset[str]) -> list[str]:
    """Installed adapters that can carry a protocol. Loads them all: for error messages only."""
    able: list[str] = []
    for name in installed("adapter"):
        try:
            capabilities: Capabilities = look_up("adapter", name).capabilities
        except ConfigError:
            continue
        if protocol in capabilities.sessions or all(getattr(capabilities, n) for n in needs):
            able.append(name)
    return able


def _check_adapter(adapter: Adapter, settings: Settings) -> None:
    name, capabilities = adapter.name, adapter.capabilities
    if settings.backend not in capabilities.backends:
        raise Unsupported(
            f"the adapter '{name}' runs on {' and '.join(capabilities.backends)}, not on "
            f'{settings.backend}; set backend = "{capabilities.backends[0]}"',
            what=settings.backend,
            who=name,
        )
    for what, wanted in (("unix", settings.listen.unix), ("tls", settings.listen.tls)):
        if wanted is not None and not getattr(capabilities, what):
            raise Unsupported(
                f"the adapter '{name}' cannot listen with {what}; remove listen.{what}",
                what=what,
                who=name,
            )


def _check_options(adapter: Adapter, settings: Settings) -> None:
    """Options of an adapter that is not in use are in order; a slip of the pen is not."""
    for name in settings.options:
        if name not in (adapter.name, *installed("adapter"), *installed("plugin")):
            log.warning("[options.%s] is ignored: no adapter or plugin has that name", name)


def _check_codec(
    adapter: Adapter, protocol: type[Protocol] | None, endpoint: Endpoint, codec: Codec
) -> None:
    binary = adapter.capabilities.binary if protocol is None else protocol.binary
    if codec.binary and not binary:
        raise Unsupported(
            f"endpoint {endpoint.path}: the codec '{codec.name}' needs binary messages, and the "
            f'sessions of {_bearer(adapter, protocol)} carry text only; use codec = "json"',
            what=codec.name,
            who=adapter.name if protocol is None else protocol.name,
        )


def _check_sticky(adapter: Adapter, protocol: Protocol | None, endpoint: Endpoint) -> None:
    way_out = adapter.sticky if protocol is None else protocol.sticky
    if way_out is None:
        return
    bearer = _bearer(adapter, None if protocol is None else type(protocol))
    raise Unsupported(
        f"endpoint {endpoint.path}: a session of {bearer} spans several requests, and with several "
        f"workers each may reach another process. {way_out}, or use --workers 1, or run several "
        "servers with a port each behind a proxy with sticky sessions",
        what="workers",
        who=adapter.name if protocol is None else protocol.name,
    )


def _bearer(adapter: Adapter, protocol: type[Protocol] | None) -> str:
    if protocol is None:
        return f"the adapter '{adapter.name}'"
    return f"the protocol '{protocol.name}'"


def _look_up(kind: Kind, name: str, endpoint: Endpoint) -> Any:
    try:
        return look_up(kind, name)
    except NotInstalled as error:
        raise NotInstalled(
            f"endpoint {endpoint.path}: {error}",
            kind=kind,
            name=name,
            installed=error.installed,
        ) from error


def _replace(values: TableT, changes: Mapping[str, Any], where: str) -> TableT:
    """Some values of a table replaced, and the result validated."""
    if not changes:
        return values
    try:
        merged = {**msgspec.structs.asdict(values), **changes}
        return msgspec.convert(merged, type(values), strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}", key=where) from error
