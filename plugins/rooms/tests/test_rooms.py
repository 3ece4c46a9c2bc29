"""Joining, leaving, and who is where."""

import json
from collections import Counter

import anyio
import pytest

from unisock import ConfigError, ConnectionClosed, Server, hookimpl
from unisock.codecs import JsonCodec
from unisock.memory import MemoryAdapter
from unisock_rooms import Rooms

pytestmark = pytest.mark.anyio


# Joining and leaving.


async def test_who_joined_is_in_the_room_and_who_left_is_not(house):
    rooms = house.rooms
    (ann, _), (bob, _) = await house.enter(), await house.enter()
    assert rooms.join(ann, "lobby")
    assert rooms.join(bob, "lobby")
    assert set(rooms["lobby"]) == {ann, bob}
    assert rooms.leave(ann, "lobby")
    assert set(rooms["lobby"]) == {bob}
    assert ann not in rooms["lobby"]
    assert bob in rooms["lobby"]


async def test_joining_twice_is_one_membership(house):
    rooms = house.rooms
    ann, _ = await house.enter()
    assert rooms.join(ann, "lobby") is True
    assert rooms.join(ann, "lobby") is False
    assert len(rooms["lobby"]) == 1
    assert rooms.leave(ann, "lobby") is True
    assert rooms.leave(ann, "lobby") is False
    assert "lobby" not in rooms


async def test_a_spark_knows_its_rooms(house):
    rooms = house.rooms
    ann, _ = await house.enter()
    assert rooms.of(ann) == frozenset()
    for name in ("a", "b", "c"):
        rooms.join(ann, name)
    assert rooms.of(ann) == {"a", "b", "c"}
    rooms.leave(ann, "b")
    assert rooms.of(ann) == {"a", "c"}
    assert rooms.leave_all(ann) == {"a", "c"}
    assert rooms.of(ann) == frozenset()
    assert rooms.leave_all(ann) == frozenset()


@pytest.mark.parametrize("number", [1, 2, 8, 9, 20])
async def test_a_spark_leaves_its_rooms_in_any_order(house, number):
    rooms = house.rooms
    ann, _ = await house.enter()
    names = [f"room {index}" for index in range(number)]
    for name in names:
        rooms.join(ann, name)
    assert rooms.of(ann) == set(names)
    left = names[1::2] + names[::2]
    while left:
        assert rooms.leave(ann, left.pop())
        assert rooms.of(ann) == set(left)
        assert set(rooms) == set(left)
    assert rooms.join(ann, "again")
    assert rooms.of(ann) == {"again"}


async def test_the_collection_is_the_rooms_that_exist(house):
    rooms = house.rooms
    (ann, _), (bob, _) = await house.enter(), await house.enter()
    assert rooms
    assert len(rooms) == 0
    rooms.join(ann, "a")
    rooms.join(bob, "a")
    rooms.join(bob, "b")
    assert sorted(rooms) == ["a", "b"]
    assert len(rooms) == 2
    assert "a" in rooms
    assert "c" not in rooms
    assert 5 not in rooms
    rooms.leave_all(bob)
    assert [*rooms] == ["a"]


async def test_members_may_move_while_the_room_is_read(house):
    rooms = house.rooms
    for _ in range(3):
        rooms.join((await house.enter())[0], "lobby")
    for spark in rooms["lobby"]:
        rooms.leave(spark, "lobby")
        rooms.join(spark, "game")
    assert len(rooms["game"]) == 3
    for name in rooms:
        for spark in rooms[name]:
            rooms.leave(spark, name)
    assert len(rooms) == 0


async def test_a_missing_room_is_an_empty_audience_until_somebody_joins(house):
    rooms = house.rooms
    ann, peer = await house.enter()
    lobby = rooms["lobby"]
    assert [*lobby] == []
    assert not lobby
    assert (await lobby.send("nobody hears")).sent == 0
    assert "lobby" not in rooms
    rooms.join(ann, "lobby")
    assert (await lobby.send("hello")).sent == 1
    assert json.loads(await peer.receive()) == "hello"


