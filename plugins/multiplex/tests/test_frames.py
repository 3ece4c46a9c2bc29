"""The frames of primus-multiplex, from clients that write them by hand."""

from __future__ import annotations

import json
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unisock import Channel, HandshakeRejected, ProtocolError, Spark
from unisock.codecs import JsonCodec, MsgpackCodec
from unisock.memory import MemoryPeer

from .conftest import House, Open, Raw

pytestmark = pytest.mark.anyio

FALSY: list[Any] = [None, 0, False, "", [], {}, 0.0]


async def test_a_channel_carries_every_payload(opened: Open) -> None:
    house = House()
    house.channel("news")
    async with opened(house) as raw:
        await raw.send(1, "a", "news")
        for payload in [*FALSY, "text", {"deep": [1, {"er": None}]}, [0, "a", "news", "inner"]]:
            assert await raw.ask(0, "a", "news", payload) == [0, "a", "news", payload]
        assert await raw.ask(0, "a", "news") == [0, "a", "news", None]  # as JSON has undefined
    assert house.seen[:3] == [("news", None), ("news", 0), ("news", False)]


async def test_one_client_may_have_a_channel_several_times(opened: Open) -> None:
    house = House()
    house.channel("news")
    async with opened(house) as raw:
        await raw.send(1, "a", "news")
        await raw.send(1, "b", "news")
        await raw.send(1, "a", "news")  # once more changes nothing
        assert await raw.ask(0, "b", "news", 1) == [0, "b", "news", 1]
        assert len(house.multiplex["news"]) == 2
        await house.multiplex["news"].send("all")
        assert [await raw.receive(), await raw.receive()] == [
            [0, "a", "news", "all"],
            [0, "b", "news", "all"],
        ]


async def test_what_is_no_frame_is_data(opened: Open) -> None:
    house = House()
    house.channel("news")
    others: list[Any] = [
        [],
        [1],
        [1, "a"],
        [1, "a", 5],
        [1, 5, "news"],
        [3, "a", "news"],
        [-1, "a", "news"],
        [True, "a", "news"],
        [1.0, "a", "news"],
        ["1", "a", "news"],
        [1, "a", "news", None, None],
        {"type": 1},
        None,
        "[1,2,3]",
    ]
    async with opened(house) as raw:
        for other in others:
            await raw.peer.send(json.dumps(other))
        await raw.peer.close()
    assert house.seen == [("data", other) for other in others]
    assert not house.sparks


async def test_a_channel_nobody_serves_is_refused(opened: Open) -> None:
    house = House()
    house.channel("news")
    async with opened(house) as raw:
        assert await raw.ask(1, "a", "sport") == [
            2,
            "a",
            "sport",
            {"code": 4500, "reason": "there is no channel sport"},
        ]
        await raw.send(0, "a", "sport", "lost")
        await raw.send(1, "b", "__proto__")
        assert (await raw.receive())[:3] == [2, "b", "__proto__"]
    assert not house.seen


async def test_authorize_decides_and_says_who_it_is(opened: Open) -> None:
    house = House()
    news = house.channel("news")

    @news.authorize
    async def may_read(channel: Channel) -> str:
        await anyio.lowlevel.checkpoint()
        match channel.auth:
            case {"token": "good"}:
                return "ann"
            case "break":
                raise RuntimeError("our fault")
            case _:
                raise HandshakeRejected("a token, please", code=4401, retry=True)

    async with opened(house) as raw:
        await raw.send(1, "a", "news", {"token": "good"})
        assert await raw.ask(0, "a", "news", "early") == [0, "a", "news", "early"]
        assert [(spark.user, spark.channel) for spark in house.sparks] == [("ann", "news")]
        assert await raw.ask(1, "b", "news") == [
            2,
            "b",
            "news",
            {"code": 4401, "reason": "a token, please"},
        ]
        assert (await raw.ask(1, "c", "news", "break"))[3]["reason"] == "Internal server error"
        (main,) = house.server.hub
        assert main.user is None


async def test_authorize_may_be_plain_and_say_no(opened: Open) -> None:
    house = House()
    house.channel("news").authorize(lambda channel: channel.auth == "yes" and None)
    async with opened(house) as raw:
        assert (await raw.ask(1, "a", "news", "no"))[3]["reason"] == "Forbidden"
        await raw.send(1, "a", "news", "yes")
        assert await raw.ask(0, "a", "news", 1) == [0, "a", "news", 1]


async def test_who_leaves_while_authorize_thinks_is_not_let_in(opened: Open) -> None:
    house = House()
    asked, answer = anyio.Event(), anyio.Event()

    @house.channel("news").authorize
    async def think(channel: Channel) -> None:
        asked.set()
        await answer.wait()

    async with opened(house) as raw:
        await raw.send(1, "a", "news")
        await asked.wait()
        await raw.send(2, "a", "news")
        answer.set()
        await anyio.wait_all_tasks_blocked()
        assert not house.sparks
        assert not house.multiplex["news"]


