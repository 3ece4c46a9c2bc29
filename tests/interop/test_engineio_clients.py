"""The real engine.io-client, revisions 4 and 3, in Node and in Chromium: polling only, WebSocket
only, and polling first, on each adapter that carries HTTP.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Page, async_playwright

from unisock import Close, Handshake, Server, Spark
from unisock.registry import installed, look_up
from unisock.testing.conformance.base import eventually
from unisock.testing.running import Running

from .node import Node

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SCRIPT = HERE / "engineio_client.js"
MODULES = HERE / "node_modules"
CLIENTS = {
    4: MODULES / "engine.io-client" / "dist" / "engine.io.js",
    3: MODULES / "engine.io-client-3" / "engine.io.js",
}

HOSTS = [
    name
    for name in installed("adapter")
    if name != "memory" and look_up("adapter", name).capabilities.http
]
WAYS = {
    "polling": {"transports": ["polling"]},
    "polling in base64": {"transports": ["polling"], "base64": True},
    "websocket": {"transports": ["websocket"]},
    "upgrade": {"transports": ["polling", "websocket"], "upgrade": True},
}
MESSAGES: list[Any] = [
    "plain",
    "line\nend\r\n",
    "\u2028\u2029 \\n \\\\n",
    "ünï 漢字 😀",
    {"binary": [0, 1, 2, 255]},
    "6:4hello",
    {"binary": [4]},
    *[str(number) for number in range(200)],
]

Seen = dict[str, Any]
Visit = Callable[..., Awaitable[Seen]]


class Application:
    """Echo, an endpoint that closes, one that lets nobody in, and one that only polls."""

    def __init__(self, host: str) -> None:
        self.server = Server(folder=None, adapter=host, limits={"close_seconds": 0.5})
        self.sparks: list[Spark] = []
        self.ends: list[Close] = []
        self._ended = anyio.Event()
        self._declare()
        for revision, path in CLIENTS.items():
            self.server.asset(f"/eio{revision}.js", path.read_bytes(), "text/javascript")
            scripts = f"<script src=/eio{revision}.js></script><script src=/visit.js></script>"
            self.server.asset(f"/page{revision}", f"<!doctype html><meta charset=utf-8>{scripts}")
        self.server.asset("/visit.js", SCRIPT.read_bytes(), "text/javascript")

    def endpoint(self, path: str) -> Any:
        """An endpoint for both revisions."""
        options = {"allow_eio3": True}
        return self.server.endpoint(path, protocol="engineio", codec="raw", options=options)

    def _declare(self) -> None:
        echo, closing = self.endpoint("/echo"), self.endpoint("/closing")
        members = self.endpoint("/members")

        @echo.on_open
        def enter(spark: Spark) -> None:
            self.sparks.append(spark)

        @echo.on_message
        async def answer(spark: Spark, message: str | bytes) -> None:
            await spark.send(message)

        @echo.on_close
        def leave(spark: Spark, close: Close) -> None:
            self.ends.append(close)
            self._ended.set()

        @closing.on_message
        async def close_it(spark: Spark, message: str) -> None:
            await spark.send("last words")
            await spark.close(4321, "bye")

        @members.authorize
        def refuse(handshake: Handshake) -> bool:
            return False

    async def end(self) -> Close:
        """How the first visit to the echo ended."""
        with anyio.fail_after(30):
            await self._ended.wait()
        return self.ends[0]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def page(anyio_backend: str) -> AsyncGenerator[Page]:
    """One for all tests: to load another document in it ends all that the last one did."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield await browser.new_page()
        await browser.close()


@pytest.fixture(params=HOSTS)
def application(request: pytest.FixtureRequest) -> Application:
    if not all(path.exists() for path in CLIENTS.values()):
        pytest.skip("no engine.io-client: run npm ci in tests/interop")
    return Application(request.param)


@pytest.fixture
async def running(application: Application, unisock_serve: Any) -> Running:
    served: Running = await unisock_serve(application.server)
    return served


def order_for(path: str, order: dict[str, Any]) -> dict[str, Any]:
    return {"path": path, "send": [], "expect": 0, **order}


def in_node(node: Node, running: Running, revision: int) -> Visit:
    async def visit(path: str, **order: Any) -> Seen:
        seen: Seen = await node.acall(running.http_url, order_for(path, order), revision)
        return seen

    return visit


def in_page(page: Page, running: Running, revision: int) -> Visit:
    # The bundle of revision 4 is a function with the class on it, that of 3 a function.
    async def visit(path: str, **order: Any) -> Seen:
        with anyio.fail_after(40):
            seen: Seen = await page.evaluate(
                "([url, order]) => visit(eio, url, order)",
                [running.http_url, order_for(path, order)],
            )
        return seen

    return visit


PLACES = [(where, revision) for where in ("node", "chromium") for revision in (4, 3)]


@pytest.fixture(params=PLACES, ids=[f"{where}-v{revision}" for where, revision in PLACES])
async def visit(
    request: pytest.FixtureRequest, running: Running, node: Any, page: Page, proves: Any
) -> AsyncGenerator[Visit]:
    where, revision = request.param
    release, place = {4: 6, 3: 3}[revision], where.capitalize()
    client = f"npm `engine.io-client` {release} (revision {revision}), {place}"
    proves(protocol="engineio", client=client, host=running.server.adapter.name)
    if where == "node":
        yield in_node(node(SCRIPT.name), running, revision)
        return
    await page.goto(f"{running.http_url}/page{revision}")
    yield in_page(page, running, revision)
    await page.goto("about:blank")


ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


@ways
async def test_messages_go_both_ways_in_order(
    application: Application, visit: Visit, way: dict[str, Any]
) -> None:
    seen = await visit("/echo", **way, send=MESSAGES, expect=len(MESSAGES), close=True)
    assert seen["messages"] == MESSAGES
    assert seen["transports"] == (way["transports"] if "upgrade" in way else way["transports"][:1])
    (spark,) = application.sparks
    assert spark.id == seen["id"]
    assert spark.transport == seen["transports"][-1]
    close = await application.end()
    assert close.code in (1000, 1005)
    assert seen["close"] == "forced close"


@ways
async def test_the_server_closes_after_its_last_words(visit: Visit, way: dict[str, Any]) -> None:
    seen = await visit("/closing", **way, send=["please"] * 2)
    assert seen["messages"] == ["last words"]
    assert seen["close"] == "transport close"


@ways
async def test_a_refusal_is_seen(running: Running, visit: Visit, way: dict[str, Any]) -> None:
    seen = await visit("/members", **way, send=["let me in"])
    assert seen["messages"] == []
    assert seen["close"] == "transport error"
    assert running.gateway.rejections > 0
    with anyio.fail_after(30):
        await eventually(lambda: not running.gateway.connections)


async def test_a_page_of_another_origin_gets_nothing(
    application: Application, running: Running, page: Page
) -> None:
    """localhost and 127.0.0.1 are two origins for a browser."""
    await page.goto(running.http_url.replace("127.0.0.1", "localhost") + "/page4")
    visit = in_page(page, running, 4)
    for way in WAYS.values():
        seen = await visit("/echo", **way, send=["hello"], expect=1, close=True)
        assert seen["messages"] == []
        assert seen["close"] == "transport error"
    assert application.sparks == []
    await page.goto("about:blank")
