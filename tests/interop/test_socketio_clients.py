"""The real clients of Socket.IO: npm's version 4 in Node and in Chromium, version 2, with the
msgpack parser, and python-socketio's.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest
import socketio
import socketio.exceptions
from playwright.async_api import async_playwright

from unisock import Channel, Close, HandshakeRejected, Overflow, Server, Spark, hookimpl
from unisock.testing.conformance.base import eventually
from unisock_emitter import Emitter
from unisock_multiplex import Multiplex
from unisock_rooms import Rooms

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SCRIPT = HERE / "socketio_client.js"
MODULES = HERE / "node_modules"
BROWSER = MODULES / "socket.io-client" / "dist" / "socket.io.js"

POLLING = {"transports": ["polling"]}
WEBSOCKET = {"transports": ["websocket"]}
UPGRADE = {"transports": ["polling", "websocket"], "upgrade": True}
BYTES = {"binary": [0, 1, 2, 255]}


class Application:
    """Every kind of endpoint, with the same handlers on all.

    :ivar ends: how sparks ended, by id
    """

    def __init__(self, host: str) -> None:
        self.events, self.rooms, self.multiplex = Emitter(), Rooms(), Multiplex()
        self.server = Server(
            folder=None,
            adapter=host,
            plugins=[self.events, self.rooms, self.multiplex, self],
        )
        self.ends: dict[str, Close] = {}
        self.missed = 0
        for path, options in [
            ("/socket.io", {"allow_eio3": True}),
            ("/msgpack", {"parser": "msgpack"}),
            ("/recovering", {"recovery": True}),
        ]:
            self.server.endpoint(path, protocol="engineio", dialect="socketio", options=options)
        for place in (self.server, self.multiplex.channel("/chat")):
            place.on_message(self.echo)
            place.on_close(self.leave)
        self.multiplex.channel("/members").authorize(self.refuse)
        self._listen()
        self.server.asset("/socket.io.js", BROWSER.read_bytes(), "text/javascript")
        self.server.asset("/visit.js", SCRIPT.read_bytes(), "text/javascript")
        scripts = "<script src=/socket.io.js></script><script src=/visit.js></script>"
        self.server.asset("/page", f"<!doctype html><meta charset=utf-8>{scripts}")

    @hookimpl
    def unisock_interrupt(self, spark: Spark, close: Close) -> None:
        """Somebody is away: that is when there is news."""
        self.missed += 1
        self.events.emit_nowait(self.rooms["followers"], "news", self.missed)

    @staticmethod
    async def echo(spark: Spark, payload: object) -> None:
        await spark.send(payload)

    def leave(self, spark: Spark, close: Close) -> None:
        self.ends[spark.id] = close

    @staticmethod
    def refuse(channel: Channel) -> None:
        raise HandshakeRejected("members only", data={"join": [channel.auth, None]})

    def _listen(self) -> None:
        events = self.events
        events.on("echo")(lambda spark, *args: args)
        events.on("where")(lambda spark: spark.channel)

        @events.on("turn")
        async def turn(spark: Spark, what: object) -> Any:
            return await events.request(spark, "who", what)

        @events.on("volatile")
        def tick(spark: Spark) -> None:
            events.emit_nowait(spark, "tick", 1, overflow=Overflow.DROP_NEWEST)

        @events.on("bye")
        def bye(spark: Spark, code: int) -> None:
            spark.close_nowait(code)

        @events.on("follow")
        async def follow(spark: Spark) -> None:
            if self.rooms.join(spark, "followers"):
                await events.emit(spark, "news", 0)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


async def in_node(url: str, orders: list[dict[str, Any]], version: int = 4) -> list[Any]:
    node = shutil.which("node")
    if node is None or not BROWSER.exists():
        pytest.skip("no socket.io-client: run npm ci in tests/interop")
    with anyio.fail_after(40):
        done = await anyio.run_process([node, str(SCRIPT), url, json.dumps(orders), str(version)])
    seen: list[Any] = json.loads(done.stdout)
    return seen


def talk(**order: Any) -> dict[str, Any]:
    return {"do": "talk", **order}


async def judge(application: Application, order: dict[str, Any], seen: Any) -> None:
    """What came of a talk."""
    assert seen["echo"] == [1, "ünï 😀", {"n": [None, True]}]
    assert seen["bytes"] == [BYTES, {"deep": [BYTES]}]
    assert seen["asked"] == BYTES
    assert seen["turn"] == ["Ada", BYTES]
    assert seen["messages"] == [*range(100), BYTES]
    assert seen["tick"] == 1
    assert seen["transport"] == order["transports"][-1]
    with anyio.fail_after(40):
        await eventually(lambda: seen["id"] in application.ends)
    close = application.ends[seen["id"]]
    if "end" in order:
        # The end of a namespace is final; who is to come back loses the connection.
        assert seen["end"] == ("transport close" if close.come_back else "io server disconnect")
        assert close.code == order["end"]
    else:
        assert seen["end"] == "io client disconnect"
        assert close.reason == "client namespace disconnect"


async def test_client_4(unisock_serve: Any, proves: Any) -> None:
    proves(protocol="engineio", client="npm `socket.io-client` 4, Node", host="tornado")
    application = Application("tornado")
    running = await unisock_serve(application.server)
    talks = [
        talk(**POLLING),
        talk(**WEBSOCKET, end=4500),
        talk(**UPGRADE, end=4000),
        talk(**UPGRADE, namespace="/chat"),
        talk(**WEBSOCKET, namespace="/chat", end=1000),
        talk(**UPGRADE, path="/msgpack", parser="msgpack"),
    ]
    others = [
        {"do": "knock", **UPGRADE, "namespace": "/members", "auth": {"a": 1}},
        {"do": "knock", **POLLING, "namespace": "/nowhere"},
        {"do": "share", **WEBSOCKET},
        {"do": "recover", **WEBSOCKET, "path": "/recovering", "reconnect": True},
    ]
    seen = await in_node(running.http_url, [*talks, *others])
    for order, one in zip(talks, seen, strict=False):
        await judge(application, order, one)
    refused, unknown, shared, recovered = seen[len(talks) :]
    assert refused == {"message": "members only", "data": {"join": [{"a": 1}, None]}}
    assert unknown == {"message": "Invalid namespace"}
    assert shared == {"one": [""], "other": ["/chat"], "still": [""]}
    assert recovered["recovered"] == [False, True, True]
    assert len(set(recovered["ids"])) == 1
    assert recovered["news"] == [0, 1, 2]


@pytest.mark.parametrize("host", ["aiohttp", "asgi", "picows"])
async def test_other_hosts(unisock_serve: Any, proves: Any, host: str) -> None:
    proves(protocol="engineio", client="npm `socket.io-client` 4, Node", host=host)
    application = Application(host)
    running = await unisock_serve(application.server)
    orders = [talk(**UPGRADE), talk(**POLLING, end=4500)]
    for order, seen in zip(orders, await in_node(running.http_url, orders), strict=True):
        await judge(application, order, seen)


async def test_client_2(unisock_serve: Any, proves: Any) -> None:
    proves(protocol="engineio", client="npm `socket.io-client` 2, Node", host="tornado")
    application = Application("tornado")
    running = await unisock_serve(application.server)
    talks = [talk(**POLLING), talk(**UPGRADE), talk(**WEBSOCKET, namespace="/chat", end=4500)]
    others = [
        {"do": "knock", **WEBSOCKET, "namespace": "/members?name=Ada"},
        {"do": "knock", **POLLING, "namespace": "/nowhere"},
        {"do": "share", **WEBSOCKET, "query": True},
    ]
    seen = await in_node(running.http_url, [*talks, *others], version=2)
    for order, one in zip(talks, seen, strict=False):
        await judge(application, order, one)
    refused, unknown, shared = seen[len(talks) :]
    # For this client, the error is the data themselves.
    assert refused["message"] == {"join": [{"name": "Ada"}, None]}
    assert unknown["message"] == "Invalid namespace"
    assert shared == {"one": [""], "other": ["/chat"], "still": [""]}


async def test_client_4_in_a_browser(unisock_serve: Any, proves: Any) -> None:
    proves(protocol="engineio", client="npm `socket.io-client` 4, Chromium", host="tornado")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium: apt-get install chromium")
    application = Application("tornado")
    running = await unisock_serve(application.server)
    orders = [talk(**UPGRADE), talk(**POLLING, namespace="/chat", end=4500)]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = await browser.new_page()
        await page.goto(f"{running.http_url}/page")
        with anyio.fail_after(40):
            seen = await page.evaluate(
                "([url, orders]) => visit(io, url, orders)", [running.http_url, orders]
            )
        await browser.close()
    for order, one in zip(orders, seen, strict=True):
        await judge(application, order, one)


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
async def test_python_socketio(unisock_serve: Any, proves: Any, transports: list[str]) -> None:
    proves(protocol="engineio", client="`python-socketio`", host="tornado")
    application = Application("tornado")
    running = await unisock_serve(application.server)
    client: Any = socketio.AsyncClient(reconnection=False)
    messages: list[Any] = []
    ended, enough = anyio.Event(), anyio.Event()

    @client.event(namespace="/chat")
    async def message(data: Any) -> None:
        messages.append(data)
        if len(messages) == 11:
            enough.set()

    @client.event(namespace="/chat")
    async def who(what: bytes) -> tuple[str, bytes]:
        return "Ada", what

    client.on("disconnect", lambda reason: ended.set(), namespace="/")
    with anyio.fail_after(30):
        await client.connect(
            running.http_url, namespaces=["/", "/chat"], transports=transports, auth={"a": 1}
        )
        assert await client.call("where", namespace="/chat") == "/chat"
        echoed = await client.call("echo", (1, {"b": b"\0\1"}), namespace="/")
        assert echoed == (1, {"b": b"\0\1"})
        assert await client.call("turn", b"\2", namespace="/chat") == ("Ada", b"\2")
        for number in range(10):  # its polls take 16 packets at most
            await client.send(number, namespace="/chat")
        await client.send(b"\3", namespace="/chat")
        await enough.wait()
        assert messages == [*range(10), b"\3"]
        await client.emit("bye", 4500, namespace="/")
        await ended.wait()
        await client.disconnect()
        why: list[Any] = []
        refused: Any = socketio.AsyncClient(reconnection=False)
        refused.on("connect_error", why.append, namespace="/members")
        with pytest.raises(socketio.exceptions.ConnectionError, match="/members"):
            await refused.connect(
                running.http_url, namespaces=["/members"], transports=transports, auth={}
            )
        assert why == [{"message": "members only", "data": {"join": [{}, None]}}]
