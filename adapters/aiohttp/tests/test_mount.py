"""Mounted in an `aiohttp.web.Application` beside its own routes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from aiohttp import web

from unisock import Close, ConfigError, Handshake, Server, Spark
from unisock.abc import Protocol, Upgrade
from unisock.exchange import Body, Reader, Request, Response, Streamed
from unisock.registry import offer
from unisock.testing.conformance.base import eventually
from unisock.testing.download import HttpConnection
from unisock.testing.peers import Refused
from unisock.testing.running import task_group
from unisock.testing.websocket import WebSocketPeer
from unisock.testing.wire import Place
from unisock_aiohttp import AiohttpAdapter, mount, routes

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Ticker(Protocol, Reader):
    """A stream that nobody ends."""

    name = "aiohttp-ticker"
    needs = frozenset({"http"})
    below = True
    told: list[str]

    async def answer(self, request: Request) -> Response | Upgrade:
        if request.handshake.path.endswith("/wait"):
            try:
                self.told.append("waiting")
                await anyio.sleep_forever()
            finally:
                self.told.append("cancelled")
        return Streamed(200, [], self._start)

    def _start(self, body: Body) -> Reader:
        body.write(b"tick")
        return self

    def congested(self) -> None:
        self.told.append("congested")

    def relieved(self) -> None:
        self.told.append("relieved")

    def gone(self) -> None:
        self.told.append("gone")


offer("protocol", Ticker.name, Ticker)


def make() -> Server:
    Ticker.told = []
    server = Server(
        adapter=AiohttpAdapter(),
        folder=None,
        endpoints=[
            {"path": "/live/ws"},
            {"path": "/raw", "codec": "raw"},
            {"path": "/ticker", "protocol": Ticker.name},
        ],
        drain_seconds=5,
        limits={"close_seconds": 1},
    )
    server.asset("/live/client.js", "// a script", "text/javascript")

    @server.on_message
    def echo(spark: Spark, message: object) -> None:
        spark.send_nowait(message)

    return server


async def page(request: web.Request) -> web.Response:
    return web.Response(text=f"page {request.match_info['name']}")


@asynccontextmanager
async def listening(application: web.Application) -> AsyncGenerator[Place]:
    application.router.add_route("*", "/{name:.*}", page)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Place("127.0.0.1", runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def test_its_paths_are_its_own_and_all_others_the_applications() -> None:
    server, application = make(), web.Application()
    mount(server, application)
    with anyio.fail_after(30):
        async with task_group() as group, listening(application) as place:
            for path in ("/", "/live", "/live/ws/below", "/raw2", "/anything"):
                assert (await place.request(path)).text == f"page {path[1:]}"
            assert (await place.request("/live/client.js?v=1")).text == "// a script"
            assert (await place.request("/live/ws")).status == 426
            assert (await place.request("/raw", method="POST", body=b"x" * 1000)).status == 426
            text = await WebSocketPeer.connect(place, "/live/ws", group=group)
            await text.send('{"a":1}')
            assert await text.receive() == '{"a":1}'
            raw = await WebSocketPeer.connect(place, "/r%61w?x=1", group=group)
            await raw.send(b"\x00")
            assert await raw.receive() == b"\x00"
            assert len(server.hub) == 2


async def test_it_ends_with_the_application_which_waits_for_nobody() -> None:
    server, application = make(), web.Application()
    closed: list[Close] = []
    server.on_close(lambda spark, close: closed.append(close))
    mount(server, application)
    with anyio.fail_after(30):  # aiohttp waits for a minute for requests that are under way
        async with task_group() as group:
            async with listening(application) as place:
                peers = [await WebSocketPeer.connect(place, "/raw", group=group) for _ in range(3)]
                stream, wait = [await HttpConnection.open(place) for _ in range(2)]
                await stream.send("/ticker/stream")
                assert await (await stream.response()).receive() == b"tick"
                await wait.send("/ticker/wait")
                await eventually(lambda: "waiting" in Ticker.told)
            for peer in peers:
                close = await peer.wait_closed()
                assert (close.code, close.reason) == (1012, "server is restarting")
            await stream.drop()
            await wait.drop()
    assert [close.code for close in closed] == [1012] * 3
    assert sorted(Ticker.told) == ["cancelled", "gone", "waiting"]


async def test_a_client_that_leaves_is_noticed_though_aiohttp_does_not_tell() -> None:
    server, application = make(), web.Application()
    mount(server, application)
    with anyio.fail_after(30):
        async with listening(application) as place:
            for path, told in (("stream", ["gone"]), ("wait", ["waiting", "cancelled"])):
                Ticker.told.clear()
                client = await HttpConnection.open(place)
                await client.send(f"/ticker/{path}")
                if path == "stream":
                    await client.response()
                else:
                    await eventually(lambda: "waiting" in Ticker.told)
                await client.drop()
                await eventually(lambda told=told: Ticker.told == told)
            assert (await place.request("/page")).text == "page page"


async def test_middlewares_and_handler_cancellation_are_the_applications_affair() -> None:
    seen: list[int] = []

    @web.middleware
    async def look(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        seen.append(response.status)
        return response

    server, application = make(), web.Application(middlewares=[look])
    mount(server, application)
    runner = web.AppRunner(application, handler_cancellation=True)
    with anyio.fail_after(30):
        async with task_group() as group:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            place = Place("127.0.0.1", runner.addresses[0][1])
            peer = await WebSocketPeer.connect(place, "/raw", group=group)
            await peer.send("hello")
            assert await peer.receive() == "hello"
            assert (await place.request("/raw")).status == 426
            await runner.cleanup()
            assert (await peer.wait_closed()).code == 1012
    assert seen == [101, 426]


async def test_below_the_prefix_of_another_application() -> None:
    server, application, inner = make(), web.Application(), web.Application()
    mount(server, inner)
    application.add_subapp("/live", inner)
    with anyio.fail_after(30):
        async with task_group() as group, listening(application) as place:
            assert (await place.request("/live/client.js")).text == "// a script"
            peer = await WebSocketPeer.connect(place, "/live/ws", group=group)
            await peer.send("1")
            assert await peer.receive() == "1"
            assert (await place.request("/raw")).text == "page raw"


async def test_the_core_decides_about_origins() -> None:
    server, application = make(), web.Application()
    mount(server, application)
    evil = [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")]
    with anyio.fail_after(30):
        async with task_group() as group, listening(application) as place:
            with pytest.raises(Refused) as refused:
                await WebSocketPeer.connect(place, "/raw", group=group, headers=evil)
            assert refused.value.status == 403


async def test_leaving_the_server_closes_its_connections_and_the_application_lives_on() -> None:
    server, application = make(), web.Application()
    with anyio.fail_after(30):
        async with task_group() as group:
            async with server:
                application.add_routes(routes(server))
                listener = listening(application)
                place = await listener.__aenter__()
                peer = await WebSocketPeer.connect(place, "/raw", group=group)
            assert (await peer.wait_closed()).code == 1012
            assert (await place.request("/page")).text == "page page"
            assert (await place.request("/raw")).status == 503
            with pytest.raises(Refused) as refused:
                await WebSocketPeer.connect(place, "/raw", group=group)
            assert refused.value.status == 503
            await listener.__aexit__(None, None, None)


async def test_a_client_that_is_still_asked_about_does_not_hold_up_the_end() -> None:
    server, application = make(), web.Application()
    asked = anyio.Event()

    @server.authorize
    async def ask(handshake: Handshake) -> None:
        asked.set()
        await anyio.sleep_forever()

    async def knock(place: Place) -> None:
        with pytest.raises(Refused):
            await WebSocketPeer.connect(place, "/raw", group=group)

    mount(server, application)
    with anyio.fail_after(30):
        async with task_group() as group, listening(application) as place:
            group.start_soon(knock, place)
            await asked.wait()


async def test_a_server_that_cannot_start_keeps_the_application_from_starting() -> None:
    server, application = make(), web.Application()
    mount(server, application)
    async with server:
        with pytest.raises(ConfigError, match="already"):
            await web.AppRunner(application).setup()


async def test_it_needs_this_adapter_and_for_routes_a_running_server() -> None:
    with pytest.raises(ConfigError, match="does not run"):
        routes(make())
    other = Server(adapter="memory", folder=None)
    with pytest.raises(ConfigError, match=r'Server\(adapter="aiohttp"\)'):
        mount(other, web.Application())
    async with other:
        with pytest.raises(ConfigError, match=r'Server\(adapter="aiohttp"\)'):
            routes(other)


async def test_an_application_may_be_started_and_ended_by_different_tasks() -> None:
    server, application = make(), web.Application()
    mount(server, application)
    runner = web.AppRunner(application)
    with anyio.fail_after(30):
        await asyncio.create_task(runner.setup())
        await asyncio.create_task(runner.cleanup())
