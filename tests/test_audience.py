"""Audiences: who is in them, and what one send to many does."""

import json
from ast import literal_eval
from collections import Counter
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import pytest

from unisock import (
    DROP,
    Audience,
    Data,
    Delivery,
    EncodeError,
    Event,
    Overflow,
    Server,
)
from unisock.audience import audience
from unisock.codecs import JsonCodec
from unisock.memory import HIGH_WATER, MemoryAdapter

pytestmark = pytest.mark.anyio

BIG = "x" * HIGH_WATER
"""One such message, and a client that does not read is slow."""


class House:
    """A running server, its sparks in the order in which they came, and their clients."""

    def __init__(self, server, adapter):
        self.server = server
        self.adapter = adapter
        self.sparks = []
        self.peers = []
        server.on_open(self.sparks.append)

    async def enter(self, number=1, target="/ws"):
        """New clients; returns the server's ends."""
        for _ in range(number):
            self.peers.append(await self.adapter.connect(target))
        return self.sparks[-number:]

    @property
    def everyone(self):
        return self.server.everyone


class Group(Audience):
    """The smallest audience that somebody could write."""

    def __init__(self, *members):
        self.members = members

    def __iter__(self):
        return iter(self.members)

    def __contains__(self, recipient):
        return recipient in self.members


@asynccontextmanager
async def open_house(prepare=lambda server: None, **settings):
    settings.setdefault("endpoints", [{"path": "/ws"}])
    adapter = MemoryAdapter()
    server = Server(adapter=adapter, folder=None, **settings)
    house = House(server, adapter)
    prepare(server)
    async with anyio.create_task_group() as group:
        await group.start(server.serve)
        yield house
        group.cancel_scope.cancel()


@pytest.fixture
async def house(anyio_backend):
    async with open_house() as house:
        yield house


async def heard(peer, number):
    """The next messages of a client."""
    with anyio.fail_after(30):
        return [json.loads(await peer.receive()) for _ in range(number)]


# Who is in it.


async def test_combinations_are_those_of_sets(house):
    a, b, c, d = await house.enter(4)
    left, right = Group(a, b, c), Group(b, c, d)
    for made, wanted in [
        (left | right, {a, b, c, d}),
        (left & right, {b, c}),
        (left - right, {a}),
        (right - left, {d}),
        (left | d, {a, b, c, d}),
        (left - a, {b, c}),
        (left & a, {a}),
        (a | b, {a, b}),
        (a - a, set()),
        (a & b, set()),
        (a - left, set()),
        (house.everyone - left, {d}),
        ((left | right) - (left & right), {a, d}),
        (left & (right - b), {c}),
        (house.everyone - (a | (right & c)), {b, d}),
        (audience(a), {a}),
        (audience(left), {a, b, c}),
    ]:
        assert set(made) == wanted
        assert len(made) == len([*made]) == len(wanted)
        look_up = made.lookup()
        for spark in (a, b, c, d):
            assert (spark in made) is look_up(spark) is (spark in wanted)


async def test_an_audience_is_read_anew_each_time(house):
    (ann,) = await house.enter()
    others = house.everyone - ann
    assert len(others) == 0
    (bob,) = await house.enter()
    assert [*others] == [bob]
    house.peers[1].drop()
    assert [*others] == []


async def test_members_may_change_while_it_is_read(house):
    a, b, c = await house.enter(3)
    group = Group(a, b)
    for made in (house.everyone - c, house.everyone & group, group | c):
        reading = iter(made)
        next(reading)
        await house.enter()
        assert len([*reading]) in (1, 2)


async def test_what_is_no_audience(house):
    (ann,) = await house.enter()
    for use, shown in [
        (lambda what: audience(what), "'lobby'"),
        (lambda what: house.everyone - what, "None"),
        (lambda what: ann | what, "5"),
    ]:
        with pytest.raises(TypeError, match=f"made of sparks, rooms and audiences, not {shown}"):
            use(literal_eval(shown))


