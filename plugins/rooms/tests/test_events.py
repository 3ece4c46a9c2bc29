"""What the application is told."""

import logging

import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
def told(house):
    """All events, as lines."""
    lines = []
    rooms = house.rooms
    rooms.on_join(lambda spark, name: lines.append(f"join {name}"))
    rooms.on_leave(lambda spark, name: lines.append(f"leave {name}"))
    rooms.on_empty(lambda name, channel: lines.append(f"empty {name}"))
    return lines


async def test_the_order_of_events(house, told):
    rooms = house.rooms
    (ann, _), (bob, peer) = await house.enter(), await house.enter()
    rooms.join(ann, "a")
    rooms.join(ann, "a")
    rooms.join(bob, "a")
    rooms.join(bob, "b")
    rooms.leave(ann, "a")
    rooms.leave(ann, "a")
    assert told == ["join a", "join a", "join b", "leave a"]
    told.clear()
    peer.drop()
    assert told == ["leave a", "empty a", "leave b", "empty b"]
    told.clear()
    rooms.join(ann, "x")
    rooms.join(ann, "y")
    rooms.leave_all(ann)
    assert told == ["join x", "join y", "leave x", "empty x", "leave y", "empty y"]


async def test_a_function_sees_the_room_as_it_is(house):
    rooms = house.rooms
    ann, _ = await house.enter()
    seen = []

    @rooms.on_join
    def joined(spark, name):
        seen.append((spark is ann, spark in rooms[name], rooms.of(spark)))

    @rooms.on_leave
    def left(spark, name):
        seen.append((spark is ann, spark in rooms[name], rooms.of(spark)))

    @rooms.on_empty
    def emptied(name, channel):
        seen.append(name in rooms)

    rooms.join(ann, "a")
    rooms.leave(ann, "a")
    assert seen == [(True, True, {"a"}), (True, False, frozenset()), False]


async def test_an_exception_is_logged_and_costs_nobody_else(house, caplog):
    rooms = house.rooms

    @rooms.on_join
    def broken(spark, name):
        raise RuntimeError("no presence today")

    told = []
    rooms.on_join(lambda spark, name: told.append(name))
    ann, _ = await house.enter()
    with caplog.at_level(logging.ERROR, "unisock.rooms"):
        assert rooms.join(ann, "a") is True
    assert told == ["a"]
    assert ann in rooms["a"]
    assert ann.closed is None
    assert "no presence today" in caplog.text
    assert ann.id in caplog.text
    assert rooms.join(ann, "b")
    assert told == ["a", "b"]


async def test_no_function_hears_of_events_the_wrong_way_round(house, told):
    """Even if the first function undoes what it is told of."""
    rooms = house.rooms
    late = []

    @rooms.on_join
    def bounce(spark, name):
        if name == "full":
            rooms.leave(spark, name)
            rooms.join(spark, "overflow")

    rooms.on_join(lambda spark, name: late.append(f"join {name}"))
    rooms.on_leave(lambda spark, name: late.append(f"leave {name}"))
    ann, _ = await house.enter()
    rooms.join(ann, "full")
    assert told == ["join full", "leave full", "empty full", "join overflow"]
    assert late == ["join full", "leave full", "join overflow"]
    assert rooms.of(ann) == {"overflow"}


async def test_a_member_that_is_cut_off_by_an_event(house, told):
    rooms = house.rooms

    @rooms.on_join
    def bouncer(spark, name):
        spark.close_nowait(4403, "members only")

    ann, peer = await house.enter()
    rooms.join(ann, "club")
    await ann.connection.wait_closed()
    assert peer.closed.code == 4403
    assert told == ["join club", "leave club", "empty club"]
    assert len(rooms) == 0


async def test_functions_are_plain(house):
    async def later(spark, name): ...

    with pytest.raises(TypeError, match=r"@rooms.on_join takes a plain def, and .*later is async"):
        house.rooms.on_join(later)
    with pytest.raises(TypeError, match=r"@rooms.on_empty goes on a function"):
        house.rooms.on_empty(None)

    def plain(spark, name): ...

    assert house.rooms.on_leave(plain) is plain
