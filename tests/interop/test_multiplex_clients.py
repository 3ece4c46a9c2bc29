"""The browser client of sockjs/websocket-multiplex, in Node and in Chromium, and shoe there."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Page, async_playwright

from unisock import HandshakeRejected, Server, Spark
from unisock.testing.conformance.base import eventually
from unisock.testing.running import Running
from unisock_multiplex import Multiplex
from unisock_rooms import Rooms

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
NODE = shutil.which("node")
SCRIPT = HERE / "multiplex_client.js"
CLIENT = "npm `websocket-multiplex`"
ODD = "a, b % ünï 漢字 😀"
"""A topic that has to be escaped."""
TOPICS: dict[str, list[str]] = {
    "ann": ["one", "two, with a comma,", "", "null"],
    "bob": [str(number) for number in range(50)],
    ODD: ["ünï, 漢字 😀"],
    "closing": ["please"],
    "members": ["let me in"],
    "nobody's": ["hello?"],
}
OLD, HOSTS = "sockjs-tornado", ("tornado", "aiohttp", "asgi", "picows")
CLOSED = ["closing", "members", "nobody's"]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def sockjs_of(host: str) -> str | None:
    """The protocol of an endpoint; one host has no other."""
    return None if host == OLD else "sockjs"


class Application:
    """Topics: three that answer with their name, and three that end."""

    def __init__(self, adapter: str, protocol: str | None = None) -> None:
        self.multiplex = Multiplex()
        self.rooms = Rooms()
        self.ends: list[tuple[str, int]] = []
        self.server = Server(
            folder=None,
            adapter=adapter,
            plugins=[self.multiplex, self.rooms],
            endpoints=[
                {"path": path, "dialect": dialect, "codec": "text", "protocol": protocol}
                for path, dialect in (
                    ("/multiplex", "websocket-multiplex"),
                    ("/stream", "plain"),
                )
            ],
        )
        for name in ("ann", "bob", ODD):
            channel = self.multiplex.channel(name)
            channel.on_open(lambda spark: self.rooms.join(spark, "lobby"))
            channel.on_message(self.answer)
            channel.on_close(lambda spark, close: self.ends.append((spark.channel, close.code)))
        closing = self.multiplex.channel("closing")
        closing.on_message(lambda spark, message: spark.close_nowait(4000, "as you please"))
        self.multiplex.channel("members").authorize(self.refuse)
        self.server.endpoint("/stream").session(self.shout)

    async def answer(self, spark: Spark, message: str) -> None:
        await self.rooms.within(spark.channel)["lobby"].send(f"{spark.channel}: {message}")

    def refuse(self, channel: Any) -> None:
        raise HandshakeRejected("members only")

    async def shout(self, spark: Spark) -> None:
        """Answer each line in capitals, as a stream, until there is an empty one."""
        stream = spark.as_byte_stream()
        buffer = b""
        async for chunk in stream:
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                if not line:
                    return
                await stream.send(line.upper() + b"\n")


async def judge(seen: dict[str, Any], application: Application) -> None:
    said = {name: [f"{name}: {text}" for text in texts] for name, texts in TOPICS.items()}
    said |= {name: [] for name in CLOSED}
    assert seen["messages"] == said
    assert sorted(seen["closed"]) == sorted(TOPICS)
    # The client closes its socket right behind its last word, which over HTTP may not get out.
    with anyio.fail_after(60):
        await eventually(lambda: len(application.ends) == 3 and not len(application.multiplex))
    assert {code for _, code in application.ends} <= {1000, 1005, 1006}
    assert sorted([name for name, _ in application.ends]) == sorted(["ann", "bob", ODD])


async def in_node(kind: str, url: str) -> dict[str, Any]:
    assert NODE is not None, "node is missing: run `make test`, which brings it"
    order = {"topics": TOPICS, "closed": CLOSED}
    with anyio.fail_after(60):
        done = await anyio.run_process([NODE, str(SCRIPT), kind, url, json.dumps(order)])
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.mark.parametrize(
    ("host", "transport"),
    [
        *((OLD, name) for name in ("websocket", "xhr-streaming", "xhr-polling", "eventsource")),
        *zip(HOSTS, ("xhr-streaming", "xhr-polling", "websocket", "eventsource"), strict=True),
    ],
)
async def test_over_sockjs_in_node(
    unisock_serve: Any, host: str, transport: str, proves: Any
) -> None:
    application = Application(host, sockjs_of(host))
    proves(protocol="sockjs", client=f"{CLIENT}, Node", host=host)
    running: Running = await unisock_serve(application.server)
    await judge(await in_node(transport, f"{running.http_url}/multiplex"), application)


@pytest.mark.parametrize("adapter", ["websockets", "tornado"])
async def test_over_a_bare_websocket_in_node(unisock_serve: Any, adapter: str, proves: Any) -> None:
    proves(protocol="websocket", client=f"{CLIENT}, Node", host=adapter)
    application = Application(adapter)
    running: Running = await unisock_serve(application.server)
    await judge(await in_node("ws", f"{running.url}/multiplex"), application)


@pytest.fixture
async def page() -> AsyncGenerator[Page]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        yield await browser.new_page()
        await browser.close()


def add_page(server: Server, **scripts: bytes) -> None:
    """A page with these scripts."""
    for name, script in scripts.items():
        server.asset(f"/{name}.js", script.decode(), "text/javascript; charset=utf-8")
    tags = "".join([f"<script src=/{name}.js></script>" for name in scripts])
    server.asset("/", f"<!doctype html>{tags}")


@pytest.mark.parametrize("host", [OLD, "picows"])
async def test_over_sockjs_in_chromium(
    unisock_serve: Any, page: Page, host: str, proves: Any
) -> None:
    proves(protocol="sockjs", client=f"{CLIENT}, Chromium", host=host)
    application = Application(host, sockjs_of(host))
    add_page(
        application.server,
        sockjs=(MODULES / "sockjs-client" / "dist" / "sockjs.js").read_bytes(),
        multiplex=(MODULES / "websocket-multiplex" / "multiplex_client.js").read_bytes(),
        visit=SCRIPT.read_bytes(),
    )
    running: Running = await unisock_serve(application.server)
    await page.goto(running.http_url)
    with anyio.fail_after(60):
        seen = await page.evaluate(
            "order => visit(WebSocketMultiplex, new SockJS('/multiplex'), order)",
            {"topics": TOPICS, "closed": CLOSED},
        )
    await judge(seen, application)


@pytest.mark.parametrize("host", [OLD, *HOSTS])
async def test_shoe_is_a_stream(unisock_serve: Any, page: Page, host: str, proves: Any) -> None:
    proves(protocol="sockjs", client="npm `shoe`, Chromium", host=host)
    application = Application(host, sockjs_of(host))
    bundle = await anyio.run_process(
        [
            *(str(MODULES / ".bin" / "esbuild"), str(HERE / "shoe_page.js")),
            *("--bundle", "--log-level=error"),
            *("--alias:stream=stream-browserify", "--define:global=window"),
        ],
        cwd=HERE,
    )
    add_page(application.server, shoe=bundle.stdout)
    running: Running = await unisock_serve(application.server)
    await page.goto(running.http_url)
    chunks = ["hel", "lo\nünï 漢字 ", "😀\n" + "x" * 100_000, "\n", "bye\n", "\n"]
    with anyio.fail_after(60):
        heard = await page.evaluate("chunks => pipe('/stream', chunks)", chunks)
    assert heard == "".join(chunks).encode().upper().decode().removesuffix("\n")
