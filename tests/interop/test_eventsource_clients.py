"""npm's eventsource in Node, Chromium's own EventSource, and our client, on each HTTP host."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Page, async_playwright

from unisock import ConnectionRejected, EncodeError, Server, Spark, State, connect
from unisock.registry import installed, look_up
from unisock.testing.running import Running
from unisock_eventsource import last_event_id, publish

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
NODE = shutil.which("node")
HOSTS = [
    name
    for name in installed("adapter")
    if name != "memory" and look_up("adapter", name).capabilities.http
]
TEXTS = ["plain", "two\nlines", "ünï 漢字 😀", "null", " space", "data: x", "100 %41 %"]
PATIENCE = 40


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def application(host: str) -> Server:
    """Counts each listener through the texts, from where it was; a listener may post."""
    server = Server(
        folder=None,
        adapter=host,
        endpoints=[
            {
                "path": "/events",
                "protocol": "eventsource",
                "codec": "text",
                "options": {"retry": 50, "ping": 0.5},
            },
            {
                "path": "/talk",
                "protocol": "eventsource",
                "codec": "json",
                "options": {"post": True},
            },
        ],
    )
    events = server.endpoint("/events")

    @events.on_open
    async def count(spark: Spark) -> None:
        start = int(last_event_id(spark) or -1) + 1
        for number, text in enumerate(TEXTS[start:], start):
            publish(spark, text, event_name="tick" if number % 2 else "", id=str(number))
            if number == 3 and not start:
                await spark.close(4000, "come back")  # and be served the rest

    @server.endpoint("/talk").on_message
    async def echo(spark: Spark, payload: object) -> None:
        await spark.send(payload)
        if payload == "enough":
            await spark.close(4999, "as you say")

    return server


def expected() -> list[dict[str, str]]:
    heard = [
        {"name": "tick" if number % 2 else "message", "data": text, "id": str(number)}
        for number, text in enumerate(TEXTS)
    ]
    told = json.dumps(
        {"code": 4000, "reason": "come back", "reconnect": True}, separators=(",", ":")
    )
    heard.insert(4, {"name": "close", "data": told, "id": "3"})
    return heard


async def test_npms_eventsource(unisock_serve: Any, host: str, proves: Any) -> None:
    proves(protocol="eventsource", client="npm `eventsource`, Node", host=host)
    assert NODE is not None, "node is missing: run `make test`, which brings it"
    running: Running = await unisock_serve(application(host))
    wanted = expected()
    command = [NODE, str(HERE / "eventsource_client.mjs"), f"{running.http_url}/events"]
    with anyio.fail_after(PATIENCE):
        done = await anyio.run_process([*command, str(len(wanted))])
    assert json.loads(done.stdout) == wanted


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


LISTEN = """count => new Promise(resolve => {
  const source = new EventSource("/events"), heard = [];
  for (const name of ["message", "tick", "close"]) source.addEventListener(name, event => {
    heard.push({ name: event.type, data: event.data, id: event.lastEventId });
    if (heard.length === count) { source.close(); resolve(heard); }
  });
})"""

TALK = """payloads => new Promise(resolve => {
  const source = new EventSource("/talk"), heard = [];
  source.addEventListener("post", async ({ data: address }) => {
    for (const payload of payloads)
      await fetch(address, { method: "POST", body: JSON.stringify(payload) });
  });
  source.onmessage = event => {
    heard.push(JSON.parse(event.data));
    if (heard.length === payloads.length) { source.close(); resolve(heard); }
  };
})"""


async def test_chromiums_eventsource(
    unisock_serve: Any, host: str, page: Page, proves: Any
) -> None:
    proves(protocol="eventsource", client="`EventSource` of Chromium", host=host)
    server = application(host)
    server.asset("/", "<!doctype html>")
    running: Running = await unisock_serve(server)
    await page.goto(running.http_url)
    wanted = expected()
    with anyio.fail_after(PATIENCE):
        assert await page.evaluate(LISTEN, len(wanted)) == wanted
        payloads = [1, None, "ü", {"a": []}]
        assert await page.evaluate(TALK, payloads) == payloads


async def test_our_client_listens(unisock_serve: Any, host: str) -> None:
    running: Running = await unisock_serve(application(host))
    client = connect(f"sse+{running.http_url}/events", codec="text")
    states: list[State] = []
    client.on_state(lambda change: states.append(change.state))
    with anyio.fail_after(PATIENCE):
        async with client as spark:
            assert [await spark.receive() for _ in TEXTS] == TEXTS
            with pytest.raises(EncodeError, match="takes no messages"):
                await spark.send("x")
    assert states.count(State.OPEN) == 2  # it came back, and said where it was


async def test_our_client_talks(unisock_serve: Any, host: str) -> None:
    running: Running = await unisock_serve(application(host))
    with anyio.fail_after(PATIENCE):
        async with connect(f"sse+{running.http_url}/talk") as spark:
            for payload in (1, None, "漢", {"a": [0]}):
                await spark.send(payload)
                assert await spark.receive() == payload
            await spark.send("enough")
            assert await spark.receive() == "enough"
            with pytest.raises(ConnectionRejected, match="4999 as you say"):
                await spark.receive()


@pytest.mark.parametrize("path", ["/nothing", "/events/x"])
async def test_our_client_is_told_where_there_is_nothing(
    unisock_serve: Any, host: str, path: str
) -> None:
    running: Running = await unisock_serve(application(host))
    with anyio.fail_after(PATIENCE):
        with pytest.raises(ConnectionRejected) as caught:
            async with connect(f"sse+{running.http_url}{path}"):
                raise AssertionError("it is connected")
        assert caught.value.status == 404
