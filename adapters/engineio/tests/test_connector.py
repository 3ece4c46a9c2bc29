"""`connect()`: polling, a WebSocket, and the one after the other, to a server in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from unisock import ConfigError, ConnectionClosed, ConnectionRejected, Server, Spark, connect
from unisock.abc import Call, Connector, Gate
from unisock.memory import MemoryAdapter
from unisock.memory_client import MemoryConnector
from unisock.testing.running import serving
from unisock_engineio import EngineioConnector

pytestmark = pytest.mark.anyio

MESSAGES = ["plain", b"\x00\x01", "ünï 漢字 😀", *[str(number) for number in range(100)]]
WAYS = [["polling"], ["websocket"], ["polling", "websocket"]]


class InMemory(httpx.AsyncBaseTransport):
    """Makes requests of a memory adapter, and notes them."""

    def __init__(self, adapter: MemoryAdapter) -> None:
        self.adapter = adapter
        self.requests: list[tuple[str, bytes]] = []
        self.broken = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        self.requests.append((request.method, body))
        if self.broken:
            raise httpx.ConnectError("the cable is cut")
        target = request.url.raw_path.decode()
        headers = [*request.headers.multi_items()]
        answer = await self.adapter.request(
            target, method=request.method, headers=headers, body=body
        )
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)


class NoWebSocket(Connector):
    """A way where no WebSocket comes through."""

    name = "websocket"

    async def connect(self, call: Call, gate: Gate) -> None:
        raise ConnectionRefusedError("a proxy in between")


class Place:
    """A server that echoes, and the way to it."""

    def __init__(self, server: Server, sparks: list[Spark]) -> None:
        assert isinstance(server.adapter, MemoryAdapter)
        self.server = server
        self.sparks = sparks
        self.http = InMemory(server.adapter)
        self.websocket: Connector = MemoryConnector(server.adapter)

    def connect(self, way: list[str] = WAYS[0], **settings: Any) -> Any:
        connector = EngineioConnector({"transports": way}, websocket=self.websocket, http=self.http)
        given = {"codec": "raw", "reconnect": False, **settings}
        return connect("engineio+http://memory/engine.io", connector=connector, **given)


@asynccontextmanager
async def place(authorize: Any = None, **options: Any) -> AsyncGenerator[Place]:
    endpoint = {
        "path": "/engine.io",
        "protocol": "engineio",
        "codec": "raw",
        "options": options,
    }
    server = Server(adapter=MemoryAdapter(), folder=None, endpoints=[endpoint])
    sparks: list[Spark] = []
    server.on_open(sparks.append)
    if authorize is not None:
        server.authorize(authorize)

    @server.on_message
    async def echo(spark: Spark, message: Any) -> None:
        if message == "close":
            await spark.close(4001, "enough")
        else:
            await spark.send(message)

    async with serving(server):
        yield Place(server, sparks)


async def exchange(spark: Any) -> None:
    for message in MESSAGES:
        await spark.send(message)
    assert [await spark.receive() for _ in MESSAGES] == MESSAGES


async def upgraded(spark: Any) -> None:
    while spark.handshake.transport != "websocket":
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "+".join(way))
async def test_messages_go_both_ways_in_order(way: list[str]) -> None:
    with anyio.fail_after(30):
        async with place() as there:
            async with there.connect(way) as spark:
                await exchange(spark)
                if len(way) == 2:
                    await upgraded(there.sparks[0])
                    await exchange(spark)
                assert there.sparks[0].transport == way[-1]
            assert len(there.sparks) == 1
            while len(there.server.hub):
                await anyio.lowlevel.checkpoint()


async def test_an_upgrade_in_the_midst_of_it_all() -> None:
    numbers = [str(number) for number in range(3000)]
    with anyio.fail_after(30):
        async with place() as there, there.connect(WAYS[2]) as spark:

            async def send() -> None:
                for number in numbers:
                    await spark.send(number)
                    await anyio.lowlevel.checkpoint()

            async with anyio.create_task_group() as group:
                group.start_soon(send)
                assert [await spark.receive() for _ in numbers] == numbers
            await upgraded(there.sparks[0])


async def test_without_a_websocket_it_polls_on() -> None:
    with anyio.fail_after(30):
        async with place() as there:
            there.websocket = NoWebSocket()
            async with there.connect(WAYS[2]) as spark:
                await exchange(spark)
                assert there.sparks[0].transport == "polling"


async def test_posts_are_no_larger_than_the_server_takes() -> None:
    with anyio.fail_after(30):
        async with place(max_payload=100) as there, there.connect() as spark:
            for number in range(40):
                await spark.send(f"message {number}")
            assert [await spark.receive() for _ in range(40)] == [
                f"message {number}" for number in range(40)
            ]
            posts = [body for method, body in there.http.requests if method == "POST"]
            assert max(map(len, posts)) <= 100
            assert len(posts) < 40


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "+".join(way))
async def test_the_server_closes(way: list[str]) -> None:
    with anyio.fail_after(30):
        async with place() as there, there.connect(way) as spark:
            if len(way) == 2:
                await upgraded(there.sparks[0])
            await spark.send("close")
            with pytest.raises(ConnectionClosed) as closed:
                await spark.receive()
            # Over polling there is no code.
            assert closed.value.code == (1005 if way == WAYS[0] else 4001)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "+".join(way))
async def test_who_is_turned_away(way: list[str]) -> None:
    async with place(authorize=lambda handshake: False) as there:
        with pytest.raises(ConnectionRejected, match="Forbidden"):
            async with there.connect(way):
                pass


async def test_a_broken_line_is_noticed() -> None:
    with anyio.fail_after(30):
        async with place() as there, there.connect() as spark:
            there.http.broken = True
            await spark.send("hello")
            with pytest.raises(ConnectionClosed) as closed:
                await spark.receive()
            assert (closed.value.code, closed.value.reason) == (1006, "transport error")


async def test_heartbeats_are_answered() -> None:
    with anyio.fail_after(30):
        async with (
            place(ping_interval=50, ping_timeout=5000) as there,
            there.connect() as polling,
            there.connect(WAYS[1]) as socket,
        ):
            while not all(spark.latency for spark in there.sparks):  # noqa: ASYNC110
                await anyio.sleep(0.01)  # a latency has no event
            await exchange(polling)
            await exchange(socket)


async def test_a_server_that_says_nothing_is_gone() -> None:
    with anyio.fail_after(30):
        async with (
            place(ping_interval=100_000, ping_timeout=20) as there,
            there.connect(WAYS[1]) as spark,
        ):
            session: Any = spark.connection.lower
            session._patience = 0.01
            session._pulse.cancel()
            session.watch()
            with pytest.raises(ConnectionClosed, match="ping timeout"):
                await spark.receive()


async def test_another_kind_of_server() -> None:
    server = Server(adapter=MemoryAdapter(), folder=None, endpoints=[{"path": "/engine.io"}])
    async with serving(server):
        there = Place(server, [])
        with pytest.raises(ConnectionRejected):
            async with there.connect():
                pass


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"transports": []}, "none is left; there are polling and websocket"),
        ({"transports": ["flash"]}, "flash"),
        ({"transport": ["polling"]}, "the options are: transports, upgrade_timeout"),
    ],
)
def test_wrong_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        EngineioConnector(options)
