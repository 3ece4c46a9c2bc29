"""A server in an aiohttp application, beside the application's own routes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anyio
from aiohttp import web
from yarl import URL

from unisock import ConfigError, Server

from .adapter import AiohttpAdapter
from .front import Front

__all__ = ["mount", "routes"]


def mount(server: Server, application: web.Application) -> None:
    """Mount a server in an application, at the paths of its endpoints and assets. It starts with
    the application, and it ends when the application shuts down: before that waits for the
    requests that are under way.

    The application's own HTTP server listens, so ``listen`` of the settings is not used.

    :raises ConfigError: the server has another adapter
    """
    _adapter_of(server)
    resource = _Resource()
    application.router.register_resource(resource)
    life = _Life(server, resource)
    application.on_startup.append(life.start)
    application.on_shutdown.append(life.stop)


def routes(server: Server) -> list[web.AbstractRouteDef]:
    """The same for a server that you start and end yourself: use it inside ``async with server:``,
    and give what it returns to ``application.add_routes``. When the ``async with`` ends, all
    connections are closed.

    :raises ConfigError: the server does not run, or has another adapter
    """
    resource = _Resource()
    resource.front = _front_of(server)
    return [_RouteDef(resource)]


def _adapter_of(server: Server) -> AiohttpAdapter:
    if not isinstance(server.adapter, AiohttpAdapter):
        raise ConfigError(
            f"only a server with the adapter 'aiohttp' can be mounted here, and this one has "
            f"'{server.adapter.name}'; write Server(adapter=\"aiohttp\")",
            key="adapter",
        )
    return server.adapter


def _front_of(server: Server) -> Front:
    adapter = _adapter_of(server)
    front = Front(server.gateway, adapter.options)
    server.gateway.runtime.spawn(_close_at_the_end, front)
    return front


async def _close_at_the_end(front: Front) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        front.close()


class _Life:
    """The life of a server within that of an application.

    It is a task's, since an application may be started and ended by different ones.
    """

    def __init__(self, server: Server, resource: _Resource) -> None:
        self._server = server
        self._resource = resource
        self._task: asyncio.Task[None] | None = None
        self._end = asyncio.Event()

    async def start(self, application: web.Application) -> None:
        ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(ready))
        await ready

    async def stop(self, application: web.Application) -> None:
        task, self._task = self._task, None
        if task is not None:
            self._end.set()
            await task

    async def _run(self, ready: asyncio.Future[None]) -> None:
        try:
            async with self._server:
                self._resource.front = _front_of(self._server)
                ready.set_result(None)
                await self._end.wait()
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)


class _RouteDef(web.AbstractRouteDef):
    def __init__(self, resource: _Resource) -> None:
        self._resource = resource

    def register(self, router: web.UrlDispatcher) -> list[web.AbstractRoute]:
        router.register_resource(self._resource)
        return [*self._resource]


class _Resource(web.AbstractResource):
    """The paths for which a gateway has an endpoint or asset.

    :ivar front: `None` while the server does not run yet
    """

    def __init__(self) -> None:
        super().__init__()
        self.front: Front | None = None
        self._prefix = ""
        self._route = web.ResourceRoute("*", self._answer, self)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        assert self.front is not None
        return await self.front.answer(request)

    async def resolve(
        self, request: web.Request
    ) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        if self.front is None or not self.front.gateway.owns(request.path):
            return None, set()
        return web.UrlMappingMatchInfo({}, self._route), {"*"}

    @property
    def canonical(self) -> str:
        return self._prefix or "/"  # where aiohttp looks last, below what is more specific

    def add_prefix(self, prefix: str) -> None:
        self._prefix = prefix + self._prefix

    def get_info(self) -> Any:
        return {"path": self.canonical}

    def raw_match(self, path: str) -> bool:
        return False

    def url_for(self, **kwargs: str) -> URL:
        return URL(self.canonical)

    def __iter__(self) -> Iterator[web.AbstractRoute]:
        return iter([self._route])

    def __len__(self) -> int:
        return 1
