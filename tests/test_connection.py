"""BufferedConnection and its outbox, on a driver that does as the test says (`connect`)."""

from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unisock.connection import LOST
from unisock.limits import Overflow
from unisock.messages import Close, Origin, Sent, Wire

Connect = Any
BYE = Close(1000, "bye")


# Writing


def test_what_the_driver_takes_is_sent(connect: Connect) -> None:
    driver, _, _ = connect()
    assert driver.write("a") is Sent.SENT
    assert driver.write(("b", b"c")) is Sent.SENT
    assert driver.wire == ["a", "b", b"c"]


def test_what_it_does_not_take_waits_in_order(connect: Connect) -> None:
    driver, _, _ = connect(room=1)
    assert [driver.write(message) for message in "abc"] == [Sent.SENT, Sent.QUEUED, Sent.QUEUED]
    assert driver.wire == ["a"]
    assert driver.backlog == 2
    driver.make_room(1)
    assert driver.wire == ["a", "b"]
    assert driver.write("d") is Sent.QUEUED
    driver.make_room(10)
    assert driver.wire == [*"abcd"]
    assert driver.write("e") is Sent.SENT


def test_what_belongs_together_is_sent_whole_or_not_at_all(connect: Connect) -> None:
    driver, gate, _ = connect(Overflow.DROP_NEWEST, room=1, outbox_bytes=5)
    assert driver.write(("a", "b", "c")) is Sent.SENT  # congested after the first
    assert driver.wire == ["a", "b", "c"]
    assert driver.write(("dd", "ee")) is Sent.QUEUED
    assert driver.write(("f", "g")) is Sent.DROPPED
    driver.make_room(1)
    assert driver.wire == ["a", "b", "c", "dd", "ee"]
    assert gate.dropped == 1


def test_a_driver_may_change_its_mind_at_any_time(connect: Connect) -> None:
    driver, _, _ = connect()
    driver.relieved()
    driver.congested()
    driver.congested()
    assert driver.write("a") is Sent.QUEUED
    driver.relieved()
    driver.relieved()
    assert driver.wire == ["a"]


def test_a_message_larger_than_the_outbox_can_wait_alone(connect: Connect) -> None:
    driver, _, _ = connect(room=1, outbox_bytes=3)
    driver.write("a")
    assert driver.write("long one") is Sent.QUEUED
    assert driver.write("b", Overflow.DROP_NEWEST) is Sent.DROPPED


@pytest.mark.parametrize("limits", [{"outbox_messages": 2}, {"outbox_bytes": 2}])
def test_each_policy_for_a_full_outbox(connect: Connect, limits: dict[str, int]) -> None:
    def full(overflow: Overflow) -> Any:
        driver, gate, ear = connect(overflow, room=1, **limits)
        for message in "abc":
            driver.write(message)
        return driver, gate, ear

    driver, gate, _ = full(Overflow.DROP_NEWEST)
    assert driver.write("d") is Sent.DROPPED
    driver.make_room(10)
    assert (driver.wire, gate.dropped) == ([*"abc"], 1)

    driver, gate, _ = full(Overflow.DROP_OLDEST)
    assert driver.write("d") is Sent.QUEUED
    driver.make_room(10)
    assert (driver.wire, gate.dropped) == ([*"acd"], 1)

    driver, gate, ear = full(Overflow.DISCONNECT)
    assert driver.write("d") is Sent.DROPPED
    assert [close.code for close in driver.shuts] == [4008]
    assert "outbox" in driver.shuts[0].reason
    assert driver.shuts[0].come_back
    driver.make_room(10)
    assert (driver.wire, gate.dropped) == (["a"], 3)
    driver.ended(Close(1000, origin=Origin.PEER))
    assert [close.code for close in ear.heard if isinstance(close, Close)] == [4008]

    driver, gate, _ = full(Overflow.DISCONNECT)
    assert driver.write("d", Overflow.WAIT) is Sent.DROPPED  # not taken: the caller will wait
    assert (driver.shuts, gate.dropped) == ([], 0)


def test_a_policy_for_one_message(connect: Connect) -> None:
    driver, gate, _ = connect(Overflow.DISCONNECT, room=1, outbox_messages=1)
    driver.write("a")
    driver.write("b")
    assert driver.write("c", Overflow.DROP_NEWEST) is Sent.DROPPED
    assert driver.write("d", Overflow.DROP_OLDEST) is Sent.QUEUED
    driver.make_room(10)
    assert (driver.wire, driver.shuts, gate.dropped) == ([*"ad"], [], 2)


