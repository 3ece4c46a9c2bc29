"""`connect` to a server within the process: the same rules as over a wire."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from unisock import (
    Close,
    ClosedByPeer,
    ConnectionRejected,
    Handshake,
    HandshakeRejected,
    Server,
    Spark,
    connect,
)
from unisock.errors import Unreachable
from unisock.memory import MemoryAdapter
from unisock.memory_client import MemoryConnector
from unisock.messages import Origin
from unisock.redial import Backoff

pytestmark = pytest.mark.anyio

AT_ONCE = Backoff(first=0)


def make_server(**settings: Any) -> Server:
    server = Server(adapter="memory", folder=None, **settings)
    server.on_message(Spark.send)
    return server


async def test_messages_go_both_ways_in_order(serving: Any) -> None:
    async with (
        serving(make_server()) as memory,
        connect("ws://memory/ws", connector=MemoryConnector(memory)) as spark,
    ):
        for number in range(200):
            await spark.send({"number": number})
        assert [(await spark.receive())["number"] for _ in range(200)] == [*range(200)]


async def test_the_server_sees_headers_query_and_subprotocol(serving: Any) -> None:
    server = make_server()
    seen: list[Handshake] = []
    server.endpoint("/chat", subprotocols=["v1", "v2"])
    server.on_open(lambda spark: seen.append(spark.handshake))
    async with (
        serving(server) as memory,
        connect(
            "ws://memory/chat?room=1",
            connector=MemoryConnector(memory),
            token="t",
            subprotocols=["v2"],
        ) as spark,
    ):
        assert spark.handshake.subprotocol == "v2"
        assert spark.endpoint.path == "/chat"
    assert seen[0].headers["Authorization"] == "Bearer t"
    assert seen[0].query == {"room": "1"}


async def test_a_refusal_is_typed(serving: Any) -> None:
    server = make_server()

    @server.authorize
    def refuse(handshake: Handshake) -> None:
        raise HandshakeRejected("members only", status=401, code=4501)

    async with serving(server) as memory:
        with pytest.raises(ConnectionRejected, match="401 members only") as error:
            async with connect("ws://memory/ws", connector=MemoryConnector(memory)):
                pass
        assert (error.value.status, error.value.code) == (401, 4501)
        with pytest.raises(ConnectionRejected) as error:
            async with connect("ws://memory/nothing", connector=MemoryConnector(memory)):
                pass
        assert error.value.status == 404


async def test_a_foreign_origin_is_refused(serving: Any) -> None:
    async with serving(make_server()) as memory:
        with pytest.raises(ConnectionRejected) as error:
            async with connect(
                "ws://memory/ws", connector=MemoryConnector(memory), origin="https://evil.example"
            ):
                pass
        assert error.value.status == 403


async def test_a_server_that_does_not_run_cannot_be_reached() -> None:
    connector = MemoryConnector(MemoryAdapter())
    with pytest.raises(Unreachable, match="no server listens in memory"):
        async with connect("ws://memory/ws", connector=connector, reconnect=False):
            pass


async def test_the_close_of_either_side_is_told(serving: Any) -> None:
    server, closes, gone = make_server(), [], anyio.Event()

    @server.on_close
    def left(spark: Spark, close: Close) -> None:
        closes.append(close)
        gone.set()

    async with serving(server) as memory:
        async with connect("ws://memory/ws", connector=MemoryConnector(memory)) as spark:
            await spark.send("last")
            await spark.close(4001, "done here")
        await gone.wait()
        assert closes == [Close(4001, "done here", origin=Origin.PEER)]

        server_sparks = [*server.everyone]
        async with connect("ws://memory/ws", connector=MemoryConnector(memory)) as spark:
            (there,) = [one for one in server.everyone if one not in server_sparks]
            await there.send("bye")
            there.close_nowait(1000, "over")
            assert await spark.receive() == "bye"
            with pytest.raises(ClosedByPeer, match="1000 over"):
                await spark.receive()


async def test_what_the_server_said_before_it_closed_is_heard_while_one_sends(
    serving: Any, watch: Any
) -> None:
    server = make_server(limits={"inbox_messages": 2})

    @server.endpoint("/last").on_message
    def answer(spark: Spark, message: Any) -> None:
        spark.send_nowait("the last word")
        spark.close_nowait(4500, "enough")

    async with (
        serving(server) as memory,
        connect("ws://memory/last", connector=MemoryConnector(memory)) as spark,
    ):
        spark.send_nowait(1)
        spark.send_nowait(2)
        assert await spark.receive() == "the last word"
        with pytest.raises(ConnectionRejected, match="4500 enough"):
            await spark.receive()


async def test_a_slow_server_slows_the_client_and_nothing_is_lost(serving: Any) -> None:
    server, go_on, heard = make_server(limits={"inbox_messages": 1}), anyio.Event(), []

    @server.endpoint("/slow").on_message
    async def take(spark: Spark, message: str) -> None:
        await go_on.wait()
        heard.append(int(message[:4]))
        if len(heard) == 100:
            await spark.send("all")

    limits = {"outbox_messages": 10}
    async with serving(server) as memory, anyio.create_task_group() as group:
        client = connect("ws://memory/slow", connector=MemoryConnector(memory), limits=limits)
        async with client as spark:

            async def say() -> None:
                for number in range(100):
                    await spark.send(f"{number:04}" + "x" * 10_000)

            group.start_soon(say)
            await anyio.wait_all_tasks_blocked()
            connection: Any = client._connection
            assert connection.queued == 10
            go_on.set()
            assert await spark.receive() == "all"
    assert heard == [*range(100)]


async def test_a_restart_of_the_server_is_survived(serving: Any, watch: Any) -> None:
    server = make_server()
    adapter: Any = server.adapter
    client = connect("ws://memory/ws", connector=MemoryConnector(adapter), reconnect=AT_ONCE)
    seen = watch(client)
    async with anyio.create_task_group() as group:
        with anyio.fail_after(30):
            scope = anyio.CancelScope()

            async def serve(*, task_status: Any) -> None:
                with scope:
                    await server.serve(task_status=task_status)

            await group.start(serve)
            async with client as spark:
                await spark.send("one")
                assert await spark.receive() == "one"
                scope.cancel()
                while "waiting" not in seen.states:
                    await anyio.lowlevel.checkpoint()
                assert await _sent(spark, "two", "three") == 2
                scope = anyio.CancelScope()
                await group.start(serve)
                assert [await spark.receive(), await spark.receive()] == ["two", "three"]
        group.cancel_scope.cancel()


async def _sent(spark: Spark, *messages: str) -> int:
    for message in messages:
        await spark.send(message)
    return len(messages)


async def test_what_was_read_is_confirmed(serving: Any, watch: Any) -> None:
    async with serving(make_server()) as memory:
        client = connect("ws://memory/ws", connector=MemoryConnector(memory))
        seen = watch(client)
        async with client as spark:
            await spark.send("x")
            await spark.receive()
            await spark.close()
        assert seen.steps[-1].unconfirmed == 0