async def test_what_is_shown_of_audiences(house):
    (ann,) = await house.enter()
    assert repr(house.everyone - ann) == f"Difference(<Hub of 1 sparks>, {ann!r})"


# One send to many.


async def test_everyone_gets_a_copy_in_order(house):
    await house.enter(3)
    assert await house.everyone.send("one") == Delivery(sent=3)
    assert house.everyone.send_nowait("two") == Delivery(sent=3)
    assert house.everyone.send_packet_nowait(Data("three")) == Delivery(sent=3)
    for peer in house.peers:
        assert await heard(peer, 3) == ["one", "two", "three"]


async def test_encoded_once_for_each_endpoint(monkeypatch):
    calls = Counter()
    encode = JsonCodec.encode

    def counting(self, payload):
        calls[payload] += 1
        return encode(self, payload)

    monkeypatch.setattr(JsonCodec, "encode", counting)
    endpoints = [{"path": "/ws"}, {"path": "/b"}, {"path": "/m", "codec": "msgpack"}]
    async with open_house(endpoints=endpoints) as house:
        for target in ("/ws", "/b", "/m") * 5:
            await house.enter(1, target)
        await house.everyone.send("hello")
        assert calls == {"hello": 2}


async def test_who_is_gone_is_counted_as_dropped(house):
    ann, bob = await house.enter(2)
    house.peers[0].drop()
    assert await Group(ann, bob).send("hello") == Delivery(sent=1, dropped=1)


async def test_a_payload_without_a_form_for_some_reaches_all_others():
    endpoints = [{"path": "/ws"}, {"path": "/text", "codec": "text"}]
    async with open_house(endpoints=endpoints) as house:
        await house.enter(2, "/text")
        await house.enter(2, "/ws")
        for overflow in (None, Overflow.WAIT):
            with pytest.raises(EncodeError):
                await house.everyone.send({"a": 1}, overflow)
            for peer in house.peers[2:]:
                assert await heard(peer, 1) == [{"a": 1}]
        with pytest.raises(EncodeError, match="the text codec sends str"):
            house.everyone.send_packet_nowait(Event("x"))


# Transforms.


async def test_those_who_get_the_same_share_it(monkeypatch):
    calls = Counter()
    encode = JsonCodec.encode

    def counting(self, payload):
        calls[payload] += 1
        return encode(self, payload)

    monkeypatch.setattr(JsonCodec, "encode", counting)
    shouted = "HELLO"

    def prepare(server):
        @server.outgoing
        def transform(spark, payload):
            kind = spark.state.get("kind")
            return {"loud": shouted, "deaf": DROP}.get(kind, payload)

    async with open_house(prepare) as house:
        sparks = await house.enter(6)
        for spark, kind in zip(sparks, ["loud", "plain", "deaf"] * 2, strict=True):
            spark.state["kind"] = kind
        assert await house.everyone.send("hello") == Delivery(sent=4, dropped=2)
        assert calls == {"hello": 1, shouted: 1}
        assert await heard(house.peers[0], 1) == [shouted]
        assert await heard(house.peers[1], 1) == ["hello"]


async def test_a_transform_that_fails_for_one_costs_no_other():
    def prepare(server):
        @server.outgoing
        def transform(spark, payload):
            return payload + spark.state["suffix"]

    async with open_house(prepare) as house:
        sparks = await house.enter(3)
        sparks[0].state["suffix"] = sparks[2].state["suffix"] = "!"
        for overflow in (None, Overflow.WAIT):
            with pytest.raises(KeyError, match="suffix"):
                await house.everyone.send("hello", overflow)
            assert await heard(house.peers[0], 1) == await heard(house.peers[2], 1) == ["hello!"]