async def test_what_is_shown_of_rooms(house):
    rooms = house.rooms
    ann, _ = await house.enter()
    rooms.join(ann, "lobby")
    assert repr(rooms["lobby"]) == "<Room 'lobby' of 1>"
    assert repr(rooms.any("lobby", "x")) == "<Rooms 'lobby', 'x' of 1>"
    assert repr(rooms.matching("l*")) == "<Rooms like 'l*' of 1>"
    assert repr(rooms) == "<Rooms: 1>"


# Sending.


async def test_one_copy_for_each_spark_over_many_rooms(house):
    rooms = house.rooms
    (ann, at_ann), (bob, at_bob) = await house.enter(), await house.enter()
    for name in ("a", "b", "c"):
        rooms.join(ann, name)
    rooms.join(bob, "c")
    for audience in (rooms.any("a", "b", "c"), rooms["a"] | rooms["b"] | rooms["c"]):
        assert len(audience) == 2
        assert (await audience.send("once")).sent == 2
    assert len(rooms.any()) == 0
    await ann.send("end")
    await bob.send("end")
    assert [json.loads(await at_ann.receive()) for _ in range(3)] == ["once", "once", "end"]
    assert [json.loads(await at_bob.receive()) for _ in range(3)] == ["once", "once", "end"]


async def test_rooms_combine_with_sparks_and_with_each_other(house):
    rooms = house.rooms
    (ann, at_ann), (bob, at_bob), (cid, _) = [await house.enter() for _ in range(3)]
    for spark in (ann, bob):
        rooms.join(spark, "x")
    for spark in (bob, cid):
        rooms.join(spark, "y")
    x, y = rooms["x"], rooms["y"]
    assert set(x - ann) == {bob}
    assert set(x & y) == {bob}
    assert set(x | cid) == {ann, bob, cid}
    assert set(house.server.everyone - x) == {cid}
    assert set((x | y) - (x & y)) == {ann, cid}
    assert set(ann & x) == {ann}
    assert set(x - rooms.matching("y*")) == {ann}
    await (x - ann).send("for bob")
    await ann.send("for ann")
    assert json.loads(await at_bob.receive()) == "for bob"
    assert json.loads(await at_ann.receive()) == "for ann"


async def test_a_broadcast_is_encoded_once_for_each_endpoint(open_house, monkeypatch):
    calls = Counter()
    encode = JsonCodec.encode

    def counting(self, payload):
        calls[payload["text"]] += 1
        return encode(self, payload)

    monkeypatch.setattr(JsonCodec, "encode", counting)
    async with open_house(endpoints=[{"path": "/ws"}, {"path": "/too"}]) as house:
        peers = []
        for number in range(20):
            spark, peer = await house.enter("/ws" if number % 4 else "/too")
            house.rooms.join(spark, "lobby")
            peers.append(peer)
        delivery = await house.rooms["lobby"].send({"text": "hello"})
        assert delivery.sent == 20
        assert calls == {"hello": 2}
        for peer in peers:
            assert json.loads(await peer.receive()) == {"text": "hello"}


# The end of a spark.


@pytest.mark.parametrize("how", ["drop", "close", "kick"])
async def test_who_is_gone_is_in_no_audience_but_on_close_knows_where_it_was(house, how):
    rooms = house.rooms
    (ann, peer), (bob, _) = await house.enter(), await house.enter()
    for name in ("a", "b"):
        rooms.join(ann, name)
    rooms.join(bob, "b")
    rooms.join_pattern(ann, "x*")
    seen = []

    @house.rooms.on_leave
    def left(spark, name):
        seen.append((name, spark in rooms["a"], spark in rooms["b"], rooms.of(spark)))

    if how == "drop":
        peer.drop()
    elif how == "close":
        await peer.close()
    else:
        await ann.close()
    assert seen == [(name, False, False, {"a", "b"}) for name in ("a", "b")]
    assert house.at_close == [(ann, {"a", "b"})]
    assert rooms.of(ann) == rooms.patterns_of(ann) == frozenset()
    assert [*rooms] == ["b"]
    assert [*rooms["b"]] == [bob]
    assert len(rooms["x1"]) == 0