async def test_authorize_has_its_time(opened: Open) -> None:
    house = House(limits={"authorize_seconds": 0.05})
    house.channel("news").authorize(lambda channel: anyio.sleep_forever())
    async with opened(house) as raw:
        told = await raw.ask(1, "a", "news")
        assert told == [2, "a", "news", {"code": 1013, "reason": "authorize took too long"}]


async def test_leaving_ends_the_channel_and_nothing_else(opened: Open) -> None:
    house = House()
    house.channel("news")
    house.channel("sport")
    async with opened(house) as raw:
        await raw.send(1, "a", "news")
        await raw.send(1, "b", "sport")
        await raw.send(2, "a", "news", {"code": 4321, "reason": "enough"})
        await raw.send(0, "a", "news", "too late")
        assert await raw.ask(0, "b", "sport", 1) == [0, "b", "sport", 1]
    (channel, close), _ = house.closes
    assert (channel, close.code, close.reason) == ("news", 4321, "enough")
    assert house.seen == [("sport", 1)]


@pytest.mark.parametrize(
    "told",
    [None, 5, [], {"code": "x", "reason": 5}, {"code": 99999}, {"reason": "\x00\n" * 400}],
    ids=str,
)
async def test_whatever_is_told_of_the_end_it_ends(opened: Open, told: Any) -> None:
    house = House()
    house.channel("news")
    async with opened(house) as raw:
        await raw.send(1, "a", "news")
        await raw.send(2, "a", "news", told)
        await anyio.wait_all_tasks_blocked()
    ((_, close),) = house.closes
    assert close.code == 1000
    assert len(close.reason.encode()) <= 123


async def test_the_server_ends_a_channel_with_a_reason(opened: Open) -> None:
    house = House()
    house.channel("news")
    async with opened(house) as raw:
        await raw.send(1, "a", "news")
        await raw.ask(0, "a", "news", 1)
        await house.sparks[0].close(4000, "moved")
        assert await raw.receive() == [2, "a", "news", {"code": 4000, "reason": "moved"}]
        await raw.send(0, "a", "news", "crossed it")
        await raw.send(1, "a", "news")
        assert await raw.ask(0, "a", "news", 2) == [0, "a", "news", 2]
    assert [payload for _, payload in house.seen] == [1, 2]


@pytest.mark.parametrize("how", ["close", "drop", "server"])
async def test_a_lost_connection_ends_its_channels_first(opened: Open, how: str) -> None:
    house = House()
    house.channel("news")
    order: list[str] = []
    house.multiplex.channel("sport").on_close(lambda spark, close: order.append("channel"))
    house.server.on_close(lambda spark, close: order.append("connection"))
    async with opened(house) as raw:
        await raw.send(1, "a", "news")
        await raw.send(1, "b", "sport")
        (main,) = house.server.hub
        if how == "close":
            await raw.peer.close(4001, "bye")
        elif how == "drop":
            raw.peer.drop()
        else:
            await main.close(4001, "bye")
        await house.server.gateway.sparks.wait_empty()
    ((_, close),) = house.closes
    assert close == main.closed
    assert order == ["channel", "connection"]
    assert not len(house.multiplex)


async def test_no_other_connection_can_touch_a_channel(opened: Open) -> None:
    house = House()
    house.channel("news")
    async with opened(house) as ann:
        eve = Raw(await house.adapter.connect("/ws"))
        await ann.send(1, "a", "news")
        await ann.ask(0, "a", "news", 1)
        await eve.send(0, "a", "news", "injected")
        await eve.send(2, "a", "news")
        assert await ann.ask(0, "a", "news", 2) == [0, "a", "news", 2]
    assert house.seen == [("news", 1), ("news", 2)]


async def test_caps(opened: Open) -> None:
    house = House(limits={"channels_per_connection": 2, "channel_name_bytes": 8})
    for name in ("a", "b", "c", "ü" * 4, "ü" * 5):
        house.channel(name)
    async with opened(house) as raw:
        assert (await raw.ask(1, "0", "ü" * 5))[3] == {
            "code": 1008,
            "reason": "over the limit channel_name_bytes = 8",
        }
        assert (await raw.ask(1, "0", ""))[3]["reason"] == "a channel has a name"
        await raw.send(1, "1", "a")
        await raw.send(1, "2", "ü" * 4)
        assert (await raw.ask(1, "3", "c"))[3] == {
            "code": 1008,
            "reason": "over the limit channels_per_connection = 2",
        }
        await raw.send(2, "1", "a")
        await raw.send(1, "4", "c")
        assert await raw.ask(0, "4", "c", 1) == [0, "4", "c", 1]


