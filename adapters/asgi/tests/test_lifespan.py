"""Starting and stopping with the host, alone and beside another application."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette

from unisock import ConfigError, Server
from unisock_asgi import asgi_app

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Host:
    """The host's side of the lifespan protocol."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.said: list[dict[str, Any]] = []
        self.to_app, self.from_host = anyio.create_memory_object_stream[str](10)
        self.to_host, self.from_app = anyio.create_memory_object_stream[dict[str, Any]](10)

    async def run(self) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": await self.from_host.receive()}

        await self.application({"type": "lifespan", "state": {}}, receive, self.to_host.send)

    async def tell(self, what: str) -> dict[str, Any]:
        """Send an event; returns the answer."""
        await self.to_app.send(f"lifespan.{what}")
        return await self.from_app.receive()

    def close(self) -> None:
        for stream in (self.to_app, self.from_host, self.to_host, self.from_app):
            stream.close()


@asynccontextmanager
async def hosted(application: Any) -> AsyncGenerator[Host]:
    host = Host(application)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(host.run)
            yield host
    host.close()


def make(**settings: Any) -> Server:
    return Server(adapter="asgi", folder=None, **settings)


def runs(server: Server) -> bool:
    try:
        return server.gateway is not None
    except ConfigError:
        return False


async def test_the_server_lives_as_long_as_the_host() -> None:
    server = make()
    for _ in range(2):
        async with hosted(asgi_app(server)) as host:
            assert not runs(server)
            assert (await host.tell("startup"))["type"] == "lifespan.startup.complete"
            assert runs(server)
            assert (await host.tell("shutdown"))["type"] == "lifespan.shutdown.complete"
            assert not runs(server)


async def test_a_server_that_cannot_start_tells_the_host_why() -> None:
    server = make(endpoints=[{"path": "/ws", "protocol": "pigeon"}])
    async with hosted(asgi_app(server)) as host:
        answer = await host.tell("startup")
    assert answer["type"] == "lifespan.startup.failed"
    assert "pigeon" in answer["message"]


def beside(server: Server, log: list[str], **more: Callable[..., Any]) -> Starlette:
    """An application that writes down whether the server runs."""

    @asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncGenerator[None]:
        log.append(f"up, server {runs(server)}")
        yield
        log.append(f"down, server {runs(server)}")

    return Starlette(lifespan=lifespan)


async def test_the_application_beside_it_starts_before_and_stops_after() -> None:
    server, log = make(), list[str]()
    server.on_open(lambda spark: None)
    async with hosted(asgi_app(server, beside(server, log))) as host:
        assert (await host.tell("startup"))["type"] == "lifespan.startup.complete"
        assert runs(server)
        assert (await host.tell("shutdown"))["type"] == "lifespan.shutdown.complete"
    assert log == ["up, server False", "down, server False"]


async def test_the_application_beside_a_server_that_cannot_start_is_stopped() -> None:
    server, log = make(endpoints=[{"path": "/ws", "codec": "pigeon"}]), list[str]()
    async with hosted(asgi_app(server, beside(server, log))) as host:
        answer = await host.tell("startup")
    assert answer["type"] == "lifespan.startup.failed"
    assert log[0] == "up, server False"


async def test_an_application_that_cannot_start_keeps_the_server_from_it() -> None:
    server = make()

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async with hosted(asgi_app(server, broken)) as host:
        answer = await host.tell("startup")
        assert answer == {"type": "lifespan.startup.failed", "message": "no database"}
    assert not runs(server)


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError(f"no {scope['type']}")


async def hears_and_refuses(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise ValueError("no lifespan")


async def ignores(scope: Any, receive: Any, send: Any) -> None:
    return


@pytest.mark.parametrize("application", [refuses, hears_and_refuses, ignores])
async def test_an_application_without_a_lifespan_has_none(application: Any) -> None:
    server = make()
    async with hosted(asgi_app(server, application)) as host:
        assert (await host.tell("startup"))["type"] == "lifespan.startup.complete"
        assert runs(server)
        assert (await host.tell("shutdown"))["type"] == "lifespan.shutdown.complete"
        assert not runs(server)


async def test_another_adapter_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'Server\(adapter="asgi"\)'):
        asgi_app(Server(adapter="memory", folder=None))


async def test_a_scope_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'telnet'"):
        await asgi_app(make())({"type": "telnet"}, refuses, refuses)  # type: ignore[arg-type]
