"""Events to clients, and their answers: of one, and of an audience."""

import json
from typing import Any

import anyio
import pytest

from unisock import ClosedByPeer, ConnectionClosed, LimitExceeded, Server, Spark
from unisock.codecs import JsonCodec
from unisock.memory import MemoryAdapter, MemoryPeer
from unisock_emitter import Emitter, RemoteError, RequestTimeout

pytestmark = pytest.mark.anyio

SOON = 0.05


class House:
    def __init__(self, **options: Any) -> None:
        self.events = Emitter(**options)
        self.adapter = MemoryAdapter()
        self.server = Server(adapter=self.adapter, folder=None, plugins=[self.events])
        self.entered: list[Spark] = []
        self.server.on_open(self.entered.append)

    async def enter(self) -> tuple[Spark, MemoryPeer]:
        peer = await self.adapter.connect()
        return self.entered.pop(), peer


@pytest.fixture
async def make_house(anyio_backend: str) -> Any:
    async with anyio.create_task_group() as group:

        async def make_house(**options: Any) -> House:
            house = House(**options)
            await group.start(house.server.serve)
            return house

        with anyio.fail_after(30):
            yield make_house
        group.cancel_scope.cancel()


async def answer(peer: MemoryPeer, *data: Any, **fields: Any) -> list[Any]:
    """Wait for an event, and answer it; returns the event's data."""
    event = json.loads(await peer.receive())
    await peer.send(json.dumps({"type": 1, "id": event["id"], "data": data, **fields}))
    return event["data"]


async def test_an_event_reaches_an_audience_encoded_once(
    make_house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await make_house()
    encoded: list[object] = []
    encode = JsonCodec.encode

    def count(self: JsonCodec, payload: object) -> Any:
        encoded.append(payload)
        return encode(self, payload)

    peers = [(await house.enter())[1] for _ in range(3)]
    monkeypatch.setattr(JsonCodec, "encode", count)
    done = await house.events.emit(house.server.everyone, "news", 1, "two")
    assert done.sent == 3
    assert house.events.emit_nowait(house.server.everyone, "more").sent == 3
    for peer in peers:
        assert json.loads(await peer.receive()) == {"type": 0, "data": ["news", 1, "two"]}
        assert json.loads(await peer.receive()) == {"type": 0, "data": ["more"]}
    assert len(encoded) == 2


async def test_an_event_to_one_who_is_gone(make_house: Any) -> None:
    house = await make_house()
    spark, peer = await house.enter()
    await peer.close()
    with pytest.raises(ConnectionClosed):
        await house.events.emit(spark, "news")
    assert house.events.emit_nowait(spark, "news").dropped == 1


@pytest.mark.parametrize(
    ("data", "value"), [([], None), ([0], 0), ([1, 2], (1, 2)), ([None], None)]
)
async def test_a_request_returns_the_answer(make_house: Any, data: list[Any], value: Any) -> None:
    house = await make_house()
    spark, peer = await house.enter()
    async with anyio.create_task_group() as group:
        group.start_soon(answer, peer, *data)
        assert await house.events.request(spark, "name", "please") == value


async def test_requests_are_answered_in_any_order(make_house: Any) -> None:
    house = await make_house()
    spark, peer = await house.enter()
    got: dict[str, Any] = {}

    async def ask(name: str) -> None:
        got[name] = await house.events.request(spark, name)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "one")
        group.start_soon(ask, "two")
        events = [json.loads(await peer.receive()) for _ in range(2)]
        for event in reversed(events):
            reply = {"type": 1, "id": event["id"], "data": [f"re: {event['data'][0]}"]}
            await peer.send(json.dumps(reply))
    assert got == {"one": "re: one", "two": "re: two"}


async def test_a_client_that_answers_with_an_error(make_house: Any) -> None:
    house = await make_house()
    spark, peer = await house.enter()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: answer(peer, error={"code": "busy", "message": "later"}))
        with pytest.raises(RemoteError, match="busy: later") as raised:
            await house.events.request(spark, "work")
        assert (raised.value.code, raised.value.message) == ("busy", "later")