async def test_async_transforms_keep_the_order():
    def prepare(server):
        @server.outgoing
        async def transform(spark, payload):
            await anyio.lowlevel.checkpoint()
            return payload * 2

    async with open_house(prepare) as house:
        await house.enter(2)
        assert await house.everyone.send("a") == Delivery(queued=2)
        assert await house.everyone.send("b") == Delivery(queued=2)
        for peer in house.peers:
            assert await heard(peer, 2) == ["aa", "bb"]


# Slow clients.

SMALL = {"outbox_messages": 2}


async def fill(house, spark):
    """Let a client's outbox be full; returns how many messages it has to read."""
    number = 0
    while spark.send_nowait(BIG, Overflow.WAIT):
        number += 1
    return number


async def test_a_slow_client_holds_up_nobody():
    async with open_house(limits=SMALL) as house:
        slow, _, _ = await house.enter(3)
        await fill(house, slow)
        delivery = await house.everyone.send("news", Overflow.DROP_NEWEST)
        assert delivery == Delivery(sent=2, dropped=1)
        for peer in house.peers[1:]:
            assert await heard(peer, 1) == ["news"]


@pytest.mark.parametrize("by_setting", [False, True])
async def test_waiting_for_the_slow_after_all_others(by_setting):
    settings = {"overflow": "wait"} if by_setting else {}
    overflow = None if by_setting else Overflow.WAIT
    runs = []

    def prepare(server):
        @server.outgoing
        def transform(spark, payload):
            runs.append(payload)
            return payload

    async with open_house(prepare, limits=SMALL, **settings) as house:
        slow, _, _ = await house.enter(3)
        waiting = await fill(house, slow)
        runs.clear()
        deliveries = []

        async def send():
            deliveries.append(await house.everyone.send("news", overflow))

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            for peer in house.peers[1:]:
                assert await heard(peer, 1) == ["news"]
            assert deliveries == []
            assert (await heard(house.peers[0], waiting + 1))[-1] == "news"
        assert deliveries == [Delivery(sent=3)]
        assert runs == ["news"] * 3
        assert house.server.gateway.dropped == 0


async def test_waiting_for_one_that_goes():
    async with open_house(limits=SMALL) as house:
        slow, _ = await house.enter(2)
        await fill(house, slow)
        deliveries = []

        async def send():
            deliveries.append(await house.everyone.send("news", Overflow.WAIT))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(send)
                assert await heard(house.peers[1], 1) == ["news"]
                house.peers[0].drop()
        assert deliveries == [Delivery(sent=1, dropped=1)]


async def test_not_waiting_is_counted_even_if_the_setting_is_to_wait():
    async with open_house(limits=SMALL, overflow="wait") as house:
        slow, _ = await house.enter(2)
        await fill(house, slow)
        assert house.everyone.send_nowait("news") == Delivery(sent=1, dropped=1)
        assert house.server.gateway.dropped == 1


async def test_waiting_behind_an_async_transform():
    def prepare(server):
        @server.outgoing
        async def transform(spark, payload):
            return payload

    async with open_house(prepare, limits=SMALL) as house:
        (slow,) = await house.enter()
        for _ in range(SMALL["outbox_messages"]):
            assert slow.send_nowait("before")
        assert not slow.send_nowait("too many")
        with anyio.fail_after(30):
            assert await house.everyone.send("news", Overflow.WAIT) == Delivery(sent=1)
        assert await heard(house.peers[0], 3) == ["before", "before", "news"]


async def test_many_as_one_audience() -> None:
    async with open_house() as house:
        await house.enter(3)
        one, two, three = house.everyone
        some = audience(one, two, one)
        assert [*some] == [one, two]
        assert (len(some), one in some, three in some) == (2, True, False)
        assert {*audience(one, house.everyone - two)} == {one, three}
        assert [*audience(two)] == [two]
        assert [*audience()] == []
        with pytest.raises(TypeError, match="sparks, rooms and audiences"):
            audience(one, cast("Any", "two"))