async def test_an_endless_id_is_a_violation(opened: Open) -> None:
    house = House()
    house.channel("news")
    async with opened(house) as raw:
        await raw.send(1, "x" * 65, "news")
        close = await raw.peer.wait_closed()
    assert close.code == 1002
    assert isinstance(house.errors[0], ProtocolError)


async def test_a_channel_that_is_not_read_stops_its_connection(opened: Open) -> None:
    """What waits for a busy handler is bounded, however many channels it comes on."""
    house = House(limits={"inbox_messages": 4})
    go = anyio.Event()
    taken: list[object] = []

    @house.multiplex.channel("slow").on_message
    async def work(spark: Spark, payload: object) -> None:
        await go.wait()
        taken.append(payload)

    async with opened(house) as raw:
        await raw.send(1, "a", "slow")
        sent = 0

        async def flood() -> None:
            nonlocal sent
            for number in range(50):
                await raw.send(0, "a", "slow", number)
                sent += 1

        async with anyio.create_task_group() as group:
            group.start_soon(flood)
            await anyio.wait_all_tasks_blocked()
            assert sent < 10
            go.set()
        await anyio.wait_all_tasks_blocked()
    assert taken == [*range(50)]


async def test_a_session_for_a_channel(opened: Open) -> None:
    house = House()

    @house.multiplex.channel("sum").session
    async def add_up(spark: Spark) -> None:
        total = 0
        async for number in spark:
            total += number
            await spark.send(total)
            if total > 5:
                return

    async with opened(house) as raw:
        await raw.send(1, "a", "sum")
        assert await raw.ask(0, "a", "sum", 2) == [0, "a", "sum", 2]
        assert await raw.ask(0, "a", "sum", 4) == [0, "a", "sum", 6]
        assert (await raw.receive())[:3] == [2, "a", "sum"]


async def test_patterns(opened: Open) -> None:
    house = House()
    house.channel("doc:*")
    exact = house.channel("doc:secret")
    exact.authorize(lambda channel: False)
    assert house.multiplex.channel("doc:*") is not exact
    async with opened(house) as raw:
        await raw.send(1, "a", "doc:1")
        assert await raw.ask(0, "a", "doc:1", 1) == [0, "a", "doc:1", 1]
        assert (await raw.ask(1, "b", "doc:secret"))[0] == 2
        assert (await raw.ask(1, "c", "doc"))[0] == 2
        assert [*house.multiplex] == ["doc:1"]
        assert "doc:1" in house.multiplex


@pytest.mark.parametrize("codec", ["text", "raw"])
async def test_codecs_without_arrays_have_no_channels(opened: Open, codec: str) -> None:
    house = House(endpoints=[{"path": "/ws", "codec": codec}])
    house.channel("news")
    async with opened(house) as raw:
        await raw.send(1, "a", "news")
        await raw.peer.close()
    assert house.seen == [("data", '[1, "a", "news"]')]


async def test_in_messagepack(opened: Open) -> None:
    house = House(endpoints=[{"path": "/ws", "codec": "msgpack"}])
    house.channel("news")
    async with opened(house) as raw:
        pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
        await raw.peer.send(pack([1, "a", "news"]))
        for payload in [*FALSY, b"\x00\xff", {"a": [b""]}]:
            await raw.peer.send(pack([0, "a", "news", payload]))
            message = await raw.peer.receive()
            assert isinstance(message, bytes)
            assert unpack(message) == [0, "a", "news", payload]


@given(
    head=st.lists(st.none() | st.integers(-5, 300) | st.text(max_size=40), max_size=8),
    payload=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
)
def test_enclosing_is_encoding(head: list[Any], payload: Any) -> None:
    for codec in (JsonCodec(), MsgpackCodec()):
        before, after = codec.enclose(*head)
        inner: Any = codec.encode(payload)
        joined: Any = before
        assert codec.decode(joined + inner + after) == [*head, payload]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False)
    | st.sampled_from(["a", "news", "__proto__", "", "constructor"]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["type", "data", "id", "code"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(messages=st.lists(json_values, max_size=12))
def test_any_frames_harm_nobody(messages: list[Any]) -> None:
    """Whatever one client sends, the worst that happens is that it is closed."""

    async def attack() -> None:
        house = House()
        house.channel("news")
        house.channel("__proto__")
        house.events.on("a")(lambda spark, *args: None)
        async with anyio.create_task_group() as group:
            await group.start(house.server.serve)
            bystander = Raw(await house.adapter.connect("/ws"))
            await bystander.send(1, "a", "news")
            peer: MemoryPeer = await house.adapter.connect("/ws")
            for message in messages:
                if peer.closed is None:
                    await peer.send(json.dumps(message))
            assert await bystander.ask(0, "a", "news", 1) == [0, "a", "news", 1]
            peer.drop()
            await anyio.wait_all_tasks_blocked()
            assert len(house.multiplex["news"]) == 1
            group.cancel_scope.cancel()
        assert not [error for error in house.errors if type(error).__module__ == "builtins"]

    anyio.run(attack)
