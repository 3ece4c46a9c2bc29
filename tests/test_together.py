"""Events, channels and rooms at once, on each adapter, with raw clients and with ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import msgspec
import pytest

from unisock import Channel, ConnectionRejected, HandshakeRejected, Server, Spark, connect
from unisock.client import Client
from unisock.memory_client import MemoryConnector
from unisock.testing.peers import Peer
from unisock.testing.running import Running, serving
from unisock_emitter import Emitter, EventError, RemoteError
from unisock_multiplex import Multiplex
from unisock_rooms import Rooms

pytestmark = pytest.mark.anyio

ADAPTERS = [
    ("memory", "asyncio"),
    ("memory", "trio"),
    ("websockets", "asyncio"),
    ("websockets", "trio"),
    ("tornado", "asyncio"),
    ("asgi", "asyncio"),
    ("aiohttp", "asyncio"),
    ("picows", "asyncio"),
    ("sockjs-tornado", "asyncio"),
]
PATIENCE = 40
FALSY: list[Any] = [None, 0, False, "", [], {}]


class Application:
    """A server with all three plugins."""

    def __init__(self) -> None:
        self.events, self.multiplex, self.rooms = Emitter(), Multiplex(), Rooms()
        self.server = Server(folder=None, plugins=[self.events, self.multiplex, self.rooms])
        self.closes: list[tuple[str, int, str]] = []
        self.server.on_open(lambda spark: self.rooms.join(spark, "lobby"))
        self.server.on_message(lambda spark, payload: spark.send(payload))
        self.server.on_close(lambda spark, close: self.closes.append(("", close.code, "")))
        news = self.multiplex.channel("news")
        news.authorize(self.check)
        news.on_open(lambda spark: self.rooms.join(spark, "lobby"))
        news.on_message(lambda spark, payload: spark.send(payload))
        news.on_close(
            lambda spark, close: self.closes.append((spark.channel, close.code, close.reason))
        )
        self.events.on("divide")(self.divide)
        self.events.on("spread")(self.spread)
        self.events.on("poll")(self.poll)

    def check(self, channel: Channel) -> str:
        if not isinstance(channel.auth, str):
            raise HandshakeRejected("who are you?")
        return channel.auth

    def divide(self, spark: Spark, number: float, by: float) -> float:
        if not by:
            raise EventError("by-zero", "nobody can divide by 0")
        return number / by

    async def spread(self, spark: Spark, word: str) -> int:
        """To everyone in the lobby of the channel that it came on."""
        lobby = self.rooms.within(spark.channel)["lobby"]
        return (await self.events.emit(lobby, "word", spark.channel, word)).sent

    async def poll(self, spark: Spark) -> list[Any]:
        return [await self.events.request(spark, "you"), spark.user, spark.channel]


@pytest.fixture(params=ADAPTERS, ids="-".join)
def setting(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture
def anyio_backend(setting: tuple[str, str]) -> str:
    return setting[1]


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def running(application: Application, setting: tuple[str, str]) -> AsyncGenerator[Running]:
    with anyio.fail_after(PATIENCE):
        async with serving(application.server, adapter=setting[0]) as running:
            yield running


def client_of(running: Running, *plugins: object) -> Client:
    """A client of ours; on sockjs-tornado, at the endpoint for raw WebSockets."""
    adapter: Any = running.server.adapter
    if running.in_memory:
        url, connector = "ws://memory/ws", MemoryConnector(adapter)
        return connect(url, connector=connector, plugins=plugins)
    below = "/websocket" if "sockjs" in adapter.name else ""
    return connect(f"{running.url}/ws{below}", plugins=plugins)


async def ask(peer: Peer, message: Any) -> Any:
    await peer.send(msgspec.json.encode(message).decode())
    return msgspec.json.decode(await peer.receive())


async def test_raw_clients(application: Application, running: Running) -> None:
    ann, bob = await running.connect(), await running.connect()
    divide = {"type": 0, "data": ["divide", 1, 4], "id": 5}
    assert await ask(ann, divide) == {"type": 1, "id": 5, "data": [0.25]}
    divide["data"] = ["divide", 1, 0]
    assert (await ask(ann, divide))["error"]["code"] == "by-zero"
    assert await ask(ann, [1, "a", "news"]) == [
        2,
        "a",
        "news",
        {"code": 4500, "reason": "who are you?"},
    ]
    await ann.send('[1,"a","news","Ann"]')
    await bob.send('[1,"b","news","Bob"]')
    for payload in FALSY:
        assert await ask(ann, [0, "a", "news", payload]) == [0, "a", "news", payload]
    assert await ask(bob, [0, "b", "news", 1]) == [0, "b", "news", 1]
    event = [0, "a", "news", {"type": 0, "data": ["spread", "hi"], "id": 1}]
    word = {"type": 0, "data": ["word", "news", "hi"]}
    assert await ask(ann, event) == [0, "a", "news", word]
    assert msgspec.json.decode(await bob.receive()) == [0, "b", "news", word]
    answer = {"type": 1, "id": 1, "data": [2]}
    assert msgspec.json.decode(await ann.receive()) == [0, "a", "news", answer]
    await bob.send('[2,"b","news",{"code":4001,"reason":"enough"}]')
    assert await ask(bob, "still here") == "still here"
    assert application.closes == [("news", 4001, "enough")]
    await ann.close()
    await running.server.drain(5)
    assert [channel for channel, *_ in application.closes] == ["news", "news", "", ""]


async def test_our_clients(application: Application, running: Running) -> None:
    events, multiplex = Emitter(), Multiplex()
    events.on("you")(lambda spark: f"a client on {spark.channel or 'none'}")
    words: list[Any] = []
    heard = anyio.Event()

    @events.on("word")
    def hear(spark: Spark, channel: str, word: str) -> None:
        words.append((spark.channel, channel, word))
        if len(words) == 2:
            heard.set()

    async with client_of(running, events, multiplex) as spark:
        news = multiplex.join(spark, "news", "Ann")
        for payload in FALSY:
            for lane in (spark, news):
                await lane.send(payload)
                assert await lane.receive() == payload
        assert await events.request(news, "divide", 1, 4) == 0.25
        with pytest.raises(RemoteError, match="by-zero"):
            await events.request(spark, "divide", 1, 0)
        with pytest.raises(RemoteError, match="invalid-arguments"):
            await events.request(spark, "divide", "x")
        assert await events.request(spark, "poll") == ["a client on none", None, ""]
        assert await events.request(news, "poll") == ["a client on news", "Ann", "news"]
        assert [await events.request(lane, "spread", "hi") for lane in (spark, news)] == [1, 1]
        await heard.wait()
        assert words == [("", "", "hi"), ("news", "news", "hi")]
        with pytest.raises(ConnectionRejected, match="who are you"):
            await multiplex.join(spark, "news").receive()
        (member,) = application.multiplex["news"]
        await member.close(4999, "out")
        with pytest.raises(ConnectionRejected, match="4999 out"):
            await news.receive()
        await spark.send("still here")
        assert await spark.receive() == "still here"
    await running.server.drain(5)
    assert application.closes[0] == ("news", 4999, "out")
