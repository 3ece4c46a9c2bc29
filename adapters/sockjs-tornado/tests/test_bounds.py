"""Too much of anything: bodies, messages, waiting. Every queue has an end, and a limit names it."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest

from unisock import Sent, Spark
from unisock.testing.conformance.base import eventually
from unisock_sockjs_tornado.connection import SockjsConnection

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_post_over_the_limit_is_cut_short(
    make_server: Any, serve: Any, session: Any, chunked: bool
) -> None:
    server, watch = make_server(limits={"message_bytes": 1000})
    running = await serve(server)
    client = session(running)
    received = await client.open()
    assert (await client.send("x" * 1000)).status_code == 204
    assert await client.receive(received, 1) == ["x" * 1000]
    path = client.base.removeprefix(running.http_url) + "/xhr_send"
    if chunked:
        body = b'5000\r\n["' + b"x" * 0x5000
        length = ("Transfer-Encoding", "chunked")
    else:
        body, length = b"", ("Content-Length", "20000")
    stream = await running.place.dial()
    head = f"POST {path} HTTP/1.1\r\nHost: {running.place.authority}\r\n{': '.join(length)}\r\n\r\n"
    await stream.send(head.encode() + body)
    answer = await stream.receive()
    assert answer.startswith(b"HTTP/1.1 400" if chunked else b"HTTP/1.1 413")
    await stream.aclose()
    assert watch.closed == []


async def test_a_message_over_the_limit_closes_with_1009(
    make_server: Any, serve: Any, session: Any
) -> None:
    server, watch = make_server(limits={"message_bytes": 1000})
    client = session(await serve(server))
    received = await client.open()
    await client.send("x" * 1001)
    assert await received.packets() == ['c[1009,"over the limit message_bytes = 1000"]']
    assert (await watch.end()).code == 1009


async def test_escapes_do_not_count_as_size(make_server: Any, serve: Any, session: Any) -> None:
    server, _ = make_server(limits={"message_bytes": 4000})
    running = await serve(server)
    text = "\x01" * 4000
    client = session(running)
    received = await client.open()
    assert (await client.send(text)).status_code == 204
    assert await client.receive(received, 1) == [text]
    peer = await running.connect()
    await peer.send(text)
    assert await peer.receive() == text


async def test_the_messages_of_a_post_are_counted(
    make_server: Any, serve: Any, session: Any
) -> None:
    server, watch = make_server(limits={"inbox_messages": 4})
    client = session(await serve(server))
    received = await client.open()
    assert (await client.send(*["x"] * 64)).status_code == 204
    assert await client.receive(received, 64) == ["x"] * 64
    refused = await client.send(*["x"] * 65)
    assert (refused.status_code, refused.text) == (413, "over the limit inbox_messages = 4")
    assert watch.closed == []


async def test_a_post_waits_for_a_busy_handler(make_server: Any, serve: Any, session: Any) -> None:
    server, watch = make_server()
    slow = server.endpoint("/slow", codec="raw", limits={"inbox_messages": 4})
    release = anyio.Event()
    taken: list[str] = []

    async def work(spark: Spark, message: str) -> None:
        await release.wait()
        taken.append(message)
        watch.changed()

    slow.on_message(work)
    running = await serve(server)
    client = session(running)
    client.base = client.base.replace("/ws/", "/slow/")
    received = await client.open()
    answers: list[int] = []

    async def post(*messages: str) -> None:
        answers.append((await client.send(*messages)).status_code)

    async with anyio.create_task_group() as group:
        group.start_soon(post, *map(str, range(30)))
        (connection,) = running.gateway.connections
        await eventually(lambda: connection._held_messages == 30)
        assert answers == []
        await post(*["too much"] * 50)
        assert answers == [413]
        release.set()
    assert sorted(answers) == [204, 413]
    assert await received.packets() == ['c[1008,"over the limit inbox_messages = 4"]']
    await watch.until(lambda: len(taken) >= 4)
    assert taken == [str(number) for number in range(len(taken))]


async def test_posts_stay_in_order_while_the_handler_is_busy(
    make_server: Any, serve: Any, session: Any
) -> None:
    server, watch = make_server(limits={"inbox_messages": 2})
    release = anyio.Event()
    taken: list[str] = []
    slow = server.endpoint("/slow", codec="raw")

    async def work(spark: Spark, message: str) -> None:
        await release.wait()
        taken.append(message)

    slow.on_message(work)
    running = await serve(server)
    client = session(running)
    client.base = client.base.replace("/ws/", "/slow/")
    await client.open()
    async with anyio.create_task_group() as group:
        (connection,) = running.gateway.connections
        for first in range(0, 32, 8):
            group.start_soon(client.send, *map(str, range(first, first + 8)))
            held = partial(getattr, connection, "_held_messages")
            await eventually(lambda held=held, count=first + 8: held() == count)
        release.set()
    await anyio.wait_all_tasks_blocked()
    assert taken == [str(number) for number in range(32)]
    assert watch.closed == []


@pytest.mark.parametrize("transport", ["xhr-polling", "xhr-streaming"])
async def test_a_client_that_does_not_read_is_bounded(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    limits = {"outbox_bytes": 200_000, "outbox_messages": 10_000, "close_seconds": 5.0}
    server, watch = make_server(overflow="disconnect", limits=limits)
    running = await serve(server)
    client = session(running, transport)
    received = await client.open()
    spark = await watch.spark()
    chunk = "x" * 1000
    sent: list[Sent] = []
    while Sent.DROPPED not in sent:
        assert len(sent) < 50_000
        sent.append(spark.send_nowait(chunk))
        if len(sent) % 100 == 0:
            await anyio.lowlevel.checkpoint()
    assert _backlog(spark) <= 200_000 + 1002
    if transport == "xhr-polling":
        assert len(sent) < 300
    packets = await received.packets()
    while not packets or packets[-1][:1] == "a":
        packets += await (await client.ask()).packets()
    assert max(map(len, packets)) < 65_536 + 2000
    assert packets[-1] == 'c[4008,"too slow: over outbox_bytes or outbox_messages"]'
    assert running.gateway.dropped > 0


async def test_dropping_the_oldest_works_for_pollers(
    make_server: Any, serve: Any, session: Any
) -> None:
    server, watch = make_server(overflow="drop-oldest", limits={"outbox_messages": 5})
    running = await serve(server)
    client = session(running, "xhr-polling")
    await client.open()
    spark = await watch.spark()
    chunk = "x" * 10_000
    for number in range(100):
        spark.send_nowait(f"{number}:{chunk}")
    await client.send()
    messages = await client.receive(await client.ask(), 1)
    messages += await client.receive(await client.ask(), 1)
    numbers = [int(message.partition(":")[0]) for message in messages]
    assert numbers[-5:] == [95, 96, 97, 98, 99]
    assert len(numbers) + running.gateway.dropped == 100


def _backlog(spark: Spark) -> int:
    assert isinstance(spark.connection, SockjsConnection)
    return spark.connection.backlog
