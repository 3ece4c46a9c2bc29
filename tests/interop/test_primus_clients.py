"""The real Primus 8 client with its transformers and plugins, in Node and in Chromium."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import async_playwright

from unisock import Channel, Close, Handshake, Server, Spark
from unisock.testing.ports import private_port
from unisock.testing.running import Running, serving
from unisock_emitter import Emitter
from unisock_multiplex import Multiplex
from unisock_primus.library import build, plan_for
from unisock_primus.options import Options
from unisock_rooms import Rooms

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SCRIPT = HERE / "primus_client.js"
TRANSFORMERS = {"websockets": "websocket", "sockjs": "sockjs", "engine.io": "engineio"}
PLUGINS: dict[str, dict[str, Any]] = {
    "emitter": {"responder": True},
    "emit": {"events": "emit", "channels": "substream"},
}
DATA: list[Any] = [None, 0, "", "ünï 漢字 😀 \u2028", {"deep": [1, {"er": [None, 1.5]}]}, ["a"]]
PINGS = {"interval": 0.1, "timeout": 20}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Application:
    """An endpoint for each transformer and each set of plugins, and one that lets nobody in."""

    def __init__(self, adapter: str, folder: Path = HERE, offering: Sequence[str] = ()) -> None:
        self.events, self.multiplex, self.rooms = Emitter(), Multiplex(), Rooms()
        self.server = Server(
            folder=None,
            adapter=adapter,
            plugins=[self.events, self.multiplex, self.rooms],
            heartbeat=PINGS,
        )
        self.ids: list[str] = []
        self.ends: list[Close] = []
        self.ready = 0
        self.changed = anyio.Event()
        for protocol in TRANSFORMERS.values():
            for name, options in PLUGINS.items():
                path = f"/{protocol}/{name}"
                client = {"client": str(folder / file_of(path))} if path in offering else {}
                self.server.endpoint(
                    path, protocol=protocol, dialect="primus", options={**options, **client}
                )
            members = self.server.endpoint(
                f"/{protocol}/members", protocol=protocol, dialect="primus"
            )
            members.authorize(self.refuse)
        self.server.endpoint(
            "/websocket/msgpack", dialect="primus", codec="msgpack", options={"responder": True}
        )
        self._declare()

    def _declare(self) -> None:
        server, events = self.server, self.events
        server.on_open(self.enter)
        server.on_message(self.hear)
        server.on_close(lambda spark, close: self.ends.append(close))
        news = self.multiplex.channel("news")
        news.on_message(lambda spark, payload: spark.send({"on": spark.channel, "was": payload}))
        self.multiplex.channel("closed").authorize(self.shut)
        events.on("double", channel="news")(lambda spark, number: 2 * number)
        events.on("request")(lambda spark, data: {"you said": data})

        @events.on("tell")
        async def tell(spark: Spark, word: str) -> None:
            await events.emit(spark, "told", word.upper())

        @events.on("add")
        async def add(spark: Spark, a: int, b: int) -> int:
            return int(await events.request(spark, "sum", a, b))

        @events.on("ask me")
        async def ask(spark: Spark, data: int) -> int:
            return int(await events.request(spark, "request", data))

    def refuse(self, handshake: Handshake) -> bool:
        return False

    def shut(self, channel: Channel) -> bool:
        return False

    def enter(self, spark: Spark) -> None:
        self.ids.append(spark.id)
        self.rooms.join(spark, "lobby")

    async def hear(self, spark: Spark, payload: Any) -> None:
        match payload:
            case "shout":
                await (self.rooms["lobby"] & spark).send({"room": "lobby"})
            case "cut":
                spark.close_nowait(4000, reconnect=True)
            case "restart":
                self.ready += 1
                self.changed.set()
            case "close":
                spark.close_nowait()
            case _:
                await spark.send({"echo": payload})


def file_of(path: str) -> str:
    return path.strip("/").replace("/", "-") + ".js"


def order_for(transformer: str, plugins: str, **order: Any) -> dict[str, Any]:
    path = f"/{TRANSFORMERS[transformer]}/{plugins}"
    own = {"pathname": path, "plugins": plugins, "data": DATA}
    if transformer == "sockjs":  # its client goes by the round trip of /info, which may be short
        own["transport"] = {"timeout": 10_000}
    return {"transformer": transformer, **own, **order}


def judge(seen: dict[str, Any], application: Application, order: dict[str, Any]) -> None:
    again = ["back"] if order.get("cut") or order.get("restart") else []
    assert seen["echoes"] == [*order["data"], *again]
    assert seen["id"] in application.ids
    assert seen["room"] == "lobby"
    assert seen["told"] == "X"
    assert seen["closed"] == 1
    assert seen["news"] == [{"on": "news", "was": word} for word in ["first", *again]]
    assert seen["pongs"] >= 3
    if order["plugins"] == "emitter":
        assert seen["sum"] == 21
        assert seen["double"] == 8
        assert seen["request"] == {"you said": {"tea": True}}
        assert seen["asked"] == 42
    # A close for good does not come back, and a cut does. SockJS' client tells of a code.
    ups = [event for event in seen["events"] if not event.startswith("error: ")]
    between = ["close", "reconnect scheduled", "reconnected", "open"] if again else []
    if order.get("restart"):
        attempts = ups.count("reconnect scheduled")
        ups = [event for event in ups if event != "reconnect scheduled"]
        between.remove("reconnect scheduled")
        assert attempts >= 1
    assert ups == ["open", *between, "close", "end"]


async def in_node(url: str, orders: dict[str, Any]) -> dict[str, Any]:
    node = shutil.which("node")
    assert node is not None, "node is missing: run `make test`, which brings it"
    with anyio.fail_after(60):
        done = await anyio.run_process([node, str(SCRIPT), url, json.dumps(orders)], cwd=HERE)
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.fixture
def proved(proves: Any) -> Callable[[str, str], None]:
    """``proved(place, adapter)``: the client was served there over all its transformers."""

    def proved(place: str, adapter: str) -> None:
        for protocol in TRANSFORMERS.values():
            proves(protocol=protocol, client=f"npm `primus` 8, {place}", host=adapter)

    return proved


async def test_every_transformer_with_every_plugin_in_node(
    unisock_serve: Any, proved: Callable[[str, str], None]
) -> None:
    proved("Node", "tornado")
    application = Application("tornado")
    running: Running = await unisock_serve(application.server)
    orders = {
        f"{transformer} {plugins}": order_for(transformer, plugins, cut=True)
        for transformer in TRANSFORMERS
        for plugins in PLUGINS
    }
    orders["msgpack"] = order_for(
        "websockets", "emitter", pathname="/websocket/msgpack", parser="msgpack"
    )
    refused = {
        f"refused {transformer}": order_for(transformer, "none", pathname=f"/{protocol}/members")
        for transformer, protocol in TRANSFORMERS.items()
    }
    seen = await in_node(running.http_url, orders | refused)
    for name, order in orders.items():
        judge(seen[name], application, order)
    for name in refused:
        assert seen[name] == ["error"]
    assert {end.code for end in application.ends} <= {1000, 4000}
    assert running.gateway.rejections >= len(TRANSFORMERS)


@pytest.mark.parametrize("adapter", ["aiohttp", "asgi", "picows"])
async def test_other_hosts(
    unisock_serve: Any, adapter: str, proved: Callable[[str, str], None]
) -> None:
    proved("Node", adapter)
    application = Application(adapter)
    running: Running = await unisock_serve(application.server)
    orders = {name: order_for(name, "emitter") for name in TRANSFORMERS}
    seen = await in_node(running.http_url, orders)
    for name, order in orders.items():
        judge(seen[name], application, order)


async def test_clients_come_back_after_a_restart() -> None:
    orders = {name: order_for(name, "emitter", restart=True) for name in TRANSFORMERS}
    seen: dict[str, Any] = {}
    first, second = Application("tornado"), Application("tornado")
    place = {"port": private_port()}
    async with anyio.create_task_group() as group, serving(first.server, listen=place) as running:

        async def look() -> None:
            seen.update(await in_node(running.http_url, orders))
            group.cancel_scope.cancel()

        group.start_soon(look)
        with anyio.fail_after(60):
            while first.ready < len(orders):
                first.changed = anyio.Event()
                await first.changed.wait()
            await running.stop()
        async with serving(second.server, listen=place):
            await anyio.sleep_forever()
    for name, order in orders.items():
        judge(seen[name], first, order)
    assert len(second.ids) == len(orders)


async def test_the_library_that_we_build_in_chromium(
    tmp_path: Path, proved: Callable[[str, str], None]
) -> None:
    proved("Chromium", "tornado")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium: apt-get install chromium")
    orders = [
        order_for(transformer, plugins)
        for transformer, plugins in zip(TRANSFORMERS, ["emitter", "emit", "emitter"], strict=True)
    ]
    paths = [order["pathname"] for order in orders]
    for gate in Application("tornado").server.check().gates:
        path = gate.endpoint.path
        if path in paths:
            text = build(plan_for(gate, Options(**PLUGINS[path.rpartition("/")[2]])), HERE)
            (tmp_path / file_of(path)).write_text(text)
    application = Application("tornado", tmp_path, paths)
    server = application.server
    server.asset("/visit.js", SCRIPT.read_text(), "text/javascript; charset=utf-8")
    for path in paths:
        scripts = f"<script src={path}/primus.js></script><script src=/visit.js></script>"
        server.asset(f"/page{path}", f"<!doctype html>{scripts}")
    async with serving(server) as running, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        page = await browser.new_page()
        for order in orders:
            await page.goto(f"{running.http_url}/page{order['pathname']}")
            with anyio.fail_after(60):
                seen = await page.evaluate("order => visit(Primus, undefined, order)", order)
            judge(seen, application, order)
        await browser.close()
