"""The adapter with a server of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import anyio
from aiohttp import web
from aiohttp.http import HttpProcessingError
from anyio.abc import TaskStatus

from unisock import Capabilities
from unisock.abc import Adapter, Gateway, Listener
from unisock.sockets import address_of

from .front import Front
from .options import read_options

__all__ = ["AiohttpAdapter"]

SHUTDOWN_SECONDS = 1.0
"""For handlers whose answers were given up to come to their end."""

log = logging.getLogger("unisock")


class AiohttpAdapter(Adapter):
    """Serves on aiohttp's HTTP server. `Options` says what can be set."""

    name = "aiohttp"
    capabilities = Capabilities(
        websocket=True, http=True, chunk_extensions=True, compression=True, mount=True
    )

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        self.options = read_options(options)

    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        front = Front(gateway, self.options)
        seconds = gateway.limits.handshake_seconds
        server = _Server(
            front.answer,
            keepalive_timeout=seconds,
            lingering_time=seconds,
            auto_decompress=False,
            access_log=None,
            logger=_driver_log,
        )
        listener = _Listener(gateway.sockets())
        try:
            await listener.open(server, gateway.ssl_context, seconds)
            task_status.started(listener)
            await anyio.sleep_forever()
        finally:
            listener.close()
            server.closed = True
            front.close()
            with anyio.CancelScope(shield=True):
                await server.shutdown(SHUTDOWN_SECONDS)


class _Server(web.Server):
    """aiohttp's connections of one server.

    :ivar closed: there is no use in another
    """

    closed = False

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if self.closed:  # it was busy with its TLS handshake
            transport.abort()


class _Listener(Listener):
    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self.addresses = tuple(address_of(bound) for bound in sockets)
        self._sockets = sockets
        self._servers: list[asyncio.Server] = []

    async def open(
        self, server: web.Server, context: ssl.SSLContext | None, seconds: float
    ) -> None:
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {}
        if context is not None:
            tls = {
                "ssl": context,
                "ssl_handshake_timeout": seconds,
                "ssl_shutdown_timeout": seconds,
            }
        for bound in self._sockets:
            # A Unix socket, too: since Python 3.13, `create_unix_server` would remove one that
            # other processes share.
            self._servers.append(await loop.create_server(server, sock=bound, **tls))

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for bound in self._sockets:
            bound.close()


def _is_ours(record: logging.LogRecord) -> bool:
    """aiohttp tells of what is no HTTP as of an exception of the program."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        log.info("no HTTP: %s", type(error).__name__)
        return False
    return True


_driver_log = logging.getLogger("unisock.aiohttp")
_driver_log.addFilter(_is_ours)
