"""uvicorn, on the sockets of a server and without signal handlers of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator, Sequence
from typing import Any

import anyio
import uvicorn

from unisock import Address
from unisock.abc import Gateway, Listener
from unisock.sockets import address_of
from unisock.turn import TurnEnd

from .scope import Application
from .uvicorn_http import UvicornHttp
from .uvicorn_websocket import UvicornWebSocket

__all__ = ["UvicornServer"]

CUT_SECONDS = 5
"""For the host's tasks to end when all connections are cut."""


class UvicornServer(uvicorn.Server):
    """Serves one application for one run of a server.

    :param started: called when connections are accepted
    """

    def __init__(
        self, application: Application, gateway: Gateway, started: Callable[[Listener], None]
    ) -> None:
        super().__init__(_config(application, gateway))
        self.servers: list[asyncio.Server] = []
        self._gateway = gateway
        self._tell_started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are the business of whoever started the server."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections; as uvicorn does it, but with a limit for the TLS handshake."""
        await self.lifespan.startup()
        loop, context = asyncio.get_running_loop(), self._gateway.ssl_context
        seconds = None if context is None else self._gateway.limits.handshake_seconds
        for bound in sockets or ():
            server = await loop.create_server(
                self._new_protocol, sock=bound, ssl=context, ssl_handshake_timeout=seconds
            )
            self.servers.append(server)
        self.started = True
        self._tell_started(_Listener(sockets or (), self.servers))

    async def cut(self) -> None:
        """Close every connection at once, and wait for the tasks that served them."""
        for server in self.servers:
            server.close()
        for connection in [*self.server_state.connections]:
            connection.transport.abort()
        with anyio.move_on_after(CUT_SECONDS, shield=True):
            while tasks := [*self.server_state.tasks]:
                await asyncio.wait(tasks)

    def _new_protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = kind(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def _config(application: Application, gateway: Gateway) -> uvicorn.Config:
    served: dict[str, Any] = {"gateway": gateway}
    turn = TurnEnd(asyncio.get_running_loop().call_soon)
    interval, timeout = _heartbeat(gateway)
    return uvicorn.Config(
        application,
        http=type("Http", (UvicornHttp,), served),
        ws=type("WebSocket", (UvicornWebSocket,), {**served, "turn": turn}),
        ws_ping_interval=interval,
        ws_ping_timeout=timeout,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )


def _heartbeat(gateway: Gateway) -> tuple[float | None, float]:
    """uvicorn has one for all endpoints: it must not cut a client that one of them lets be."""
    beats = [gate.heartbeat for gate in gateway.gates]
    if not beats or not all(beat.interval for beat in beats):
        return None, 20.0
    return max(beat.interval for beat in beats), max(beat.timeout for beat in beats)


class _Listener(Listener):
    def __init__(self, sockets: Sequence[socket.socket], servers: list[asyncio.Server]) -> None:
        self.addresses: tuple[Address, ...] = tuple(address_of(bound) for bound in sockets)
        self._servers = servers

    def close(self) -> None:
        for server in self._servers:
            server.close()
