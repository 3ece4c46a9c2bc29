"""Our own client, of our own server."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from unisock import (
    Channel,
    ClosedByPeer,
    ConfigError,
    ConnectionRejected,
    EncodeError,
    Handshake,
    HandshakeRejected,
    LimitExceeded,
    ProtocolError,
    Server,
    Spark,
    connect,
)
from unisock.connection import LOST
from unisock.memory import MemoryAdapter
from unisock.memory_client import MemoryConnector
from unisock.redial import Backoff
from unisock_emitter import Emitter, RemoteError
from unisock_multiplex import Multiplex

from .conftest import PATIENCE, House, Run

pytestmark = pytest.mark.anyio

AT_ONCE = Backoff(first=0, stable=0)


async def test_payloads_and_events_both_ways(run: Run) -> None:
    house = House()
    house.events.on("add")(lambda spark, a, b: a + b)
    house.events.on("fail")(lambda spark, *args: args)
    mine = Emitter()
    mine.on("name")(lambda spark: ("Ada", b"\0"))
    async with run(house), house.client(plugins=[mine]) as spark:
        await house.until(lambda: house.sparks)
        await spark.send({"n": [1, None, b"bytes"]})
        await house.until(lambda: house.seen)
        assert house.seen == [{"n": [1, None, b"bytes"]}]
        await house.sparks[0].send("hello")
        assert await spark.receive() == "hello"
        assert await mine.request(spark, "add", 1, 2) == 3
        assert await house.events.request(house.sparks[0], "name") == ("Ada", b"\0")
        with pytest.raises(RemoteError, match="unknown-event"):
            await mine.request(spark, "what")
    assert house.closes[0][1].reason == "client namespace disconnect"


@pytest.mark.parametrize("parser", ["text", "msgpack"])
async def test_a_namespace_and_auth(run: Run, parser: str) -> None:
    house = House(options={"parser": parser})
    given: list[Any] = []
    house.chat.authorize(lambda channel: given.append(channel.auth))
    times = 0

    async def auth() -> dict[str, int]:
        nonlocal times
        times += 1
        return {"token": times}

    async with (
        run(house),
        house.client(namespace="/chat", auth=auth, parser=parser, reconnect=AT_ONCE) as spark,
    ):
        await house.until(lambda: house.sparks)
        assert house.sparks[0].channel == "/chat"
        await spark.send(1)
        await house.until(lambda: house.seen)
        house.sparks[0].close_nowait(1012, "elsewhere")
        await house.until(lambda: len(house.sparks) == 2)
        await spark.send(2)
        await house.until(lambda: len(house.seen) == 2)
    assert given == [{"token": 1}, {"token": 2}]


async def test_a_refusal(run: Run) -> None:
    house = House()

    @house.server.authorize
    def never(handshake: Handshake) -> None:
        raise HandshakeRejected("members only", data={"join": "here"})

    async with run(house):
        with pytest.raises(ConnectionRejected, match="members only") as caught:
            async with house.client(auth={"a": 1}):
                pass
        assert isinstance(caught.value.__cause__, HandshakeRejected)
        assert caught.value.__cause__.data == {"join": "here"}
        with pytest.raises(ConnectionRejected, match="Invalid namespace"):
            async with house.client(namespace="/nowhere"):
                pass


async def test_the_servers_end_is_final(run: Run) -> None:
    async with run() as house, house.client() as spark:
        await house.until(lambda: house.sparks)
        await house.sparks[0].close()
        with pytest.raises(ClosedByPeer) as caught:
            await spark.receive()
        assert caught.value.reason == "server namespace disconnect"


async def test_other_namespaces_on_the_same_connection(run: Run) -> None:
    house = House()

    @house.chat.authorize
    def may(channel: Channel) -> None:
        if channel.auth == {"name": "Eve"}:
            raise HandshakeRejected("not you")

    mine = Multiplex()
    async with run(house), house.client(plugins=[mine], reconnect=AT_ONCE) as spark:
        with pytest.raises(ConnectionRejected, match="not you"):
            await mine.join(spark, "/chat", {"name": "Eve"}).receive()
        chat = mine.join(spark, "/chat")
        chat.send_nowait("early")  # before the server has let us in
        await chat.send("late")
        await house.until(lambda: len(house.seen) == 2)
        assert house.seen == ["early", "late"]
        there = next(one for one in house.sparks if one.channel)
        await there.send("hello")
        assert await chat.receive() == "hello"
        # After a cut, both are there again.
        there.close_nowait(1012, "elsewhere")
        await house.until(lambda: len(house.sparks) == 4)
        await chat.send("again")
        await house.until(lambda: len(house.seen) == 3)
        await chat.close()
        await house.until(lambda: len(house.closes) == 3)
        assert house.closes[-1][1].reason == "client namespace disconnect"
        again = mine.join(spark, "/chat")
        await again.close()  # before anybody has answered
        gone = mine.join(spark, "/chat")
        await gone.send("bye")
        await house.until(lambda: house.seen[-1] == "bye")
        await [one for one in house.sparks if one.channel][-1].close(4500)
        with pytest.raises(ClosedByPeer):
            await gone.receive()
        for name, error in [
            ("chat", ValueError),
            ("/", ValueError),
            ("/a,b", ValueError),
            ("/" + "n" * 300, LimitExceeded),
        ]:
            with pytest.raises(error):
                mine.join(spark, name)
        with pytest.raises(ConfigError, match="dictionary"):
            mine.join(spark, "/other", "secret")
        with pytest.raises(EncodeError):
            mine.join(spark, "/other", {"x": object()})
        await spark.send("still here")
        await house.until(lambda: house.seen[-1] == "still here")


async def test_it_comes_back_to_where_it_was(run: Run) -> None:
    house = House(recovery=True)
    heard: list[Any] = []
    mine = Emitter()
    mine.on("news")(lambda spark, *args: heard.append(args))
    async with run(house), house.client(plugins=[mine], reconnect=AT_ONCE) as spark:
        await house.until(lambda: house.sparks)
        (there,) = house.sparks
        await house.events.emit(there, "news", 1)
        await there.send("text")
        assert await spark.receive() == "text"
        for number in (2, 3):
            connection: Any = there.connection
            connection.lower.fail(LOST)
            await house.events.emit(there, "news", number)
        await there.send("done")
        assert await spark.receive() == "done"
        assert heard == [(1,), (2,), (3,)]
        assert house.sparks == [there]


SILLY: list[Any] = ["2", "4", '2["x"]x', b"\0", "0[]", "x", '51-["x"]x']


@pytest.mark.parametrize("number", range(len(SILLY)))
async def test_a_server_that_speaks_something_else(run: Run, number: int) -> None:
    adapter = MemoryAdapter()
    server = Server(adapter=adapter, folder=None, endpoints=[{"path": "/ws", "codec": "raw"}])

    @server.on_open
    async def babble(spark: Spark) -> None:
        await spark.send(SILLY[number])

    async with anyio.create_task_group() as group:
        with anyio.fail_after(PATIENCE):
            await group.start(server.serve)
            with pytest.raises(ProtocolError, match="does not speak Socket"):
                async with connect(
                    "ws://memory/ws", dialect="socketio", connector=MemoryConnector(adapter)
                ):
                    pass
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"namespace": "chat"}, "begins with /"),
        ({"namespace": "/a,b"}, "no comma"),
        ({"auth": "secret"}, "auth: a dictionary"),
        ({"parser": "yaml"}, "parser"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        connect("socketio+http://127.0.0.1:1", **options)


@pytest.mark.parametrize(("given", "says"), [("text", "dictionary"), ({"x": object()}, "auth")])
async def test_a_function_that_gives_no_auth(run: Run, given: Any, says: str) -> None:
    async with run() as house:
        with pytest.raises(ConfigError, match=says):
            async with house.client(auth=lambda: given):
                pass