async def test_no_answer_in_time(make_house: Any) -> None:
    house = await make_house(timeout=SOON)
    spark, peer = await house.enter()
    with pytest.raises(RequestTimeout, match=r"no answer to 'name' within 0\.05 s"):
        await house.events.request(spark, "name")
    assert await answer(peer, "too late") == ["name"]
    async with anyio.create_task_group() as group:
        group.start_soon(answer, peer, "in time")
        assert await house.events.request(spark, "name", timeout=5) == "in time"


async def test_a_client_that_goes_ends_the_wait(make_house: Any) -> None:
    house = await make_house()
    spark, peer = await house.enter()

    async def leave() -> None:
        await peer.receive()
        await peer.close(4001, "bye")

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        with pytest.raises(ClosedByPeer, match="4001 bye"):
            await house.events.request(spark, "name")
    with pytest.raises(ClosedByPeer):
        await house.events.request(spark, "name")


async def test_nobody_answers_for_another(make_house: Any) -> None:
    house = await make_house()
    spark, peer = await house.enter()
    _, stranger = await house.enter()

    async def meddle() -> None:
        event = json.loads(await peer.receive())
        for number in (event["id"], event["id"] + 1, -1):
            await stranger.send(json.dumps({"type": 1, "id": number, "data": ["mine"]}))
        await peer.send(json.dumps({"type": 1, "id": event["id"], "data": ["his"]}))
        await peer.send(json.dumps({"type": 1, "id": event["id"], "data": ["again"]}))

    async with anyio.create_task_group() as group:
        group.start_soon(meddle)
        assert await house.events.request(spark, "name") == "his"
    assert (stranger.closed, peer.closed) == (None, None)


async def test_a_handler_can_ask_the_client_that_it_serves(make_house: Any) -> None:
    house = await make_house()

    @house.events.on("order")
    async def order(spark: Spark, what: str) -> str:
        return f"{what}, {await house.events.request(spark, 'how many?')} times"

    _, peer = await house.enter()
    await peer.send('{"type":0,"data":["order","tea"],"id":5}')
    assert await answer(peer, 3) == ["how many?"]
    assert json.loads(await peer.receive()) == {"type": 1, "id": 5, "data": ["tea, 3 times"]}


async def test_too_many_questions(make_house: Any) -> None:
    house = await make_house(max_pending=2)
    spark, _ = await house.enter()
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(house.events.request, spark, "name")
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(LimitExceeded, match="pending_answers = 2"):
            await house.events.request(spark, "name")
        answers = await house.events.collect(house.server.everyone, "name")
        assert [type(error) for error in answers.errors.values()] == [LimitExceeded]
        group.cancel_scope.cancel()


async def test_collected_answers_tell_who_said_what(make_house: Any) -> None:
    house = await make_house(timeout=0.5)
    people = [await house.enter() for _ in range(4)]
    (one, first), (two, second), (three, third), (four, fourth) = people

    async def leave() -> None:
        await third.receive()
        third.drop()

    async with anyio.create_task_group() as group:
        group.start_soon(answer, first, "yes")
        group.start_soon(lambda: answer(second, error={"code": "no"}))
        group.start_soon(leave)
        answers = await house.events.collect(house.server.everyone, "ready?")
        assert answers.values == {one: "yes"}
        assert {spark: type(error).__name__ for spark, error in answers.errors.items()} == {
            two: "RemoteError",
            three: "ConnectionLost",
        }
        assert answers.silent == {four}
        assert repr(answers) == "<Answers: 1 values, 2 errors, 1 silent>"
    assert json.loads(await fourth.receive())["data"] == ["ready?"]


async def test_collect_from_nobody_is_done_at_once(make_house: Any) -> None:
    house = await make_house()
    answers = await house.events.collect(house.server.everyone, "ready?")
    assert (answers.values, answers.errors, answers.silent) == ({}, {}, frozenset())


async def test_nothing_is_kept_of_what_is_over(make_house: Any) -> None:
    house = await make_house(timeout=SOON)
    for _ in range(3):
        spark, peer = await house.enter()
        with pytest.raises(RequestTimeout):
            await house.events.request(spark, "name")
        await peer.close()
    assert len(house.events.pending) == 0
