"""A server as an ASGI 3 application, for any host and below any framework."""

from __future__ import annotations

import asyncio
import logging

import anyio

from unisock import ConfigError, Server
from unisock.exchange import Response
from unisock.runtime import running_backend

from .adapter import AsgiAdapter
from .front import Front, refuse
from .lifespan import Lifespan
from .scope import Application, Receive, Scope, Send, path_of

__all__ = ["AsgiApp", "asgi_app"]

log = logging.getLogger("unisock")

_NOT_RUNNING = (
    "the server does not run: the host sends no lifespan events here. Use `async with server:` in "
    "the lifespan of your framework; or, for a host that has none, asgi_app(server, lazy=True)"
)


def asgi_app(
    server: Server, otherwise: Application | None = None, *, lazy: bool = False
) -> AsgiApp:
    """A server as an ASGI application.

    Run it by a host, which starts and stops the server through the lifespan protocol; or mount it
    below a framework, and start the server yourself with ``async with server:``. The paths of
    endpoints and assets are below the mount point.

    :param otherwise: the application that all other paths are for, such as Django's; it has its
        own part in the lifespan, if it wants one
    :param lazy: start the server with the first request, if nobody has: for hosts without the
        lifespan protocol, such as daphne, which cannot stop it in good order either
    :raises ConfigError: the server has another adapter
    """
    return AsgiApp(server, otherwise, lazy=lazy)


class AsgiApp:
    """What `asgi_app` makes."""

    def __init__(self, server: Server, otherwise: Application | None, *, lazy: bool) -> None:
        if not isinstance(server.adapter, AsgiAdapter):
            raise ConfigError(
                f"asgi_app() needs the adapter 'asgi', and this server has "
                f"'{server.adapter.name}'; write Server(adapter=\"asgi\")",
                key="adapter",
            )
        self._server = server
        self._otherwise = otherwise
        self._lazy = lazy
        self._front: Front | None = None
        self._starting: asyncio.Task[None] | None = None
        self._started: anyio.Event
        self._stopping: anyio.Event
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        kind = scope["type"]
        if kind == "lifespan":
            await Lifespan(self._server, self._otherwise).run(scope, receive, send)
            return
        if kind not in ("http", "websocket"):
            raise ValueError(f"unisock answers http and websocket, not {kind!r}")
        front = self._running()
        if front is None and self._lazy:
            front = await self._start()
        if self._otherwise is not None and not self._owns(path_of(scope), front):
            await self._otherwise(scope, receive, send)
        elif front is not None:
            await front(scope, receive, send)
        else:
            if not self._warned:
                self._warned = True
                log.error(_NOT_RUNNING)
            await refuse(scope, receive, send, Response.text(503, "The server does not run."))

    async def stop(self) -> None:
        """Drain and stop a server that a request has started; does nothing about any other."""
        starting, self._starting = self._starting, None
        if starting is not None:
            self._stopping.set()
            await asyncio.wait([starting])

    def _running(self) -> Front | None:
        """Where requests go, in this run of the server; `None` if it does not run."""
        try:
            gateway = self._server.gateway
        except ConfigError:
            return None
        front = self._front
        if front is None or front.gateway is not gateway:
            front = self._front = Front(gateway)
            gateway.runtime.spawn(front.close_at_the_end)
        return front

    def _owns(self, path: str, front: Front | None) -> bool:
        front = front or self._front
        if front is not None:
            return front.gateway.owns(path)
        own = [endpoint.path.rstrip("/") for endpoint in self._server.settings.endpoints]
        return any(path == above or path.startswith(f"{above}/") for above in own)

    async def _start(self) -> Front | None:
        if running_backend() != "asyncio":
            return None  # there is nobody to own the task
        if self._starting is None:
            self._started, self._stopping = anyio.Event(), anyio.Event()
            self._starting = asyncio.create_task(self._keep_running())
        await self._started.wait()
        return self._running()

    async def _keep_running(self) -> None:
        try:
            async with self._server:
                self._started.set()
                await self._stopping.wait()
        except ConfigError as error:
            log.error("unisock: %s", error)
        finally:
            self._started.set()
