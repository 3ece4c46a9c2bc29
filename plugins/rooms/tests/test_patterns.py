"""Patterns: what they match, who listens to them, and what they may cost."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unisock import LimitExceeded
from unisock_rooms import Rooms
from unisock_rooms.patterns import Pattern

letters = st.sampled_from("ab:.*+?()[]{}|^$\\/-é👩")
names = st.text(letters, min_size=1, max_size=12)
patterns = st.lists(st.text(letters.filter(lambda letter: letter != "*"), max_size=4), max_size=8)


def reference(pattern: str, name: str) -> bool:
    """What a pattern matches, by an engine of its own."""
    expression = ".*".join(map(re.escape, pattern.split("*")))
    return re.fullmatch(expression, name, re.DOTALL) is not None


@given(patterns.map("*".join).filter(bool), names)
@example("a(*", "a(b")
@example("[", "[")
@example("a*a", "a")
@example("*a*", "a")
@example("a*b*a", "aba")
@example("ab*ba", "aba")
@example("**", "x")
@example("?", "a")
@example(".", "a")
@example("user:*", "user:1:x")
@example("*ab*ab*", "aab")
def test_a_pattern_matches_as_it_should(pattern, name):
    compiled = Pattern(pattern)
    expected = reference(pattern, name)
    assert compiled.matches(name) is expected
    assert compiled.among([name]) == ([name] if expected else [])


@given(patterns.map("*".join).filter(bool), st.data())
def test_a_pattern_matches_what_it_was_made_from(pattern, data):
    parts = pattern.split("*")
    fillings = data.draw(
        st.lists(st.text(letters, max_size=5), min_size=len(parts), max_size=len(parts))
    )
    name = "".join(
        part + (filling if number < len(parts) - 1 else "")
        for number, (part, filling) in enumerate(zip(parts, fillings, strict=True))
    )
    assert Pattern(pattern).matches(name)


def test_patterns_are_bounded():
    Pattern("*" * 8)
    Pattern("x" * 256)
    with pytest.raises(LimitExceeded, match="pattern_wildcards = 8"):
        Pattern("*" * 9)
    with pytest.raises(LimitExceeded, match="pattern_bytes = 256"):
        Pattern("ü" * 129)


def test_no_pattern_takes_long():
    """With a matcher that goes back to try again, this would outlive the machine."""
    hostile = Pattern("*a*a*a*a*a*a*ab")
    assert not hostile.matches("a" * 100_000)
    assert hostile.matches("a" * 100_000 + "b")


@pytest.mark.anyio
class TestMatching:
    async def test_everyone_in_the_rooms_that_match_at_the_time_of_sending(self, house):
        rooms = house.rooms
        (ann, at_ann), (bob, _), (cid, _) = [await house.enter() for _ in range(3)]
        users = rooms.matching("user:*")
        assert len(users) == 0
        rooms.join(ann, "user:1")
        rooms.join(ann, "user:2")
        rooms.join(bob, "user:2:phone")
        rooms.join(cid, "users")
        assert set(users) == {ann, bob}
        assert len(users) == 2
        assert ann in users
        assert cid not in users
        assert "user:1" not in users
        assert (await users.send("once")).sent == 2
        assert json.loads(await at_ann.receive()) == "once"
        rooms.leave_all(bob)
        assert set(users) == {ann}
        assert set(rooms["users"] | users) == {ann, cid}
        assert set(house.server.everyone - users) == {bob, cid}

    async def test_only_the_star_is_special(self, house):
        rooms = house.rooms
        ann, _ = await house.enter()
        for name in ("a(1", "a", "ab", "[", "x*y", "xzy"):
            rooms.join(ann, name)
        for pattern, wanted in [("a(*", 1), ("a?", 0), ("a.", 0), ("[", 1), ("a", 1), ("A*", 0)]:
            assert len(rooms.matching(pattern)) == wanted
        rooms.leave(ann, "xzy")
        assert ann in rooms["x*y"]
        assert ann not in rooms["xzy"]
        assert ann in rooms.matching("x*y")


@pytest.mark.anyio
class TestListening:
    async def test_a_listener_hears_every_room_that_matches(self, house):
        rooms = house.rooms
        (ann, at_ann), (bob, _) = await house.enter(), await house.enter()
        assert rooms.join_pattern(ann, "user:*") is True
        assert rooms.join_pattern(ann, "user:*") is False
        rooms.join(bob, "user:1")
        assert set(rooms["user:1"]) == {ann, bob}
        assert ann in rooms["user:1"]
        assert len(rooms["user:1"]) == 2
        assert (await rooms["user:1"].send("for both")).sent == 2
        assert (await rooms["user:new"].send("for ann")).sent == 1
        assert (await rooms["other"].send("for nobody")).sent == 0
        assert [json.loads(await at_ann.receive()) for _ in range(2)] == ["for both", "for ann"]
        assert set(rooms.any("user:1", "user:2")) == {ann, bob}
        assert set(rooms.matching("*:1")) == {ann, bob}
        assert set(rooms["user:1"] - bob) == {ann}
        assert rooms.leave_pattern(ann, "user:*") is True
        assert rooms.leave_pattern(ann, "user:*") is False
        assert set(rooms["user:1"]) == {bob}

    async def test_one_copy_for_a_listener_that_is_in_the_room_as_well(self, house):
        rooms = house.rooms
        ann, _ = await house.enter()
        rooms.join(ann, "user:1")
        rooms.join_pattern(ann, "user:*")
        rooms.join_pattern(ann, "*:1")
        assert [*rooms["user:1"]] == [ann]
        assert (await rooms["user:1"].send("once")).sent == 1
        rooms.leave(ann, "user:1")
        assert [*rooms["user:1"]] == [ann]

    async def test_a_listener_neither_makes_rooms_nor_events(self, house):
        rooms = house.rooms
        events = []
        rooms.on_join(lambda spark, name: events.append(name))
        rooms.on_leave(lambda spark, name: events.append(name))
        rooms.on_empty(lambda name, channel: events.append(name))
        ann, peer = await house.enter()
        rooms.join_pattern(ann, "*")
        assert len(rooms) == 0
        assert rooms.of(ann) == frozenset()
        assert rooms.patterns_of(ann) == {"*"}
        assert len(rooms.matching("*")) == 0
        assert rooms.leave_all(ann) == frozenset()
        assert rooms.patterns_of(ann) == frozenset()
        assert len(rooms["x"]) == 0
        rooms.join_pattern(ann, "*")
        peer.drop()
        assert len(rooms["x"]) == 0
        assert events == []

    async def test_patterns_that_come_and_go_are_noticed_at_once(self, house):
        rooms = house.rooms
        (ann, _), (bob, peer) = await house.enter(), await house.enter()
        room = rooms["user:1"]
        assert [*room] == []
        rooms.join_pattern(ann, "user:*")
        assert [*room] == [ann]
        rooms.join_pattern(bob, "*:1")
        assert [*room] == [ann, bob]
        rooms.leave_pattern(ann, "user:*")
        assert [*room] == [bob]
        peer.drop()
        assert [*room] == []

    async def test_the_cap_on_patterns(self, open_house):
        async with open_house(Rooms(max_patterns=2)) as house:
            rooms = house.rooms
            (ann, _), (bob, _) = await house.enter(), await house.enter()
            rooms.join_pattern(ann, "a*")
            rooms.join_pattern(ann, "b*")
            with pytest.raises(LimitExceeded, match="max_patterns = 2"):
                rooms.join_pattern(bob, "c*")
            assert rooms.join_pattern(bob, "a*")
            rooms.leave_pattern(ann, "b*")
            assert rooms.join_pattern(bob, "c*")

    async def test_more_rooms_than_are_remembered(self, house, monkeypatch):
        monkeypatch.setattr("unisock_rooms.directory.REMEMBERED", 3)
        rooms = house.rooms
        ann, _ = await house.enter()
        rooms.join_pattern(ann, "even:*")
        for _ in range(2):
            for number in range(10):
                kind = "odd" if number % 2 else "even"
                assert (ann in rooms[f"{kind}:{number}"]) is (kind == "even")
