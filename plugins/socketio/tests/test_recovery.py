"""Clients that come back after a cut."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from unisock import ConnectionClosed, ConnectionLost, Overflow, Spark
from unisock_emitter import RequestTimeout

from .conftest import House, Raw, Run

pytestmark = pytest.mark.anyio


async def entered(house: House, namespace: str = "/") -> tuple[Raw, Spark]:
    before = len(house.sparks)
    raw = await house.inside(namespace)
    await house.until(lambda: len(house.sparks) > before)
    return raw, house.sparks[-1]


async def event(raw: Raw) -> tuple[list[Any], str]:
    """The next event, without and with its offset."""
    text = await raw.receive()
    assert text[0] == "2" or text[:3] == "51-", text
    name, *args, offset = json.loads(text[text.index("[") :])
    return [name, *args], offset


async def back(house: House, raw: Raw, offset: str | None = None, **auth: Any) -> Raw:
    """The same client on another connection."""
    again = await house.peer()
    plea = {"pid": raw.told["pid"], **({} if offset is None else {"offset": offset}), **auth}
    await again.enter("/", plea)
    return again


async def test_it_is_off_unless_asked_for(run: Run) -> None:
    async with run() as house:
        raw, spark = await entered(house)
        assert raw.told == {"sid": spark.id}
        await spark.send(1)
        assert await raw.receive() == '2["message",1]'


async def test_all_is_as_it_was(run: Run) -> None:
    async with run(recovery=True) as house:
        raw, spark = await entered(house)
        assert set(raw.told) == {"sid", "pid"}
        house.rooms.join(spark, "lobby")
        spark.state["name"] = "Ada"
        await spark.send("seen")
        _, offset = await event(raw)
        await spark.send("lost on the way")
        raw.peer.drop()
        await house.events.emit(house.rooms["lobby"], "missed", {"n": 1})
        assert house.rooms.of(spark) == {"lobby"}
        again = await back(house, raw, offset)
        assert again.told == raw.told
        assert (await event(again))[0] == ["message", "lost on the way"]
        assert (await event(again))[0] == ["missed", {"n": 1}]
        await house.rooms["lobby"].send("live")
        assert (await event(again))[0] == ["message", "live"]
        assert await again.ask('21["x"]')
        await again.send('2["message","hello"]')
        await house.until(lambda: house.seen)
        assert house.sparks == [spark]
        assert spark.state == {"name": "Ada"}
        assert not house.closes


async def test_bytes_are_sent_again_too(run: Run) -> None:
    async with run(recovery=True) as house:
        raw, spark = await entered(house)
        raw.peer.drop()
        await house.events.emit(spark | house.rooms["nobody"], "picture", b"\0\1")
        again = await back(house, raw)
        assert (await event(again))[0] == ["picture", {"_placeholder": True, "num": 0}]
        assert await again.receive() == b"\0\1"


async def test_who_has_seen_nothing_gets_everything(run: Run) -> None:
    async with run(recovery=True) as house:
        raw, spark = await entered(house)
        await spark.send(1)
        raw.peer.drop()
        again = await back(house, raw)
        assert (await event(again))[0] == ["message", 1]
        again.peer.drop()
        await back(house, again)


async def test_a_client_may_be_back_before_it_is_missed(run: Run) -> None:
    """Half a connection looks alive for as long as a heartbeat takes."""
    async with run(recovery=True) as house:
        raw, spark = await entered(house)
        await spark.send(1)
        again = await back(house, raw)
        assert (await raw.peer.wait_closed()).code == 1001
        assert (await event(again))[0] == ["message", 1]
        await spark.send(2)
        assert (await event(again))[0] == ["message", 2]
        assert not house.closes


async def test_each_namespace_comes_back_by_itself(run: Run) -> None:
    async with run(recovery=True) as house:
        raw, root = await entered(house)
        chat = await raw.enter("/chat")
        await house.until(lambda: len(house.sparks) == 2)
        again = await house.peer()
        await again.enter("/chat", {"pid": chat["pid"]})
        assert again.told == chat
        await root.send("still there")
        assert (await event(raw))[0] == ["message", "still there"]
        # A secret is for one namespace.
        other = await again.enter("/", {"pid": chat["pid"]})
        assert other["pid"] != chat["pid"]
        assert len(house.sparks) == 2 or house.sparks[-1].id == other["sid"]


async def test_it_is_over_when_the_time_is(run: Run) -> None:
    async with run(recovery={"max_disconnection_duration": 5000}) as house:
        house.stop_clock()
        raw, _ = await entered(house)
        raw.peer.drop()
        await anyio.wait_all_tasks_blocked()
        house.pass_time(4.9)
        assert not house.closes
        house.pass_time(0.2)
        await house.until(lambda: house.closes)
        assert house.closes[0][1].code == 1006
        again = await back(house, raw)
        assert again.told["sid"] != raw.told["sid"]
        assert again.told["pid"] != raw.told["pid"]


async def test_deliberate_ends_are_final(run: Run) -> None:
    async with run(recovery=True) as house:
        raw, _ = await entered(house)
        await raw.send("1")
        await house.until(lambda: house.closes)
        other, spark = await entered(house)
        spark.close_nowait(1012, "elsewhere")
        await house.until(lambda: len(house.closes) == 2)
        bad, _ = await entered(house)
        await bad.send("2{}")
        await house.until(lambda: len(house.closes) == 3)
        for gone in (raw, other, bad):
            again = await back(house, gone)
            assert again.told["sid"] != gone.told["sid"]


async def test_while_it_is_away(run: Run) -> None:
    async with run(recovery=True) as house:
        raw, spark = await entered(house)
        raw.peer.drop()
        assert house.events.emit_nowait(spark, "kept").queued == 1
        volatile = house.events.emit_nowait(spark, "gone", overflow=Overflow.DROP_NEWEST)
        assert volatile.dropped == 1
        with pytest.raises(RequestTimeout):
            await house.events.request(spark, "nobody there", timeout=0.01)
        async with anyio.create_task_group() as group:
            group.start_soon(spark.send, "waits for it")
            await anyio.wait_all_tasks_blocked()
            again = await back(house, raw)
            assert (await event(again))[0] == ["kept"]
            assert (await event(again))[0] == ["message", "waits for it"]


async def test_questions_end_with_the_connection(run: Run) -> None:
    async with run(recovery=True) as house:
        raw, spark = await entered(house)
        failed: list[Exception] = []

        async def ask() -> None:
            try:
                await house.events.request(spark, "who are you?")
            except ConnectionClosed as error:
                failed.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            assert await raw.receive() == '21["who are you?"]'
            raw.peer.drop()
        assert isinstance(failed[0], ConnectionLost)


async def test_the_application_closes_who_is_away(run: Run) -> None:
    async with run(recovery=True) as house:
        raw, spark = await entered(house)
        raw.peer.drop()
        async with anyio.create_task_group() as group:

            async def send() -> None:
                with pytest.raises(ConnectionClosed):
                    await spark.send(1)

            group.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            await spark.close(4500, "enough")
        await house.until(lambda: house.closes)
        assert house.closes[0][1].code == 4500
        assert not len(house.server.hub)


@pytest.mark.parametrize("bound", [{"max_messages": 5}, {"max_bytes": 200}])
async def test_what_is_kept_is_bounded(run: Run, bound: dict[str, int]) -> None:
    async with run(recovery=bound) as house:
        raw, spark = await entered(house)
        for number in range(20):
            await spark.send(number)
        offsets = [(await event(raw))[1] for _ in range(20)]
        raw.peer.drop()
        again = await back(house, raw, offsets[18])  # which is there still
        assert (await event(again))[0] == ["message", 19]
        again.peer.drop()
        forgotten = await back(house, again, offsets[3])
        assert forgotten.told["sid"] != again.told["sid"]
        await house.until(lambda: house.closes)  # of the one that can never be whole again
        await house.until(lambda: len(house.sparks) == 2)
        forgotten.peer.drop()
        spark = house.sparks[1]
        for _ in range(20):
            if spark.closed is None:
                spark.send_nowait("x" * 20)
        assert spark.closed is not None  # who has missed too much is given up
        await house.until(lambda: len(house.closes) == 2)


async def test_how_many_may_be_away(run: Run) -> None:
    async with run(recovery={"max_sessions": 2}) as house:
        came = [await entered(house) for _ in range(3)]
        for raw, _ in came:
            raw.peer.drop()
        await house.until(lambda: house.closes)
        assert [spark.closed is None for _, spark in came] == [False, True, True]


@pytest.mark.parametrize("pid", [None, 1, [], {}, "", "nobody", "__proto__"])
async def test_made_up_secrets_open_nothing(run: Run, pid: Any) -> None:
    async with run(recovery=True) as house:
        await entered(house)
        raw = await house.peer()
        told = await raw.enter("/", {"pid": pid, "offset": {"x": pid}})
        assert told["pid"] != pid
        await house.until(lambda: len(house.sparks) == 2)


async def test_a_handler_that_is_busy_goes_on(run: Run) -> None:
    house = House(recovery=True, limits={"inbox_messages": 2})
    go_on = anyio.Event()

    @house.events.on("work")
    async def work(spark: Spark, number: int) -> None:
        await go_on.wait()
        house.seen.append(number)

    async with run(house):
        raw, _ = await entered(house)
        await raw.send('2["work",1]', '2["work",2]')
        raw.peer.drop()
        again = await back(house, raw)
        async with anyio.create_task_group() as group:
            group.start_soon(again.send, '2["work",3]', '2["work",4]')
            await anyio.wait_all_tasks_blocked()
            go_on.set()
        await again.ask('21["done"]')
        assert house.seen == [1, 2, 3, 4]


async def test_the_server_goes_with_some_away(run: Run) -> None:
    async with run(recovery=True) as house:
        raw, _ = await entered(house)
        raw.peer.drop()
        await house.server.drain(1)
        await house.until(lambda: house.closes)
        assert house.closes[0][1].code == 1012