async def test_joining_after_the_end(house):
    ann, peer = await house.enter()
    await peer.close(3001, "bye")
    for use in (house.rooms.join, house.rooms.join_pattern):
        with pytest.raises(ConnectionClosed) as caught:
            use(ann, "lobby")
        assert (caught.value.code, caught.value.reason) == (3001, "bye")
    assert house.rooms.leave(ann, "lobby") is False
    assert house.rooms.leave_all(ann) == frozenset()
    assert len(house.rooms) == 0


async def test_who_is_turned_out_while_it_comes_in_is_forgotten():
    rooms, adapter = Rooms(), MemoryAdapter()
    server = Server(adapter=adapter, folder=None, plugins=[rooms])
    too_late = []

    @server.on_open
    def turn_out(spark):
        rooms.join(spark, "lobby")
        spark.close_nowait(4000)
        try:
            rooms.join(spark, "backdoor")
        except ConnectionClosed as closed:
            too_late.append(closed.code)

    async with anyio.create_task_group() as group:
        await group.start(server.serve)
        peer = await adapter.connect()
        assert peer.closed is not None
        assert peer.closed.code == 4000
        assert too_late == [4000]
        assert len(rooms) == 0
        group.cancel_scope.cancel()


async def test_members_that_go_while_a_message_goes_round(house):
    rooms = house.rooms
    members = [await house.enter() for _ in range(5)]
    for spark, _ in members:
        rooms.join(spark, "lobby")
    lobby = iter(rooms["lobby"])
    next(lobby)
    members[2][1].drop()
    assert len([*lobby]) == 4
    assert len(rooms["lobby"]) == 4
    delivery = await rooms["lobby"].send("still here?")
    assert (delivery.sent, delivery.dropped) == (4, 0)


async def test_another_plugin_can_neither_see_nor_join_a_closed_spark():
    class Other:
        @hookimpl
        def unisock_close(self, spark):
            found.append((spark in rooms["lobby"], rooms.of(spark)))
            with pytest.raises(ConnectionClosed):
                rooms.join(spark, "lobby")

    found = []
    rooms, adapter = Rooms(), MemoryAdapter()
    server = Server(adapter=adapter, folder=None, plugins=[rooms, Other()])

    @server.on_open
    def enter(spark):
        rooms.join(spark, "lobby")

    async with anyio.create_task_group() as group:
        await group.start(server.serve)
        (await adapter.connect()).drop()
        assert found == [(False, {"lobby"})]
        assert len(rooms) == 0
        group.cancel_scope.cancel()


# Servers.


async def test_equal_names_in_two_servers_are_two_rooms(open_house):
    async with open_house() as here, open_house() as there:
        (ann, _), (bob, _) = await here.enter(), await there.enter()
        here.rooms.join(ann, "lobby")
        there.rooms.join(bob, "lobby")
        assert [*here.rooms["lobby"]] == [ann]
        assert [*there.rooms["lobby"]] == [bob]
        with pytest.raises(ConfigError, match="client of another server"):
            here.rooms.join(bob, "lobby")


async def test_one_object_serves_one_server_at_a_time(open_house):
    async with open_house() as house:
        ann, _ = await house.enter()
        house.rooms.join(ann, "lobby")
        other = Server(adapter=MemoryAdapter(), folder=None, plugins=[house.rooms])
        with pytest.raises(ConfigError, match="serves another server"):
            async with other:
                pass
        assert [*house.rooms["lobby"]] == [ann]
    async with open_house(house.rooms) as again:
        assert len(again.rooms) == 0
        bob, _ = await again.enter()
        assert again.rooms.join(bob, "lobby")


async def test_a_server_that_was_not_given_the_plugin(open_house):
    stray = Rooms()
    async with open_house() as house:
        ann, _ = await house.enter()
        with pytest.raises(ConfigError, match=r"Server\(plugins=\[rooms\]\)"):
            stray.join(ann, "lobby")
