"""What `unisock demo` offers where nothing else is configured: endpoints for every client."""

from __future__ import annotations

from typing import Any

from ..abc import Adapter
from ..registry import installed, is_there, look_up
from ..server import Server

__all__ = ["offer"]

ADAPTERS = ("tornado", "aiohttp", "picows")
"""Those that carry every protocol; the first that is installed serves the demo."""

ENDPOINTS: tuple[dict[str, Any], ...] = (
    {"path": "/ws", "protocol": "websocket"},
    {"path": "/socket.io", "protocol": "engineio", "dialect": "socketio"},
    {"path": "/primus", "protocol": "websocket", "dialect": "primus"},
    {"path": "/sockjs", "protocol": "sockjs"},
    {"path": "/engine.io", "protocol": "engineio"},
    {"path": "/multiplex", "protocol": "sockjs", "dialect": "websocket-multiplex"},
    {"path": "/events", "protocol": "eventsource", "options": {"post": True}},
)


def offer(server: Server) -> str:
    """Choose an adapter and endpoints, as far as no file, variable or option has done so.

    :returns: what is left out, with what to type to have it; ``""`` for nothing
    :raises ConfigError: a setting is wrong, or an adapter is not installed
    """
    said = {key for _, settings in server.sources for key in settings}
    if "adapter" not in said:
        name = _adapter(server.settings.backend)
        if name is not None:
            server.override("demo: the adapter", {"adapter": name})
    if "endpoints" in said:
        return ""
    missing = {one["path"]: _missing(server.adapter, one) for one in ENDPOINTS}
    there = [one for one in ENDPOINTS if not missing[one["path"]]]
    fitting = [one for one in there if _fits(server.adapter, one)]
    beyond = dict.fromkeys(one["protocol"] for one in there if one not in fitting)
    server.override("demo: the endpoints", {"endpoints": fitting})
    if beyond:
        return (
            f"{server.adapter.name} does not carry {', '.join(beyond)}; try --adapter {ADAPTERS[0]}"
        )
    names = dict.fromkeys(filter(None, missing.values()))
    return f"for {', '.join(names)}: pip install 'unisock[all]'" if names else ""


def _adapter(backend: str) -> str | None:
    for name in ADAPTERS:
        if (
            name in installed("adapter")
            and backend in look_up("adapter", name).capabilities.backends
        ):
            return name
    return None


def _missing(adapter: Adapter, endpoint: dict[str, Any]) -> str:
    """The protocol or dialect that is not installed, of those that an endpoint needs; or ``""``."""
    protocol, dialect = endpoint["protocol"], endpoint.get("dialect", "plain")
    if protocol not in adapter.capabilities.sessions and not is_there("protocol", protocol):
        return str(protocol)
    return "" if is_there("dialect", dialect) else str(dialect)


def _fits(adapter: Adapter, endpoint: dict[str, Any]) -> bool:
    if endpoint["protocol"] in adapter.capabilities.sessions:
        return True
    needs = look_up("protocol", endpoint["protocol"]).needs
    return all(getattr(adapter.capabilities, need) for need in needs)
