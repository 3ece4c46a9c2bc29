"""Events in the envelopes of primus-emitter, primus-emit and primus-responder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unisock import Ack, Data, EncodeError, Event, Fault, ProtocolError, Server, Spark
from unisock.codecs import Codec, JsonCodec
from unisock.memory import MemoryAdapter
from unisock.messages import Message
from unisock.registry import offer
from unisock.testing.running import serving
from unisock_emitter import Emitter, EventError, RemoteError
from unisock_primus import PrimusDialect
from unisock_primus.options import ClientOptions, Options

from .conftest import House, Open

pytestmark = pytest.mark.anyio

EMIT = {"events": "emit"}
RESPONDER = {"responder": True}


def house_with_events(options: dict[str, Any]) -> House:
    house = House(options=options)

    @house.events.on("double")
    def double(spark: Spark, number: int) -> int:
        house.seen.append(number)
        return 2 * number

    @house.events.on("request")
    def request(spark: Spark, data: Any = None) -> Any:
        if data == "no":
            raise EventError("not-allowed", "never")
        return {"you said": data}

    @house.events.on("tell")
    async def tell(spark: Spark, *args: Any) -> None:
        await house.events.emit(spark, "told", *args)

    return house


async def test_primus_emitter(opened: Open) -> None:
    house = house_with_events({})
    async with opened(house) as raw:
        answer = await raw.ask({"type": 0, "data": ["double", 4], "id": 1})
        assert answer == {"type": 1, "id": 1, "data": [8]}
        answer = await raw.ask({"type": 0, "data": ["tell", 1, {"a": None}]})
        assert answer == {"type": 0, "data": ["told", 1, {"a": None}]}
        # The others' envelopes are data here.
        for data in [{"emit": ["double", 1]}, {"plugin": "primus-responder", "requestId": "1"}]:
            assert await raw.ask(data) == data


async def test_primus_emit(opened: Open) -> None:
    house = house_with_events(EMIT)
    async with opened(house) as raw:
        await raw.send({"emit": ["double", 21]})
        assert await raw.ask({"emit": ["tell", "x"]}) == {"emit": ["told", "x"]}
        for data in [{"type": 0, "data": ["double", 1]}, {"emit": "tell"}, {}]:
            assert await raw.ask(data) == data
        with pytest.raises(EncodeError, match="primus-emit has no answers, and 'ask' wants one"):
            await house.events.request(house.sparks[0], "ask")
    assert house.seen[0] == 21


async def test_primus_responder_beside_either(opened: Open) -> None:
    for events in ({}, EMIT):
        house = house_with_events({**RESPONDER, **events})
        async with opened(house) as raw:
            uuid = "110ec58a-a0f2-4ac4-8393-c866d813b8d1"
            asked = {"plugin": "primus-responder", "requestId": uuid}
            answer = {"plugin": "primus-responder", "responseId": uuid}
            told = await raw.ask({**asked, "data": [1, None]})
            assert told == {**answer, "data": {"you said": [1, None]}}
            assert await raw.ask(asked) == {**answer, "data": {"you said": None}}
            refused = {"code": "not-allowed", "message": "never"}
            told = await raw.ask({**asked, "data": "no"})
            assert told == {**answer, "data": None, "error": refused}


async def test_the_server_asks_a_client_of_primus_responder(opened: Open) -> None:
    house = house_with_events(RESPONDER)
    async with opened(house) as raw:
        await raw.ask(0)
        answers: list[Any] = []

        async def ask(spark: Spark, data: Any) -> None:
            answers.append(await house.events.request(spark, "request", {"for": data}))

        house.events.on("go")(ask)
        for data in ("tea", None):
            asked = await raw.ask({"type": 0, "data": ["go", data]})
            assert asked == {
                "plugin": "primus-responder",
                "requestId": asked["requestId"],
                "data": {"for": data},
            }
            made_up = {"plugin": "primus-responder", "responseId": "never asked", "data": 1}
            await raw.send(made_up)  # changes nothing
            await raw.send({**made_up, "responseId": asked["requestId"], "data": [data]})
            assert await raw.ask(0) == 0
        assert answers == [["tea"], [None]]
        with pytest.raises(EncodeError, match="carries one value, not 2"):
            await house.events.request(house.sparks[0], "request", 1, 2)


async def test_our_clients_ask_through_each(opened: Open) -> None:
    for options in ({}, RESPONDER):
        house = house_with_events(options)
        async with opened(house):
            mine = Emitter()
            mine.on("request")(lambda spark, data: f"{data} to you too")
            async with house.client(mine, **options) as spark:
                assert await mine.request(spark, "request", 1) == {"you said": 1}
                with pytest.raises(RemoteError, match="not-allowed: never"):
                    await mine.request(spark, "request", "no")
                there = house.sparks[-1]
                assert await house.events.request(there, "request", "hello") == "hello to you too"


def test_packets_have_one_form() -> None:
    plain, emit = dialect(), dialect(events="emit")
    assert plain.encode(Data([1])) == emit.encode(Data([1])) == "[1]"
    assert plain.encode(Event("news", (1,), 7)) == '{"type":0,"data":["news",1],"id":7}'
    assert plain.encode(Ack(7, fault=Fault("no"))) == emit.encode(Ack(7, fault=Fault("no")))
    with pytest.raises(EncodeError, match="for Primus itself"):
        plain.encode(Data("primus::id::x"))


def dialect(**options: Any) -> PrimusDialect:
    return PrimusDialect(JsonCodec(), Options(**options))


@pytest.mark.parametrize("name", ["online", "timeout", "reconnect scheduled", "outgoing::data"])
def test_what_a_client_raises_itself_is_not_sent(name: str) -> None:
    """It would ignore the event without a word."""
    for events in ("emitter", "emit"):
        with pytest.raises(EncodeError, match=f"Primus raises '{name}' itself"):
            dialect(events=events).encode(Event(name))


def test_a_server_raises_other_names() -> None:
    mine = PrimusDialect(JsonCodec(), ClientOptions())
    assert mine.encode(Event("online"))
    with pytest.raises(EncodeError, match="heartbeat"):
        mine.encode(Event("heartbeat"))


WRONG = [
    ({}, {"type": 0, "data": []}),
    ({}, {"type": 0, "data": [None]}),
    ({}, {"type": 1, "data": []}),
    ({}, {"type": 0, "data": ["x"], "id": "1"}),
    (EMIT, {"emit": []}),
    (EMIT, {"emit": [{"__proto__": 1}]}),
    (RESPONDER, {"plugin": "primus-responder"}),
    (RESPONDER, {"plugin": "primus-responder", "requestId": 1}),
    (RESPONDER, {"plugin": "primus-responder", "requestId": ""}),
    (RESPONDER, {"plugin": "primus-responder", "requestId": "x" * 65}),
    (RESPONDER, {"plugin": "primus-responder", "responseId": None}),
    (RESPONDER, {"plugin": "primus-responder", "responseId": "1", "error": {"code": 1}}),
]


@pytest.mark.parametrize(("options", "envelope"), WRONG, ids=range(len(WRONG)))
async def test_a_wrong_envelope_ends_its_connection(
    opened: Open, options: dict[str, Any], envelope: Any
) -> None:
    house = house_with_events(options)
    async with opened(house) as raw:
        assert await raw.ask(envelope) == "primus::server::close"
        assert (await raw.peer.wait_closed()).code == 1002
        assert isinstance(house.errors[0], ProtocolError)
        other = await house.adapter.connect("/primus")
        await other.send("1")
        assert await other.receive() == "1"


class Counting(JsonCodec):
    """Counts how often something is encoded."""

    name = "counting"
    count = 0

    def encode(self, payload: object) -> Message:
        Counting.count += 1
        return super().encode(payload)


async def test_a_broadcast_is_encoded_once_for_each_dialect(anyio_backend: str) -> None:
    codec: type[Codec] = Counting
    offer("codec", "counting", codec)
    events = Emitter()
    server = Server(
        adapter=MemoryAdapter(), folder=None, plugins=[events], heartbeat={"interval": 0}
    )
    server.endpoint("/primus", dialect="primus", codec="counting")
    server.endpoint("/ws", codec="counting")
    async with serving(server) as running:
        peers = [await running.connect(path) for path in ["/primus", "/ws"] * 5]
        Counting.count = 0
        await events.emit(server.everyone, "news", 1)
        await server.everyone.send("hello")
        assert Counting.count == 4
        for peer in peers:
            assert json.loads(await peer.receive()) == {"type": 0, "data": ["news", 1]}
            assert await peer.receive() == '"hello"'
