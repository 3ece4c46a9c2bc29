"""The adapter, with a server of its own or mounted in an application."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import anyio
from anyio.abc import TaskStatus
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule

from unisock import Capabilities, ConfigError, Server
from unisock.abc import Adapter, Gateway, Listener
from unisock.sockets import address_of

from .http import Front

__all__ = ["TornadoAdapter", "routes"]

MAX_HEADER_BYTES = 16_384
"""A request's first line and headers."""


class TornadoAdapter(Adapter):
    """Serves on Tornado's HTTP server. It has no options."""

    name = "tornado"
    capabilities = Capabilities(websocket=True, http=True, mount=True)

    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        front = Front(gateway)
        server = HTTPServer(
            front,
            ssl_options=gateway.ssl_context,
            idle_connection_timeout=gateway.limits.handshake_seconds,
            max_header_size=MAX_HEADER_BYTES,
        )
        sockets = gateway.sockets()
        try:
            server.add_sockets(sockets)
            task_status.started(_Listener(server, sockets))
            await anyio.sleep_forever()
        finally:
            server.stop()
            front.close()
            with anyio.CancelScope(shield=True):
                await server.close_all_connections()


def routes(server: Server) -> list[Rule]:
    """Mount a server in a Tornado application, at the paths of its endpoints and assets.

    Use it inside ``async with server:``, and put the rules into the list of handlers of a
    `tornado.web.Application`, or pass them to a `tornado.routing.RuleRouter`. All other paths stay
    the application's. When the ``async with`` ends, all connections are closed.

    The application's own HTTP server listens, so ``listen`` of the settings is not used, and the
    time for the request of the opening handshake is that server's ``idle_connection_timeout``.

    :raises ConfigError: the server does not run, or has another adapter
    """
    if not isinstance(server.adapter, TornadoAdapter):
        raise ConfigError(
            f"routes() needs the adapter 'tornado', and this server has '{server.adapter.name}'; "
            'write Server(adapter="tornado")',
            key="adapter",
        )
    gateway = server.gateway
    front = Front(gateway)
    gateway.runtime.spawn(_close_at_the_end, front)
    return [Rule(_Owns(gateway), front)]


async def _close_at_the_end(front: Front) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        front.close()


class _Owns(Matcher):
    """Matches the paths for which a gateway has an endpoint or asset."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return {} if self._gateway.owns(unquote(request.path)) else None


class _Listener(Listener):
    def __init__(self, server: HTTPServer, sockets: Sequence[socket.socket]) -> None:
        self.addresses = tuple(address_of(bound) for bound in sockets)
        self._server = server

    def close(self) -> None:
        self._server.stop()
