"""Below the frameworks: beside their pages, with their users."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import django.conf
import litestar
import pytest
import uvicorn
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import Cookie, Depends, FastAPI, HTTPException, WebSocket
from litestar.handlers import asgi as litestar_asgi
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from unisock import Close, Server, Spark
from unisock.testing.peers import Refused
from unisock.testing.running import task_group
from unisock.testing.websocket import WebSocketPeer
from unisock.testing.wire import Place
from unisock_asgi import asgi_app

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def make(*paths: str) -> Server:
    server = Server(
        adapter="asgi",
        folder=None,
        endpoints=[{"path": path, "codec": "raw"} for path in paths or ["/ws"]],
        drain_seconds=5,
        limits={"close_seconds": 1},
    )
    server.asset("/client.js", "// a script", "text/javascript")

    @server.on_message
    def echo(spark: Spark, message: str) -> None:
        spark.send_nowait(f"{spark.handshake.path} {spark.user}: {message}")

    return server


class _Uvicorn(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = anyio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@asynccontextmanager
async def listening(application: Any) -> AsyncGenerator[Place]:
    """Uvicorn, as anybody starts it, with the lifespan."""
    config = uvicorn.Config(application, port=0, log_config=None, access_log=False)
    server = _Uvicorn(config)
    with anyio.fail_after(30):
        async with task_group() as group:
            group.start_soon(server.serve)
            await server.listens.wait()
            try:
                yield Place("127.0.0.1", server.servers[0].sockets[0].getsockname()[1])
            finally:
                server.should_exit = True


async def talk(place: Place, target: str, **more: Any) -> str:
    """What the echo of "hello" is."""
    async with task_group() as group:
        peer = await WebSocketPeer.connect(place, target, group=group, **more)
        await peer.send("hello")
        answer = await peer.receive()
        await peer.close()
    assert isinstance(answer, str)
    return answer


async def page(request: Any) -> PlainTextResponse:
    return PlainTextResponse(f"page {request.url.path}")


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "middleware"])
async def test_starlette(wrapped: bool) -> None:
    server = make()

    @asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncGenerator[None]:
        async with server:
            yield

    async def hand_on(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    application = Starlette(
        routes=[Mount("/live", asgi_app(server)), Route("/{rest:path}", page)],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=hand_on)] if wrapped else [],
        lifespan=lifespan,
    )
    async with listening(application) as place:
        assert await talk(place, "/live/ws") == "/ws None: hello"
        assert (await place.request("/live/client.js?v=1")).text == "// a script"
        assert (await place.request("/live/ws")).status == 426
        assert (await place.request("/live/nothing")).status == 404
        assert (await place.request("/ws")).text == "page /ws"


async def test_a_mounted_server_that_was_not_started_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    application = Starlette(routes=[Mount("/live", asgi_app(make()))])
    async with listening(application) as place:
        for _ in range(2):
            assert (await place.request("/live/client.js")).status == 503
            with pytest.raises(Refused) as refused:
                await talk(place, "/live/ws")
            assert refused.value.status == 503
    assert caplog.text.count("async with server:") == 1


async def test_leaving_the_server_closes_its_connections_and_the_application_lives_on() -> None:
    server = make()
    closed: list[Close] = []
    server.on_close(lambda spark, close: closed.append(close))
    application = Starlette(routes=[Mount("/live", asgi_app(server)), Route("/page", page)])
    async with listening(application) as place, task_group() as group:
        async with server:
            peers = [await WebSocketPeer.connect(place, "/live/ws", group=group) for _ in range(3)]
        for peer in peers:
            close = await peer.wait_closed()
            assert (close.code, close.reason) == (1012, "server is restarting")
        assert [close.code for close in closed] == [1012] * 3
        assert (await place.request("/live/client.js")).status == 503
        assert (await place.request("/page")).text == "page /page"
        async with server:  # and again
            assert await talk(place, "/live/ws") == "/ws None: hello"


async def test_fastapi_gives_its_dependencies_user() -> None:
    server = make("/ws/{ignored}", "/chat/7")
    live = asgi_app(server)

    def user(ticket: Annotated[str | None, Cookie()] = None) -> str:
        if ticket is None:
            raise HTTPException(401, "no ticket")
        return f"holder of {ticket}"

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncGenerator[None]:
        async with server:
            yield

    application = FastAPI(lifespan=lifespan)

    @application.get("/me")
    def me(user: Annotated[str, Depends(user)]) -> str:
        return user

    @application.websocket("/chat/{room}")
    async def chat(websocket: WebSocket, room: int, user: Annotated[str, Depends(user)]) -> None:
        websocket.scope["user"] = user
        await live(websocket.scope, websocket.receive, websocket.send)

    async with listening(application) as place:
        ticket = [("Cookie", "ticket=9")]
        assert (await place.request("/me", headers=ticket)).json == "holder of 9"
        assert await talk(place, "/chat/7", headers=ticket) == "/chat/7 holder of 9: hello"
        assert (await place.request("/me")).status == 401
        with pytest.raises(Refused) as refused:
            await talk(place, "/chat/7")
        assert refused.value.status == 401


def django_page(request: HttpRequest, rest: str) -> HttpResponse:
    return HttpResponse(f"page {request.path}".encode())


urlpatterns = [path("<path:rest>", django_page)]


async def test_django_has_all_other_paths() -> None:
    if not django.conf.settings.configured:
        django.conf.settings.configure(
            ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test", USE_TZ=True
        )
        django.setup()
    server = make("/live/ws")
    django.conf.settings.ROOT_URLCONF = tuple(urlpatterns)
    application = asgi_app(server, get_asgi_application())
    async with listening(application) as place:
        assert await talk(place, "/live/ws") == "/live/ws None: hello"
        assert (await place.request("/client.js")).text == "// a script"
        assert (await place.request("/live/page")).text == "page /live/page"


async def test_litestar() -> None:
    server = make()
    live = asgi_app(server)

    @litestar_asgi("/live", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await live(scope, receive, send)

    @litestar.get("/page")
    async def page() -> str:
        return "page"

    application = litestar.Litestar([mounted, page], lifespan=[lambda app: server])
    async with listening(application) as place:
        assert await talk(place, "/live/ws") == "/ws None: hello"
        assert (await place.request("/live/client.js")).text == "// a script"
        assert (await place.request("/page")).text == "page"


async def test_an_application_has_the_paths_of_a_server_that_does_not_run_yet_but_its_own() -> None:
    live = asgi_app(make(), Starlette(routes=[Route("/page", page)]))

    async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await live(scope, receive, send)

    async with listening(without_lifespan) as place:
        assert (await place.request("/page")).text == "page /page"
        assert (await place.request("/ws")).status == 503


async def test_a_lazy_server_starts_with_the_first_request() -> None:
    server = make()
    live = asgi_app(server, lazy=True)

    async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await live(scope, receive, send)

    async with listening(without_lifespan) as place:
        answers: list[str] = []

        async def ask() -> None:
            answers.append(await talk(place, "/ws"))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
        assert answers == ["/ws None: hello"] * 3
        await live.stop()
    with pytest.raises(Exception, match="does not run"):
        _ = server.gateway
