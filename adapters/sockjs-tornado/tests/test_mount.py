"""Beside the pages of a Tornado application; the options; the import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from unisock import ConfigError, Server, Spark
from unisock.testing.running import task_group
from unisock.testing.sockjs import SockjsPeer
from unisock.testing.wire import Place
from unisock_sockjs_tornado import SockjsTornadoAdapter, routes

pytestmark = pytest.mark.anyio


class Page(RequestHandler):
    def get(self) -> None:
        self.write("a page of the application")


def make_server() -> Server:
    server = Server(
        folder=None,
        adapter="sockjs-tornado",
        endpoints=[{"path": "/chat", "codec": "raw"}],
        limits={"close_seconds": 0.2},
    )
    server.asset("/asset", "an asset of unisock")

    def echo(spark: Spark, message: str) -> None:
        spark.send_nowait(message)

    server.on_message(echo)
    return server


@asynccontextmanager
async def mounted(server: Server, **settings: Any) -> AsyncGenerator[Place]:
    async with server:
        application = Application([(r"/", Page), *routes(server)], **settings)
        http = HTTPServer(application)
        bound, port = bind_unused_port()
        http.add_sockets([bound])
        try:
            yield Place("127.0.0.1", port)
        finally:
            http.stop()
    await http.close_all_connections()


@pytest.mark.parametrize(
    "settings", [{}, {"xsrf_cookies": True}, {"cross_origin_protection": True}]
)
async def test_mounted_beside_other_pages(settings: dict[str, bool]) -> None:
    server = make_server()
    async with mounted(server, **settings) as place, task_group() as group:
        assert (await place.request("/")).text == "a page of the application"
        assert (await place.request("/asset")).text == "an asset of unisock"
        assert (await place.request("/chat")).text == "Welcome to SockJS!\n"
        assert (await place.request("/else")).status == 404
        peer = await SockjsPeer.connect(place, "/chat", group=group)
        await peer.send("hello")
        assert await peer.receive() == "hello"
        opened = await place.request("/chat/000/s/xhr", method="POST")
        assert opened.text == "o\n"
        sent = await place.request("/chat/000/s/xhr_send", method="POST", body=b'["over HTTP"]')
        assert sent.status == 204
        polled = await place.request("/chat/000/s/xhr", method="POST")
        assert polled.text == 'a["over HTTP"]\n'
        assert len(server.hub) == 2
        foreign = [("Origin", "https://evil.example")]
        refused = await place.request("/chat/000/t/xhr", method="POST", headers=foreign)
        assert refused.status == 403
        await peer.drop()


async def test_the_limit_of_a_post_holds_where_it_is_mounted() -> None:
    server = make_server()
    async with mounted(server) as place:
        await place.request("/chat/000/s/xhr", method="POST")
        head = [("Content-Length", str(50_000_000))]
        answer = await place.request("/chat/000/s/xhr_send", method="POST", headers=head)
        assert answer.status == 413


async def test_when_the_server_ends_so_do_its_sessions() -> None:
    server = make_server()
    async with task_group() as group:
        async with mounted(server) as place:
            peer = await SockjsPeer.connect(place, "/chat", group=group)
        close = await peer.wait_closed()
        assert close.code == 1012
        assert len(server.hub) == 0


async def test_what_a_dead_server_mounts() -> None:
    with pytest.raises(ConfigError, match="does not run"):
        routes(make_server())


async def test_another_adapter_has_other_routes() -> None:
    async with Server(folder=None, adapter="memory") as server:
        with pytest.raises(ConfigError, match='adapter = "sockjs-tornado"'):
            routes(server)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"tranports": []}, r"options.sockjs-tornado.tranports: .* did you mean transports\?"),
        ({"transports": ["websocket", "pigeon"]}, "no such transport 'pigeon'; there are websock"),
        ({"response_limit": "much"}, r"options.sockjs-tornado.response_limit: Expected `int`"),
        ({"disconnect_delay": 0}, "disconnect_delay and response_limit must be more than 0"),
        ({"sockjs_url": "/a b.js"}, "sockjs_url: no URL"),
        ({"sockjs_url": '"><script>'}, "sockjs_url: no URL"),
    ],
)
def test_options_are_checked(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        SockjsTornadoAdapter(options)


async def test_the_sessions_of_a_server_end_with_it(unisock_serve: Any) -> None:
    server = make_server()
    running = await unisock_serve(server)
    peers = [await running.connect() for _ in range(3)]
    await running.place.request("/chat/000/s/xhr", method="POST")
    with anyio.fail_after(30):
        await running.stop()
    assert all(peer.closed is not None for peer in peers)
    assert running.gateway.connections == []
    with pytest.raises(OSError, match="attempts failed"):
        await running.connect()


def test_the_import_gives_no_warning(tmp_path: Path) -> None:
    # Compiled anew, as after an installation: some warnings come from the compiler.
    fresh = f"pycache_prefix={tmp_path}"
    command = [sys.executable, "-W", "error", "-X", fresh, "-c", "import unisock_sockjs_tornado"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
