"""What rooms may be called, and how many there may be."""

import json

import anyio
import pytest

from unisock import ConfigError, LimitExceeded, Server
from unisock.memory import MemoryAdapter
from unisock_rooms import Rooms

pytestmark = pytest.mark.anyio


# Names.


@pytest.mark.parametrize(
    "name",
    [
        "0",
        " ",
        "__proto__",
        "constructor",
        "None",
        "user:*",
        "a.b/c",
        "grüße",
        "日本",
        "👩‍💻",
        "x" * 200,
    ],
)
async def test_odd_names_are_names(house, name):
    rooms = house.rooms
    ann, peer = await house.enter()
    assert rooms.join(ann, name)
    assert rooms.of(ann) == {name}
    assert name in rooms
    assert (await rooms[name].send("there")).sent == 1
    assert json.loads(await peer.receive()) == "there"
    assert rooms.leave(ann, name)


@pytest.mark.parametrize("name", ["", "a\nb", "\x00", "\x7f", "\x9f", "\u2028", "\ud800"])
async def test_names_that_no_room_can_have(house, name):
    rooms = house.rooms
    ann, _ = await house.enter()
    for use in (
        lambda: rooms.join(ann, name),
        lambda: rooms.leave(ann, name),
        lambda: rooms[name],
        lambda: rooms.any("fine", name),
    ):
        with pytest.raises(ValueError, match="a room's name cannot"):
            use()
    for use in (
        lambda: rooms.join_pattern(ann, name),
        lambda: rooms.leave_pattern(ann, name),
        lambda: rooms.matching(name),
    ):
        with pytest.raises(ValueError, match="a pattern of room names cannot"):
            use()
    assert name not in rooms
    assert len(rooms) == 0


@pytest.mark.parametrize("name", [None, 0, 5, b"lobby", ["lobby"], {"a": 1}, True])
async def test_a_name_is_a_str(house, name):
    rooms = house.rooms
    ann, _ = await house.enter()
    for use in (
        lambda: rooms.join(ann, name),
        lambda: rooms.leave(ann, name),
        lambda: rooms[name],
        lambda: rooms.any(name),
        lambda: rooms.join_pattern(ann, name),
        lambda: rooms.matching(name),
    ):
        with pytest.raises(TypeError, match=f"is a str, not {type(name).__name__}"):
            use()
    assert name not in rooms


async def test_a_subclass_of_str_is_its_text(house):
    class Name(str):
        def __repr__(self):
            return "odd"

    ann, _ = await house.enter()
    house.rooms.join(ann, Name("lobby"))
    assert repr(house.rooms.of(ann)) == "frozenset({'lobby'})"


async def test_the_arguments_the_wrong_way_round(house):
    ann, _ = await house.enter()
    with pytest.raises(TypeError, match="is a str, not Spark"):
        house.rooms.join("lobby", ann)
    with pytest.raises(TypeError, match="a Spark is wanted, not str"):
        house.rooms.join("lobby", "ann")


# Caps.


async def test_the_cap_on_rooms_of_a_spark_counts_patterns_too(open_house):
    async with open_house(limits={"rooms_per_spark": 3}) as house:
        rooms = house.rooms
        ann, _ = await house.enter()
        rooms.join(ann, "a")
        rooms.join(ann, "b")
        rooms.join_pattern(ann, "c:*")
        for use in (lambda: rooms.join(ann, "d"), lambda: rooms.join_pattern(ann, "d:*")):
            with pytest.raises(LimitExceeded, match="rooms_per_spark = 3") as caught:
                use()
            assert (caught.value.limit, caught.value.maximum) == ("rooms_per_spark", 3)
        assert rooms.join(ann, "a") is False
        assert "d" not in rooms
        assert len(rooms["d:1"]) == 0
        rooms.leave(ann, "a")
        assert rooms.join(ann, "d")


async def test_the_cap_on_names_is_in_bytes_and_by_endpoint(open_house):
    endpoints = [{"path": "/ws"}, {"path": "/short", "limits": {"room_name_bytes": 8}}]
    async with open_house(endpoints=endpoints) as house:
        rooms = house.rooms
        (ann, _), (bob, _) = await house.enter(), await house.enter("/short")
        assert rooms.join(ann, "ü" * 100)
        with pytest.raises(LimitExceeded, match="room_name_bytes = 200"):
            rooms.join(ann, "ü" * 100 + "x")
        assert rooms.join(bob, "ü" * 4)
        assert rooms.join(ann, "12345678x")
        for name in ("ü" * 5, "12345678x", "x" * 1_000_000):
            with pytest.raises(LimitExceeded, match="room_name_bytes = 8"):
                rooms.join(bob, name)
        with pytest.raises(LimitExceeded, match="room_name_bytes = 8"):
            rooms.join_pattern(bob, "12345678*")


async def test_the_cap_on_all_rooms(open_house):
    async with open_house(Rooms(max_rooms=2)) as house:
        rooms = house.rooms
        (ann, _), (bob, _) = await house.enter(), await house.enter()
        rooms.join(ann, "a")
        rooms.join(ann, "b")
        with pytest.raises(LimitExceeded, match="max_rooms = 2"):
            rooms.join(bob, "c")
        assert rooms.of(bob) == frozenset()
        assert rooms.join(bob, "b")
        rooms.leave(ann, "a")
        assert rooms.join(bob, "c")


@pytest.mark.parametrize("option", ["max_rooms", "max_patterns"])
@pytest.mark.parametrize("value", [0, -1, "many", 1.5, True, None])
def test_options_that_are_no_numbers(option, value):
    with pytest.raises(ConfigError, match=f"options.rooms.{option} is a whole number") as caught:
        Rooms(**{option: value})
    assert caught.value.key == f"options.rooms.{option}"


async def test_a_configuration_can_name_the_plugin_and_its_options():
    adapter = MemoryAdapter()
    server = Server(
        adapter=adapter, folder=None, plugins=["rooms"], options={"rooms": {"max_rooms": 1}}
    )
    rooms, refused = server.plugin(Rooms), []

    @server.on_open
    def enter(spark):
        rooms.join(spark, "first")
        try:
            rooms.join(spark, "second")
        except LimitExceeded as error:
            refused.append(error.limit)

    async with anyio.create_task_group() as group:
        await group.start(server.serve)
        await adapter.connect()
        assert [*rooms] == ["first"]
        assert refused == ["max_rooms"]
        group.cancel_scope.cancel()


@pytest.mark.parametrize("options", [{"most": 1}, {"max_rooms": "many"}])
def test_wrong_options_in_a_configuration(options):
    server = Server(folder=None, plugins=["rooms"], options={"rooms": options})
    with pytest.raises(ConfigError, match=r"^options\.rooms"):
        server.plugin(Rooms)
