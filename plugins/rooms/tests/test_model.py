"""Rooms compared with plain dictionaries, whatever clients do."""

import gc
import re
import weakref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.anyio

NAMES = ("a", "ab", "b:1", "b:2", "a*", "(")
PATTERNS = ("*", "a*", "b:*", "*:1", "(*")
WHO = st.integers(0, 3)

steps = st.one_of(
    st.tuples(st.just("join"), WHO, st.sampled_from(NAMES)),
    st.tuples(st.just("leave"), WHO, st.sampled_from(NAMES)),
    st.tuples(st.just("join_pattern"), WHO, st.sampled_from(PATTERNS)),
    st.tuples(st.just("leave_pattern"), WHO, st.sampled_from(PATTERNS)),
    st.tuples(st.just("leave_all"), WHO, st.none()),
    st.tuples(st.just("replace"), WHO, st.none()),
)


def like(pattern, name):
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None


class Model:
    """What rooms should know, and what their events should have told."""

    def __init__(self):
        self.rooms = {}
        self.listens = {}
        self.events = []

    def change(self, action, who, what):
        """What the call should return."""
        mine = self.rooms.setdefault(who, [])
        if action in ("join", "join_pattern"):
            kept = mine if action == "join" else self.listens.setdefault(who, [])
            if what in kept:
                return False
            kept.append(what)
            if action == "join":
                self.events.append(("join", who, what))
            return True
        if action == "leave_pattern":
            listens = self.listens.setdefault(who, [])
            return what in listens and not listens.remove(what)
        left = [*mine] if what is None else [what] if what in mine else []
        for name in left:
            mine.remove(name)
        for name in left:
            self.events.append(("leave", who, name))
            if name not in self.names():
                self.events.append(("empty", name))
        if what is None:
            self.listens.pop(who, None)
            return frozenset(left)
        return bool(left)

    def names(self):
        return {name for names in self.rooms.values() for name in names}

    def hear(self, name):
        return {who for who, names in self.rooms.items() if name in names} | {
            who for who, mine in self.listens.items() if any(like(text, name) for text in mine)
        }


@given(st.lists(steps, max_size=30))
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_like_plain_dictionaries(open_house, program):
    model = Model()
    async with open_house() as house:
        rooms, events = house.rooms, []
        rooms.on_join(lambda spark, name: events.append(("join", spark, name)))
        rooms.on_leave(lambda spark, name: events.append(("leave", spark, name)))
        rooms.on_empty(lambda name, channel: events.append(("empty", name)))
        clients = [await house.enter() for _ in range(4)]
        for action, number, what in program:
            spark, peer = clients[number]
            if action == "replace":
                model.change("leave_all", spark, None)
                peer.drop()
                clients[number] = await house.enter()
            else:
                arguments = (spark,) if what is None else (spark, what)
                assert getattr(rooms, action)(*arguments) == model.change(action, spark, what)
            assert events == model.events
            assert set(rooms) == model.names()
            assert len(rooms) == len(model.names())
            for spark, _ in clients:
                assert rooms.of(spark) == set(model.rooms.get(spark, ()))
                assert rooms.patterns_of(spark) == set(model.listens.get(spark, ()))
            for name in NAMES:
                assert (name in rooms) is (name in model.names())
                room, wanted = rooms[name], model.hear(name)
                assert set(room) == wanted
                assert len(room) == len([*room]) == len(wanted)
                assert all((spark in room) is (spark in wanted) for spark, _ in clients)
            for pattern in PATTERNS:
                matching = [model.hear(name) for name in model.names() if like(pattern, name)]
                assert set(rooms.matching(pattern)) == set().union(*matching)
            assert set(rooms.any(*NAMES[:3])) == set().union(*map(model.hear, NAMES[:3]))


async def test_a_thousand_clients_leave_nothing_behind(house):
    rooms = house.rooms
    witnesses = []

    async def come_and_go(number):
        spark, peer = await house.enter()
        for name in ("lobby", f"user:{number}", f"odd:{number % 2}"):
            rooms.join(spark, name)
        rooms.join_pattern(spark, f"user:{number % 50}*")
        witnesses.append(weakref.ref(spark))
        if number % 3:
            peer.drop()
        else:
            await peer.close()

    for number in range(1000):
        await come_and_go(number)
        assert len(rooms) == 0
    house.at_close.clear()
    gc.collect()
    assert [*rooms] == []
    assert len(rooms["lobby"]) == len(rooms["user:1"]) == len(rooms.matching("*")) == 0
    assert sum(witness() is not None for witness in witnesses) == 0