ops = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 3)),
    st.tuples(st.just("room"), st.integers(1, 4)),
    st.tuples(st.just("congested"), st.just(0)),
    st.tuples(st.just("relieved"), st.just(0)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it only makes drivers
@given(st.lists(ops, max_size=40), st.sampled_from([Overflow.DROP_NEWEST, Overflow.DROP_OLDEST]))
def test_every_message_is_sent_in_order_or_counted(
    connect: Connect, script: list[tuple[str, int]], overflow: Overflow
) -> None:
    driver, gate, _ = connect(overflow, room=2, outbox_messages=3, outbox_bytes=8)
    accepted: list[Wire] = []
    refused = 0
    for number, (what, amount) in enumerate(script):
        if what == "put":
            wire = tuple(f"{number}.{part}" for part in range(amount))
            if driver.write(wire) is Sent.DROPPED:
                refused += 1
            else:
                accepted.append(wire)
        elif what == "room":
            driver.make_room(amount)
        elif what == "congested":
            driver.congested()
        else:
            driver.relieved()
    driver.make_room(1_000_000)
    sent = [wire for wire in accepted if wire[0] in driver.wire]
    assert driver.wire == [part for wire in sent for part in wire]
    assert gate.dropped == refused + len(accepted) - len(sent)
    assert overflow is Overflow.DROP_OLDEST or sent == accepted
    assert driver.write("clear again") is Sent.SENT


# Whatever happens within a call of the driver


def test_a_message_sent_while_the_outbox_is_flushed_keeps_its_place(connect: Connect) -> None:
    driver, gate, _ = connect(room=1)
    for message in "abc":
        driver.write(message)
    answers: list[Sent] = []

    def answer() -> None:
        driver.meanwhile = lambda: None
        answers.append(driver.write("answer"))

    driver.meanwhile = answer
    driver.make_room(10)
    assert answers == [Sent.QUEUED]
    assert driver.wire == ["a", "b", "c", "answer"]
    assert gate.dropped == 0


def test_closing_while_the_outbox_is_flushed_lets_the_rest_go_first(connect: Connect) -> None:
    driver, _, _ = connect(room=1)
    for message in "abc":
        driver.write(message)
    driver.meanwhile = lambda: driver.close(BYE)
    driver.make_room(10)
    assert driver.wire == [*"abc"]
    assert driver.shuts == [BYE]


@pytest.mark.parametrize("how", ["ended", "fail"])
def test_losing_the_driver_while_the_outbox_is_flushed(connect: Connect, how: str) -> None:
    driver, gate, ear = connect(room=1)
    for message in "abcd":
        driver.write(message)
    driver.meanwhile = lambda: driver.ended(LOST) if how == "ended" else driver.fail(LOST)
    driver.make_room(10)
    assert driver.wire == ["a", "b"]
    assert gate.dropped == 2
    assert ear.heard == [LOST]
    assert driver.shuts == []


def test_room_that_comes_and_goes_within_transmit(connect: Connect) -> None:
    driver, _, _ = connect(room=1)
    for wire in ("a", ("b", "c"), "d", "e"):
        driver.write(wire)

    def flap() -> None:
        driver.congested()
        driver.relieved()

    driver.meanwhile = flap
    driver.make_room(100)
    assert driver.wire == [*"abcde"]
    assert driver.write("f") is Sent.SENT


@pytest.mark.anyio
async def test_drain_waits_for_room(connect: Connect) -> None:
    driver, _, _ = connect(room=1)
    done = anyio.Event()

    async def wait() -> None:
        await driver.drain()
        done.set()

    with anyio.fail_after(30):
        await connect()[0].drain()
        driver.write("a")
        driver.write("b")
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            driver.make_room(1)  # "b" goes, and there is no room again
            await anyio.wait_all_tasks_blocked()
            assert not done.is_set()
            driver.make_room(10)


@pytest.mark.anyio
async def test_to_give_up_waiting_does_no_harm(connect: Connect) -> None:
    driver, _, _ = connect(room=1)
    driver.write("a")
    driver.write("b")
    with anyio.move_on_after(0.01):
        await driver.drain()
    driver.make_room(10)
    assert driver.wire == ["a", "b"]
    assert driver.write("c") is Sent.SENT
