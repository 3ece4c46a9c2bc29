"""Events, answers and payloads, both ways."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest

from unisock import Overflow, Spark
from unisock_emitter import EventError, RemoteError, RequestTimeout
from unisock_socketio import packets

from .conftest import House, Raw, Run

pytestmark = pytest.mark.anyio


async def entered(house: House) -> tuple[Raw, Spark]:
    raw = await house.inside()
    await house.until(lambda: house.sparks)
    return raw, house.sparks[-1]


async def test_events_of_the_client(run: Run) -> None:
    house = House()
    events = house.events
    events.on("add")(lambda spark, a, b: a + b)
    events.on("both")(lambda spark, *args: args)
    events.on("nothing")(lambda spark: None)
    events.on("7")(lambda spark: "a number")
    events.on("*", channel="/chat")(lambda spark, name, *args: f"{name}?")

    @events.on("no")
    async def refuse(spark: Spark) -> None:
        raise EventError("not-allowed", "never")

    async with run(house):
        raw, _ = await entered(house)
        assert await raw.ask('21["add",1,2]') == "31[3]"
        assert await raw.ask('22["both",1,"x"]') == '32[1,"x"]'
        assert await raw.ask('23["nothing"]') == "33[]"
        assert await raw.ask("24[7]") == '34["a number"]'
        assert await raw.ask('25["no"]') == (
            '35[{"error":{"code":"not-allowed","message":"never"}}]'
        )
        assert '"code":"unknown-event"' in await raw.ask('26["what"]')
        assert '"code":"invalid-arguments"' in await raw.ask('27["add",1]')
        await raw.enter("/chat")
        assert await raw.ask('2/chat,0["anything",1]') == '3/chat,0["anything?"]'


async def test_bytes_both_ways(run: Run) -> None:
    house = House()
    house.events.on("turn")(lambda spark, *args: tuple(reversed(args)))
    async with run(house):
        raw, spark = await entered(house)
        first = await raw.ask(
            '52-1["turn",{"_placeholder":true,"num":1},"x",{"_placeholder":true,"num":0}]',
            b"\0",
            b"\1",
        )
        assert first == '62-1[{"_placeholder":true,"num":0},"x",{"_placeholder":true,"num":1}]'
        assert [await raw.receive() for _ in range(2)] == [b"\0", b"\1"]
        await spark.send(b"payload")
        assert await raw.receive() == '51-["message",{"_placeholder":true,"num":0}]'
        assert await raw.receive() == b"payload"


async def test_questions_of_the_server(run: Run) -> None:
    async with run() as house:
        raw, spark = await entered(house)
        answers: dict[str, Any] = {}
        number = ""

        async def ask(name: str, timeout: float = 10) -> None:
            try:
                answers[name] = await house.events.request(spark, name, 1, timeout=timeout)
            except (RemoteError, RequestTimeout) as error:
                answers[name] = error

        for name, args, answer in [
            ("one", "[5]", 5),
            ("none", "[]", None),
            ("two", "[1,[2]]", (1, [2])),
        ]:
            async with anyio.create_task_group() as group:
                group.start_soon(ask, name)
                question = await raw.receive()
                assert question.endswith(f'["{name}",1]')
                await raw.send(f"3{question[1:].partition('[')[0]}{args}")
            assert answers[name] == answer
        async with anyio.create_task_group() as group:
            group.start_soon(ask, "fault")
            number = (await raw.receive())[1:].partition("[")[0]
            await raw.send(f'3{number}[{{"error":{{"code":"busy","message":"later"}}}}]')
        assert answers["fault"].code == "busy"
        await ask("silence", 0.01)
        assert isinstance(answers["silence"], RequestTimeout)
        await raw.send("399[1]", f"3{number}[2]")  # which nobody waits for
        await raw.receive()
        await spark.send("fine")
        assert await raw.receive() == '2["message","fine"]'


async def test_answers_come_while_a_handler_is_busy(run: Run) -> None:
    house = House()

    @house.events.on("work")
    async def work(spark: Spark) -> str:
        return f"you said {await house.events.request(spark, 'which')}"

    async with run(house):
        raw, _ = await entered(house)
        question = await raw.ask('20["work"]')
        number = question[1:].partition("[")[0]
        await raw.send(f'3{number}["this"]')
        assert await raw.receive() == '30["you said this"]'


async def test_a_message_is_data_unless_somebody_listens(run: Run) -> None:
    house = House()
    heard: list[Any] = []
    house.events.on("message", channel="/chat")(lambda spark, *args: heard.append(args))
    house.events.on("*")(lambda spark, name, *args: heard.append((name, *args)))
    async with run(house):
        raw, _ = await entered(house)
        await raw.enter("/chat")
        await raw.send('2["message",1]', '2["message"]', '2["message",1,2]', '2["message",[1]]')
        await raw.send('2/chat,["message",1,2]', '2["other"]', '2["message","last"]')
        await house.until(lambda: house.seen[-1:] == ["last"])
        assert house.seen == [1, None, [1, 2], [1], "last"]
        assert heard == [(1, 2), ("other",)]
        await raw.send('27["message","answer me"]')  # only an event can be answered
        assert await raw.receive() == "37[]"


async def test_a_broadcast_is_encoded_once_for_each_namespace(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[object] = []
    encode = packets._encode

    def counted(data: object) -> str:
        encoded.append(data)
        return encode(data)

    monkeypatch.setattr(packets, "_encode", counted)
    async with run() as house:
        peers = [await house.inside() for _ in range(5)]
        for raw in peers[:3]:
            await raw.enter("/chat")
        await house.until(lambda: len(house.sparks) == 8)
        encoded.clear()
        everybody = house.server.everyone | house.multiplex["/chat"]
        done = await house.events.emit(everybody, "news", {"n": 1})
        assert done.sent + done.queued == 8
        assert encoded == [["news", {"n": 1}]] * 2
        for raw in peers[:3]:
            assert {await raw.receive() for _ in range(2)} == {
                '2["news",{"n":1}]',
                '2/chat,["news",{"n":1}]',
            }


async def test_rooms_belong_to_their_namespace(run: Run) -> None:
    async with run() as house:
        raw, root = await entered(house)
        await raw.enter("/chat")
        await house.until(lambda: len(house.sparks) == 2)
        house.rooms.join(root, "lobby")
        assert not len(house.rooms.within("/chat")["lobby"])
        house.rooms.join(house.sparks[1], "lobby")
        await house.rooms["lobby"].send(1)
        assert await raw.receive() == '2["message",1]'


async def test_volatile_events_do_not_wait(run: Run) -> None:
    house = House(limits={"outbox_messages": 1})
    async with run(house):
        raw, spark = await entered(house)
        await raw.ask('21["x"]')
        big = "x" * 100_000
        assert spark.send_nowait(big).name == "SENT"  # and now the client is behind
        assert spark.send_nowait("waits").name == "QUEUED"
        volatile = house.events.emit_nowait(spark, "tick", overflow=Overflow.DROP_NEWEST)
        assert volatile.dropped == 1
        assert await raw.receive() == f'2["message","{big}"]'
        assert await raw.receive() == '2["message","waits"]'


async def test_the_same_in_messagepack(run: Run) -> None:
    house = House(options={"parser": "msgpack"})
    house.events.on("turn")(lambda spark, *args: tuple(reversed(args)))
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode
    async with run(house):
        raw = await house.peer()
        told = decode(await raw.ask(encode({"type": 0, "nsp": "/chat", "data": {"a": 1}})))
        await house.until(lambda: house.sparks)
        assert told == {"type": 0, "nsp": "/chat", "data": {"sid": house.sparks[0].id}}
        event = {"type": 2, "nsp": "/chat", "data": ["turn", b"\0", "x"], "id": 1}
        assert decode(await raw.ask(encode(event))) == {
            "type": 3,
            "nsp": "/chat",
            "data": ["x", b"\0"],
            "id": 1,
        }
        await raw.send(encode({"type": 1, "nsp": "/chat"}))
        await house.until(lambda: house.closes)
        assert decode(await raw.ask(encode({"type": 0, "nsp": "/x"}))) == {
            "type": 4,
            "nsp": "/x",
            "data": {"message": "Invalid namespace"},
        }
        await raw.send("0")
        assert (await raw.peer.wait_closed()).code == 1003
