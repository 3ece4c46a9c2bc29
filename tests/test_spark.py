"""A client as handlers see it: order, failures, and what a busy handler holds back."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from typing import Any

import anyio
import pytest

from unisock.errors import ClosedByPeer, DecodeError
from unisock.memory import MemoryAdapter
from unisock.messages import Close
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


# Handlers


async def test_the_life_of_a_client(serving: Serving) -> None:
    server, log = make(), list[Any]()
    server.on_open(lambda spark: log.append(("open", spark in server.hub)))
    server.on_message(lambda spark, message: log.append(message))
    server.on_close(
        lambda spark, close: log.append((close.code, close.reason, spark in server.hub))
    )
    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.send("a")
        await peer.send(b"b")
        await peer.close(4000, "bye")
    assert log == [("open", True), "a", b"b", (4000, "bye", False)]


async def test_a_plain_handler_runs_inline_and_owns_no_task(serving: Serving) -> None:
    server, log = make(), list[Any]()
    server.on_message(lambda spark, message: log.append(message))
    async with serving(server) as memory:
        peer = await memory.connect()
        before = len(anyio.get_running_tasks())
        await peer.send("a")
        assert log == ["a"]  # by the time that it is sent
        assert len(anyio.get_running_tasks()) == before


async def test_an_async_handler_runs_in_order_one_at_a_time(serving: Serving) -> None:
    server, log = make(), list[str]()
    turns = {name: anyio.Event() for name in "abc"}

    @server.on_message
    async def message(spark: Spark, name: str) -> None:
        log.append(f"{name} begins")
        await turns[name].wait()
        log.append(f"{name} ends")

    server.on_close(lambda spark, close: log.append("closed"))
    async with serving(server) as memory:
        peer = await memory.connect()
        for name in "abc":
            await peer.send(name)
        await peer.close()
        for name in "cba":
            turns[name].set()
            await settle()
    assert log == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")] + ["closed"]


async def test_two_clients_do_not_wait_for_each_other(serving: Serving) -> None:
    server = make()
    both = anyio.Event()
    here: set[str] = set()

    @server.on_message
    async def message(spark: Spark, text: str) -> None:
        here.add(spark.id)
        if len(here) == 2:
            both.set()
        await both.wait()
        await spark.send("met")

    async with serving(server) as memory:
        peers = [await memory.connect(), await memory.connect()]
        for peer in peers:
            await peer.send("x")
        assert [await peer.receive() for peer in peers] == ["met", "met"]


async def test_messages_wait_until_on_open_has_ended(serving: Serving) -> None:
    server, log = make(), list[str]()
    ready = anyio.Event()

    @server.on_open
    async def enter(spark: Spark) -> None:
        await ready.wait()
        log.append("open")

    server.on_message(lambda spark, message: log.append(message))
    server.on_close(lambda spark, close: log.append("close"))
    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.send("a")
        await peer.close()
        await settle()
        assert log == []
        ready.set()
        await settle()
    assert log == ["open", "a", "close"]


async def test_a_plain_handler_keeps_its_place_behind_an_async_one(serving: Serving) -> None:
    """A handler may be async for one message and plain for the next."""
    server, log = make(), list[str]()
    gate = anyio.Event()

    async def later(message: str) -> None:
        await gate.wait()
        log.append(message)

    server.on_message(lambda spark, text: later(text) if text == "slow" else log.append(text))
    async with serving(server) as memory:
        peer = await memory.connect()
        for text in ("a", "slow", "b"):
            await peer.send(text)
        await settle()
        assert log == ["a"]
        gate.set()
        await settle()
        await peer.send("c")
        assert log == ["a", "slow", "b", "c"]


async def test_what_a_plain_handler_returns_is_of_no_account(serving: Serving) -> None:
    server = make()
    server.on_message(lambda spark, message: spark.send_nowait(message))
    async with serving(server) as memory:
        peer = await memory.connect()
        before = len(anyio.get_running_tasks())
        for number in range(3):
            await peer.send(str(number))
        assert len(anyio.get_running_tasks()) == before
        assert [await peer.receive() for _ in range(3)] == ["0", "1", "2"]


async def test_a_plain_handler_may_return_what_send_gives(serving: Serving) -> None:
    server = make()
    server.on_message(lambda spark, message: spark.send(message))
    async with serving(server) as memory:
        peer = await memory.connect()
        for number in range(50):
            await peer.send(f"{number}:" + "x" * 10_000)  # more than a client leaves unread
        for number in range(50):
            message = await peer.receive()
            assert isinstance(message, str)
            assert message.partition(":")[0] == str(number)


# Failures


async def test_an_exception_costs_one_client(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    server, errors = make(), list[Any]()

    @server.on_message
    def message(spark: Spark, text: str) -> None:
        raise KeyError(text)

    server.on_error(lambda spark, error: errors.append((spark.id, repr(error))))
    async with serving(server) as memory:
        bad, good = await memory.connect(), await memory.connect()
        spark, *_ = server.hub
        await bad.send("x")
        close = await bad.wait_closed()
        assert (close.code, close.reason) == (1011, "internal error")
        assert errors == [(spark.id, "KeyError('x')")]
        assert good.closed is None
        assert len(server.hub) == 1
    assert spark.id in caplog.text
    assert "KeyError: 'x'" in caplog.text


@pytest.mark.parametrize("how", ["plain", "async"])
async def test_on_error_may_forgive(serving: Serving, how: str) -> None:
    server = make()

    @server.on_message
    async def message(spark: Spark, text: str) -> None:
        if text == "bad":
            raise ValueError(text)
        await spark.send(text)

    async def forgive_later(spark: Spark, error: Exception) -> bool:
        await anyio.lowlevel.checkpoint()
        return True

    server.on_error(forgive_later if how == "async" else lambda spark, error: True)
    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.send("bad")
        await peer.send("good")
        assert await peer.receive() == "good"


@pytest.mark.parametrize("how", ["plain", "async", "answers 1"])
async def test_an_on_error_that_does_not_forgive(
    serving: Serving, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = make()

    @server.on_message
    def message(spark: Spark, text: str) -> None:
        raise ValueError("first")

    async def fail_later(spark: Spark, error: Exception) -> bool:
        await anyio.lowlevel.checkpoint()
        raise RuntimeError("second")

    def fail(spark: Spark, error: Exception) -> bool:
        raise RuntimeError("second")

    server.on_error({"plain": fail, "async": fail_later}.get(how, lambda spark, error: 1))
    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.send("x")
        assert (await peer.wait_closed()).code == 1011
    assert ("second" in caplog.text) is (how != "answers 1")


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("where", ["open", "close"])
async def test_failures_of_the_other_handlers(
    serving: Serving, where: str, asynchronous: bool
) -> None:
    server, errors, closed = make(), list[str](), list[int]()

    def fail(*args: Any) -> None:
        raise ValueError(where)

    async def fail_later(*args: Any) -> None:
        await anyio.lowlevel.checkpoint()
        raise ValueError(where)

    getattr(server, f"on_{where}")(fail_later if asynchronous else fail)
    if where == "open":
        server.on_close(lambda spark, close: closed.append(close.code))
    server.on_error(lambda spark, error: errors.append(str(error)))
    async with serving(server) as memory:
        peer = await memory.connect()
        if where == "close":
            await peer.close()
        close = await peer.wait_closed()
        await settle()
        await server.gateway.sparks.wait_empty()
        assert len(server.hub) == 0
        assert close.code == (1011 if where == "open" else 1000)
    assert errors == [where]
    assert closed == ([1011] if where == "open" else [])


async def test_a_message_that_is_none_closes_its_connection(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    server, log = make("json"), list[Any]()
    server.on_message(lambda spark, message: log.append(message))
    server.on_error(lambda spark, error: log.append(type(error)))
    server.on_close(lambda spark, close: log.append(close.code))
    async with serving(server) as memory:
        peer, other = await memory.connect(), await memory.connect()
        await peer.send("[1]")
        await peer.send("nonsense\x1b")
        close = await peer.wait_closed()
        assert close.code == 1007
        assert "not JSON" in close.reason
        await other.send("[2]")
    assert log[:4] == [[1], DecodeError, 1007, [2]]
    assert "Traceback" not in caplog.text


async def test_to_send_to_a_client_that_is_going_is_no_failure(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    server, errors = make(), list[Exception]()
    gone = anyio.Event()

    @server.on_message
    async def message(spark: Spark, text: str) -> None:
        await gone.wait()
        await spark.send("too late")

    server.on_error(lambda spark, error: errors.append(error))
    async with serving(server) as memory:
        peer = await memory.connect()
        await peer.send("x")
        peer.drop()
        gone.set()
        await settle()
    assert errors == []
    assert "exception" not in caplog.text


# Holding back


async def test_a_busy_handler_makes_its_client_wait(serving: Serving) -> None:
    server, log = make(limits={"inbox_messages": 4}), list[str]()
    free = anyio.Event()
    sent = list[str]()

    @server.on_message
    async def message(spark: Spark, text: str) -> None:
        await free.wait()
        log.append(text)

    async with serving(server) as memory:
        peer = await memory.connect()

        async def flood() -> None:
            for number in range(100):
                await peer.send(str(number))
                sent.append(str(number))

        async with anyio.create_task_group() as group:
            group.start_soon(flood)
            await settle()
            assert len(sent) <= 6
            free.set()
        await settle()
    assert log == [str(number) for number in range(100)]


async def test_one_busy_client_does_not_hold_back_another(serving: Serving) -> None:
    server, log = make(limits={"inbox_messages": 1}), defaultdict[str, int](int)
    free = anyio.Event()

    @server.on_message
    async def message(spark: Spark, text: str) -> None:
        log[text] += 1
        if text == "slow":
            await free.wait()

    async with serving(server) as memory:
        slow, quick = await memory.connect(), await memory.connect()
        await slow.send("slow")
        for _ in range(50):
            await quick.send("quick")
            await settle()
        assert log == {"slow": 1, "quick": 50}
        free.set()


async def test_a_held_back_client_can_be_closed(serving: Serving) -> None:
    server = make(limits={"inbox_messages": 1})
    closed = list[Close]()

    @server.on_message
    async def message(spark: Spark, text: str) -> None:
        await settle()
        await spark.close(4001)

    server.on_close(lambda spark, close: closed.append(close))
    async with serving(server) as memory:
        peer = await memory.connect()
        with contextlib.suppress(ClosedByPeer):
            for _ in range(3):
                await peer.send("x")
        assert (await peer.wait_closed()).code == 4001
        await settle()
    assert [close.code for close in closed] == [4001]
