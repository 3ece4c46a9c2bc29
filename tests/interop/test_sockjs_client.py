"""The real sockjs-client, in Node and in Chromium, on each of its transports, against each server.

Its remaining two, xdr-streaming and xdr-polling, need the `XDomainRequest` of Internet Explorer 8.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Page, async_playwright

from unisock import Close, Handshake, Hub, Origin, Server, Spark
from unisock.registry import installed
from unisock.testing.conformance.base import eventually
from unisock.testing.running import Running

from .node import Node

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SCRIPT = HERE / "sockjs_client.js"
CLIENT = HERE / "node_modules" / "sockjs-client" / "dist" / "sockjs.js"

IN_NODE = ["websocket", "xhr-streaming", "eventsource", "xhr-polling"]
IN_CHROMIUM = [
    *IN_NODE,
    "htmlfile",
    "jsonp-polling",
    "iframe-eventsource",
    "iframe-htmlfile",
    "iframe-xhr-polling",
]
NASTY = [
    "plain",
    "100 %41 %25 %",
    "\"'\\/",
    "line\nend\r\n",
    "\u2028\u2029",
    "ünï 漢字 😀",
    "</script><script>",
    "\x00\x1f\x7f",
    '["a"]',
]
NUMBERS = [str(number) for number in range(200)]

LIBRARY = "sockjs-tornado"
"""The adapter that brings SockJS itself; on all others it is the protocol ``sockjs``."""
HOSTS = [
    name
    for name in (LIBRARY, "tornado", "aiohttp", "asgi", "picows")
    if name in installed("adapter")
]

Seen = dict[str, Any]
Visit = Callable[..., Awaitable[Seen]]


class Application:
    """Echo, broadcast, an endpoint that closes and one that lets nobody in."""

    def __init__(self, host: str) -> None:
        options = {"htmlfile": True, "jsonp": True, "iframe": True, "sockjs_url": "/sockjs.js"}
        if host == LIBRARY:
            settings: dict[str, Any] = {"options": {host: {**options, "disconnect_delay": 1.0}}}
            self.endpoint: dict[str, Any] = {}
        else:
            settings = {}
            own = {**options, "disconnect_delay": 1000}
            self.endpoint = {"protocol": "sockjs", "options": own}
        self.server = Server(folder=None, adapter=host, limits={"close_seconds": 0.5}, **settings)
        self.ends: list[Close] = []
        self.transports: list[str] = []
        self._ended = anyio.Event()
        self._listeners = Hub()
        self._declare()
        self.server.asset("/sockjs.js", CLIENT.read_bytes(), "text/javascript; charset=utf-8")
        self.server.asset("/visit.js", SCRIPT.read_bytes(), "text/javascript; charset=utf-8")
        self.server.asset(
            "/", "<!doctype html><script src=/sockjs.js></script><script src=/visit.js></script>"
        )

    def _declare(self) -> None:
        echo = self.server.endpoint("/echo", codec="raw", **self.endpoint)
        broadcast = self.server.endpoint("/broadcast", codec="raw", **self.endpoint)
        closing = self.server.endpoint("/closing", codec="raw", **self.endpoint)
        members = self.server.endpoint("/members", codec="raw", **self.endpoint)

        @echo.on_open
        def enter(spark: Spark) -> None:
            self.transports.append(spark.transport)

        @echo.on_message
        async def answer(spark: Spark, message: str) -> None:
            await spark.send(message)

        @echo.on_close
        def leave(spark: Spark, close: Close) -> None:
            self.ends.append(close)
            self._ended.set()

        @broadcast.on_open
        def join(spark: Spark) -> None:
            self._listeners.add(spark)

        @broadcast.on_message
        async def spread(spark: Spark, message: str) -> None:
            await self._listeners.send(message)

        @broadcast.on_close
        def part(spark: Spark, close: Close) -> None:
            self._listeners.remove(spark)

        @closing.on_message
        async def close_it(spark: Spark, message: str) -> None:
            await spark.send("last words")
            await spark.close(4321, 'said "bye" ünï 😀')

        @members.authorize
        def refuse(handshake: Handshake) -> bool:
            return False

    async def end(self) -> Close:
        """How the first visit to the echo ended."""
        with anyio.fail_after(30):
            await self._ended.wait()
        return self.ends[0]

    async def two_listeners(self, visit: Visit) -> list[Seen]:
        """Two clients on the broadcast; when both are there, one message goes out to them."""
        seen: list[Seen] = []

        async def listen() -> None:
            seen.append(await visit("/broadcast", expect=1, close=(1000, "")))

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            group.start_soon(listen)
            with anyio.fail_after(30):
                while len(self._listeners) < 2:  # noqa: ASYNC110 - a hub has no event
                    await anyio.sleep(0.01)
            await self._listeners.send("news")
        return seen


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


@pytest.fixture
def application(request: pytest.FixtureRequest) -> Application:
    if not CLIENT.exists():
        pytest.skip("no sockjs-client: run npm ci in tests/interop")
    return Application(request.param)


@pytest.fixture
async def running(application: Application, unisock_serve: Any) -> Running:
    served: Running = await unisock_serve(application.server)
    return served


def order_for(transport: str, **order: Any) -> dict[str, Any]:
    return {"transport": transport, "send": [], "expect": 0, "timeout": 10_000, **order}


def in_node(node: Node, running: Running, transport: str) -> Visit:
    async def visit(path: str, **order: Any) -> Seen:
        seen: Seen = await node.acall(running.http_url + path, order_for(transport, **order))
        return seen

    return visit


def in_page(page: Page, transport: str) -> Visit:
    async def visit(path: str, **order: Any) -> Seen:
        with anyio.fail_after(40):
            seen: Seen = await page.evaluate(
                "([path, order]) => visit(SockJS, path, order)",
                [path, order_for(transport, **order)],
            )
        return seen

    return visit


@pytest.fixture
async def visit(
    request: pytest.FixtureRequest, running: Running, node: Any, page: Page, proves: Any
) -> AsyncGenerator[Visit]:
    where, transport = request.param
    client = f"npm `sockjs-client`, {where.capitalize()}"
    proves(protocol="sockjs", client=client, host=running.server.adapter.name)
    if where == "node":
        yield in_node(node(SCRIPT.name), running, transport)
        return
    await page.goto(running.http_url)
    yield in_page(page, transport)
    await page.goto("about:blank")


CLIENTS = [*(("node", name) for name in IN_NODE), *(("chromium", name) for name in IN_CHROMIUM)]
CASES = [(host, client) for host in HOSTS for client in CLIENTS]
everywhere = pytest.mark.parametrize(
    ("application", "visit"),
    CASES,
    indirect=True,
    ids=["-".join((host, *client)) for host, client in CASES],
)


@everywhere
async def test_text_goes_both_ways_in_order(application: Application, visit: Visit) -> None:
    messages = [*NASTY, *NUMBERS]
    seen = await visit("/echo", send=messages, expect=len(messages), close=(3456, "enough"))
    assert seen["messages"] == messages
    assert application.transports == [seen["transport"].removeprefix("iframe-")]
    assert (seen["close"]["code"], seen["close"]["reason"]) == (3456, "enough")
    # The client keeps its code to itself. Over HTTP it drops the request under way: that is its
    # way to close. Between two polls there is none, and the session expires.
    close = await application.end()
    if "polling" in seen["transport"] and close.origin is Origin.LOST:
        assert close.code == 1006
    else:
        assert (close.code, close.origin) in ((1005, Origin.PEER), (1000, Origin.PEER))


@everywhere
async def test_the_servers_close_arrives_with_code_and_reason(
    application: Application, visit: Visit
) -> None:
    seen = await visit("/closing", send=["please"])
    assert seen["messages"] == ["last words"]
    assert seen["close"] == {"code": 4321, "reason": 'said "bye" ünï 😀', "wasClean": True}


@everywhere
async def test_a_broadcast_reaches_everyone(application: Application, visit: Visit) -> None:
    seen = await application.two_listeners(visit)
    assert [one["messages"] for one in seen] == [["news"], ["news"]]


@everywhere
async def test_a_refusal_is_seen(application: Application, running: Running, visit: Visit) -> None:
    # eventsource in Node says nothing of a 403; the client waits until the time is over.
    seen = await visit("/members", send=["let me in"], timeout=1000)
    assert seen["transport"] is None
    assert seen["close"]["code"] == 2000  # "All transports failed"
    assert running.gateway.rejections > 0
    with anyio.fail_after(30):
        await eventually(lambda: not running.gateway.connections)


@pytest.mark.parametrize("application", HOSTS, indirect=True)
async def test_a_page_of_another_origin_gets_nothing(
    application: Application, running: Running, page: Page
) -> None:
    """localhost and 127.0.0.1 are two origins for a browser."""
    await page.goto(running.http_url.replace("127.0.0.1", "localhost"))
    for transport in ("websocket", "xhr-streaming", "eventsource", "jsonp-polling"):
        seen: Seen = await page.evaluate(
            "([url, order]) => visit(SockJS, url, order)",
            [f"{running.http_url}/echo", order_for(transport, send=["hello"])],
        )
        assert seen["messages"] == []
        assert seen["close"]["code"] == 1002  # "Cannot connect to server": no /info for strangers
    assert application.transports == []
    await page.goto("about:blank")
