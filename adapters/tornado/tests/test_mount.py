"""Mounted in a `tornado.web.Application` beside its own pages."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import tornado.web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from unisock import Close, ConfigError, Handshake, Server, Spark
from unisock.testing.peers import Refused
from unisock.testing.running import task_group
from unisock.testing.websocket import WebSocketPeer
from unisock.testing.wire import Place
from unisock_tornado import routes

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "tornado_app.py"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Page(tornado.web.RequestHandler):
    def get(self, name: str) -> None:
        self.write(f"page {name}")


def make() -> Server:
    server = Server(
        adapter="tornado",
        folder=None,
        endpoints=[{"path": "/live/ws"}, {"path": "/raw", "codec": "raw"}],
        drain_seconds=5,
        limits={"close_seconds": 1},
    )
    server.asset("/live/client.js", "// a script", "text/javascript")

    @server.on_message
    def echo(spark: Spark, message: object) -> None:
        spark.send_nowait(message)

    return server


@asynccontextmanager
async def listening(application: tornado.web.Application) -> AsyncGenerator[Place]:
    http_server = HTTPServer(application)
    sockets = bind_sockets(0, "127.0.0.1")
    http_server.add_sockets(sockets)
    try:
        yield Place("127.0.0.1", sockets[0].getsockname()[1])
    finally:
        http_server.stop()
        await http_server.close_all_connections()


async def test_its_paths_are_its_own_and_all_others_the_applications() -> None:
    server = make()
    with anyio.fail_after(30):
        async with task_group() as group, server:
            application = tornado.web.Application([*routes(server), (r"/(.*)", Page)])
            async with listening(application) as place:
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


async def test_the_core_decides_about_origins() -> None:
    server = make()
    evil = [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")]
    with anyio.fail_after(30):
        async with (
            task_group() as group,
            server,
            listening(tornado.web.Application(routes(server))) as place,
        ):
            with pytest.raises(Refused) as refused:
                await WebSocketPeer.connect(place, "/raw", group=group, headers=evil)
            assert refused.value.status == 403


async def test_leaving_the_server_closes_its_connections_and_the_application_lives_on() -> None:
    server = make()
    closed: list[Close] = []
    server.on_close(lambda spark, close: closed.append(close))
    with anyio.fail_after(30):
        application = tornado.web.Application()
        async with task_group() as group, listening(application) as place:
            async with server:
                application.add_handlers(".*", [*routes(server), (r"/(.*)", Page)])
                peers = [await WebSocketPeer.connect(place, "/raw", group=group) for _ in range(3)]
            for peer in peers:
                close = await peer.wait_closed()
                assert (close.code, close.reason) == (1012, "server is restarting")
            assert [close.code for close in closed] == [1012] * 3
            assert (await place.request("/page")).text == "page page"
            assert (await place.request("/raw")).status == 503
            with pytest.raises(Refused) as refused:
                await WebSocketPeer.connect(place, "/raw", group=group)
            assert refused.value.status == 503


async def test_a_client_that_is_still_asked_about_does_not_hold_up_the_end() -> None:
    server = make()
    asked = anyio.Event()

    @server.authorize
    async def ask(handshake: Handshake) -> None:
        asked.set()
        await anyio.sleep_forever()

    async def knock(place: Place) -> None:
        with pytest.raises(Refused):
            await WebSocketPeer.connect(place, "/raw", group=group)

    with anyio.fail_after(30):
        async with task_group() as group:
            async with server:
                application = tornado.web.Application(routes(server))
                http_server = HTTPServer(application)
                sockets = bind_sockets(0, "127.0.0.1")
                http_server.add_sockets(sockets)
                place = Place("127.0.0.1", sockets[0].getsockname()[1])
                group.start_soon(knock, place)
                await asked.wait()
            http_server.stop()


async def test_it_needs_a_running_server_with_this_adapter() -> None:
    with pytest.raises(ConfigError, match="does not run"):
        routes(make())
    async with Server(adapter="memory", folder=None) as server:
        with pytest.raises(ConfigError, match=r'Server\(adapter="tornado"\)'):
            routes(server)


async def test_options_are_refused() -> None:
    server = Server(adapter="tornado", folder=None, options={"tornado": {"compression": True}})
    with pytest.raises(ConfigError, match=r"remove \[options\.tornado\]"):
        server.check()


async def test_the_example_runs_and_stops() -> None:
    with anyio.fail_after(30):
        async with await anyio.open_process(
            [sys.executable, "-W", "error", str(EXAMPLE), "--port", "0"],
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as process:
            assert process.stdout is not None
            line = b""
            while not line.endswith(b"\n"):
                line += await process.stdout.receive()
            before, _, port = line.decode().strip().rpartition(":")
            assert before == "listening on http://127.0.0.1", line
            place = Place("127.0.0.1", int(port))
            assert "1 visits so far" in (await place.request("/")).text
            assert (await place.request("/nothing")).status == 404
            async with task_group() as group:
                one = await WebSocketPeer.connect(place, "/ws", group=group)
                two = await WebSocketPeer.connect(place, "/ws", group=group)
                await one.send('"hello"')
                assert await one.receive() == await two.receive() == '"hello"'
                process.send_signal(signal.SIGTERM)
                assert (await one.wait_closed()).code == 1012
            rest = b"".join([chunk async for chunk in process.stdout])
            assert await process.wait() == 0, rest.decode()
