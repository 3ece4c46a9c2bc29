"""A client as a session sees it: a stream of messages; and the transforms on their way in."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.text import TextStream

from unisock.errors import ClosedByPeer, ClosedLocally, ConnectionLost, UnisockError
from unisock.memory import MemoryAdapter
from unisock.messages import Close
from unisock.pipeline import DROP
from unisock.server import Server
from unisock.spark import Spark

pytestmark = pytest.mark.anyio

Serving = Any


def make(codec: str = "raw", **settings: Any) -> Server:
    return Server(
        folder=None,
        adapter=MemoryAdapter(),
        endpoints=[{"path": "/ws", "codec": codec}],
        **settings,
    )


async def settle() -> None:
    await anyio.wait_all_tasks_blocked()


# Sessions


async def test_a_session_reads_until_its_client_leaves(serving: Serving) -> None:
    server, log = make(), list[Any]()
    server.on_open(lambda spark: log.append("open"))
    server.on_close(lambda spark, close: log.append(close.code))

    @server.session
    async def echo(spark: Spark) -> None:
        async for message in spark:
            await spark.send(message)
        log.append("end of loop")

    async with serving(server) as memory:
        peer = await memory.connect()
        for text in ("a", "b"):
            await peer.send(text)
            assert await peer.receive() == text
        await peer.close(4000)
        await settle()
        assert len(server.hub) == 0
    assert log == ["open", "end of loop", 4000]


async def test_what_arrived_before_the_end_is_received(serving: Serving) -> None:
    server, log = make(), list[Any]()
    begin = anyio.Event()

    @server.session
    async def listen(spark: Spark) -> None:
        await begin.wait()
        log.extend([message async for message in spark])

    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.send("a")
        await peer.send("b")
        await peer.close()
        begin.set()
        await settle()
    assert log == ["a", "b"]


@pytest.mark.parametrize(
    ("end", "kind"),
    [("peer", ClosedByPeer), ("drop", ConnectionLost), ("here", ClosedLocally)],
)
async def test_receive_tells_how_it_ended(
    serving: Serving, end: str, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    server, log = make(), list[Any]()

    @server.session
    async def listen(spark: Spark) -> None:
        assert await spark.receive() == "first"
        with pytest.raises(kind):
            await spark.receive()
        log.append("seen")
        await spark.receive()  # an error that is nobody's fault, and ends the session

    async with serving(server) as memory:
        peer = await memory.connect()
        [spark] = server.hub
        await peer.send("first")
        await settle()
        if end == "peer":
            await peer.close()
        elif end == "drop":
            peer.drop()
        else:
            await spark.close()
        await settle()
        await server.gateway.sparks.wait_empty()
    assert log == ["seen"]
    assert "exception" not in caplog.text


async def test_when_a_session_returns_its_client_is_let_go(serving: Serving) -> None:
    server, closed = make(), list[Close]()
    server.on_close(lambda spark, close: closed.append(close))

    @server.session
    async def one(spark: Spark) -> None:
        await spark.send(await spark.receive())

    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.send("x")
        assert await peer.receive() == "x"
        assert (await peer.wait_closed()).code == 1000
        await settle()
    assert [close.code for close in closed] == [1000]


async def test_a_session_that_leaves_messages_unread_is_closed_all_the_same(
    serving: Serving,
) -> None:
    server = make(limits={"inbox_messages": 2})
    leave = anyio.Event()

    @server.session
    async def deaf(spark: Spark) -> None:
        await leave.wait()

    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.send("a")
        await peer.send("b")
        leave.set()
        assert (await peer.wait_closed()).code == 1000
        await settle()
        assert len(server.hub) == 0


async def test_an_exception_in_a_session(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    server, errors = make(), list[str]()

    @server.session
    async def fail(spark: Spark) -> None:
        raise ValueError(await spark.receive())

    server.on_error(lambda spark, error: errors.append(str(error)))
    async with serving(server) as memory:
        peer, other = await memory.connect(), await memory.connect()
        await peer.send("x")
        assert (await peer.wait_closed()).code == 1011
        assert other.closed is None
    assert errors == ["x"]
    assert "ValueError: x" in caplog.text


async def test_a_session_whose_on_open_fails_does_not_begin(serving: Serving) -> None:
    server, log = make(), list[str]()

    @server.on_open
    async def refuse(spark: Spark) -> None:
        raise ValueError

    @server.session
    async def listen(spark: Spark) -> None:
        log.append("begun")

    async with serving(server) as memory:
        peer = await memory.connect()
        assert (await peer.wait_closed()).code == 1011
        await settle()
    assert log == []


async def test_to_stop_waiting_for_a_message_loses_none(serving: Serving) -> None:
    server, log = make(), list[Any]()

    @server.session
    async def impatient(spark: Spark) -> None:
        while len(log) < 20:
            with anyio.move_on_after(0.001):
                log.append(await spark.receive())

    async with serving(server) as memory:
        peer = await memory.connect()
        for number in range(20):
            await peer.send(str(number))
            await anyio.sleep(0.001)
        await peer.wait_closed()
    assert log == [str(number) for number in range(20)]


async def test_two_tasks_may_read(serving: Serving) -> None:
    server, log = make(), list[Any]()

    @server.session
    async def share(spark: Spark) -> None:
        async def read() -> None:
            async for message in spark:
                log.append(message)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            group.start_soon(read)

    async with serving(server) as memory:
        peer = await memory.connect()
        for number in range(10):
            await peer.send(str(number))
        await settle()
        await peer.close()
        await settle()
    assert sorted(log) == [str(number) for number in range(10)]


async def test_messages_belong_to_the_handler_or_to_the_session(serving: Serving) -> None:
    server = make()
    server.on_message(lambda spark, message: None)
    async with serving(server) as memory:
        await memory.connect()
        [spark] = server.hub
        with pytest.raises(UnisockError, match=r"@server\.session"):
            await spark.receive()
        with pytest.raises(UnisockError, match="no session"):
            spark.as_byte_stream()


@pytest.mark.parametrize("transform", ["none", "plain", "async"])
async def test_a_session_that_does_not_read_holds_its_client_back(
    serving: Serving, transform: str
) -> None:
    server = make(limits={"inbox_messages": 4})
    begin, sent, got = anyio.Event(), list[int](), list[Any]()

    async def same_later(spark: Spark, message: Any) -> Any:
        return message

    if transform != "none":
        server.incoming(same_later if transform == "async" else lambda spark, message: message)

    @server.session
    async def lazy(spark: Spark) -> None:
        await begin.wait()
        async for message in spark:
            got.append(message)

    async with serving(server) as memory:
        peer = await memory.connect()

        async def flood() -> None:
            for number in range(100):
                await peer.send(str(number))
                sent.append(number)

        async with anyio.create_task_group() as group:
            group.start_soon(flood)
            await settle()
            assert len(sent) <= 6
            begin.set()
        await peer.close()
        await settle()
    assert got == [str(number) for number in range(100)]


# A stream as anyio's


async def test_a_client_is_a_stream_of_anyios(serving: Serving) -> None:
    server, log = make(), list[Any]()

    @server.session
    async def lines(spark: Spark) -> None:
        async with TextStream(spark.as_byte_stream()) as text:
            log.extend([await text.receive(), await text.receive()])
            await text.send("höher")

    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.send(b"h\xc3")
        await peer.send(b"\xb6her")
        assert await peer.receive() == "höher".encode()
        assert (await peer.wait_closed()).code == 1000
    assert log == ["h", "öher"]


async def test_leaving_the_block_of_a_stream_closes_it(serving: Serving) -> None:
    server = make()

    @server.session
    async def once(spark: Spark) -> None:
        async with spark:
            await spark.send("x")
        assert spark.closed is not None

    async with serving(server) as memory:
        peer = await memory.connect()
        assert await peer.receive() == "x"
        assert (await peer.wait_closed()).code == 1000


async def test_a_byte_stream_over_text_and_binary(serving: Serving) -> None:
    server = make()
    server.endpoint("/text", codec="text")
    server.endpoint("/json", codec="json")
    refused: list[str] = []

    @server.session
    async def pipe(spark: Spark) -> None:
        try:
            stream = spark.as_byte_stream()
        except UnisockError as error:
            refused.append(str(error))
            return
        lines = BufferedByteReceiveStream(stream)
        await stream.send(await lines.receive_until(b"\n", 100))
        await stream.send_eof()

    async with serving(server) as memory:
        for path, answer in (("/ws", b"one"), ("/text", "one")):
            peer = await memory.connect(path)
            for part in ("o", "ne", "\nrest"):
                await peer.send(part)
            assert await peer.receive() == answer
            assert (await peer.wait_closed()).code == 1000
        peer = await memory.connect("/json")
        await peer.wait_closed()
    [sentence] = refused
    assert "/json has the codec json" in sentence


# Incoming transforms


@pytest.mark.parametrize("style", ["handler", "session"])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_incoming_transforms_in_order(
    serving: Serving, style: str, asynchronous: bool
) -> None:
    server, log = make(), list[Any]()

    async def slowly(spark: Spark, text: str) -> str:
        await anyio.sleep(0.01 if text.startswith("a") else 0)
        return f"{text}1"

    server.incoming(slowly if asynchronous else lambda spark, text: f"{text}1")
    server.incoming(lambda spark, text: DROP if text.startswith("no") else f"{text}2")
    if style == "handler":
        server.on_message(lambda spark, text: log.append(text))
    else:

        @server.session
        async def listen(spark: Spark) -> None:
            log.extend([text async for text in spark])

    server.on_close(lambda spark, close: log.append("closed"))
    async with serving(server) as memory:
        peer = await memory.connect()
        for text in ("a", "no", "b"):
            await peer.send(text)
        await peer.close()
        await server.gateway.sparks.wait_empty()
    assert log == ["a12", "b12", "closed"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_exception_in_a_transform(serving: Serving, asynchronous: bool) -> None:
    server = make()

    def fail(spark: Spark, text: str) -> str:
        raise ValueError(text)

    async def fail_later(spark: Spark, text: str) -> str:
        raise ValueError(text)

    server.incoming(fail_later if asynchronous else fail)
    server.on_message(lambda spark, message: None)
    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.send("x")
        assert (await peer.wait_closed()).code == 1011
