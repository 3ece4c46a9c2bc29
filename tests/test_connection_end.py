"""How a BufferedConnection ends: closed in good order, cut off, lost, or found dead."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from unisock.connection import LOST
from unisock.errors import ClosedByPeer, ClosedLocally, ConnectionLost
from unisock.limits import Heartbeat
from unisock.messages import Close, Origin, Sent

Connect = Any
BYE = Close(1000, "bye")


# Closing


def test_what_was_sent_before_goes_before_the_close(connect: Connect) -> None:
    driver, _, _ = connect(room=1)
    for message in "abc":
        driver.write(message)
    driver.close(BYE)
    assert driver.write("too late") is Sent.DROPPED
    assert driver.shuts == []
    driver.make_room(1)
    assert driver.shuts == []
    driver.make_room(10)
    assert driver.wire == [*"abc"]
    assert driver.shuts == [BYE]


def test_the_close_frame_may_congest_the_driver_too(connect: Connect) -> None:
    driver, _, _ = connect()
    driver.close(BYE)
    driver.congested()
    driver.relieved()
    assert driver.shuts == [BYE]


def test_a_second_close_changes_nothing(connect: Connect) -> None:
    driver, gate, ear = connect()
    driver.close(BYE)
    driver.close(Close(4000))
    assert driver.shuts == [BYE]
    driver.ended(Close(4001, origin=Origin.PEER))
    driver.ended(LOST)
    driver.close(Close(4000))
    driver.fail(Close(4000))
    assert ear.heard == [BYE]
    assert (driver.closed, driver.closing) == (BYE, BYE)
    assert gate.gone == [driver]


def test_the_application_is_done_with_a_connection_that_it_closes(connect: Connect) -> None:
    driver, _, ear = connect()
    driver.receiver.on_message("before")
    driver.close(BYE)
    driver.receiver.on_message("after")
    driver.ended(LOST)
    assert ear.heard == ["before", BYE]


def test_a_peer_that_does_not_answer_the_close_is_cut_off(connect: Connect) -> None:
    driver, gate, ear = connect(close_seconds=5)
    driver.close(BYE)
    gate.clock.turn(4.9)
    assert (driver.aborts, ear.heard) == (0, [])
    gate.clock.turn(0.3)
    assert driver.aborts == 1
    assert ear.heard == [BYE]
    gate.clock.turn(100)
    assert driver.aborts == 1


def test_a_peer_that_answers_is_not_cut_off(connect: Connect) -> None:
    driver, gate, _ = connect()
    driver.close(BYE)
    driver.ended(Close(1000, origin=Origin.PEER))
    gate.clock.turn(100)
    assert driver.aborts == 0


def test_a_connection_that_is_cut_says_nothing_more(connect: Connect) -> None:
    driver, gate, ear = connect(room=1)
    driver.ends_at_once = False
    for message in "abc":
        driver.write(message)
    driver.fail(LOST)
    driver.make_room(10)
    assert driver.write("d") is Sent.DROPPED
    assert (driver.wire, driver.shuts, gate.dropped) == (["a"], [], 2)
    driver.ended(Close(1000, origin=Origin.PEER))
    assert ear.heard == [LOST]


def test_whoever_comes_too_late_hears_the_end_at_once(connect: Connect) -> None:
    driver, _, _ = connect()
    driver.ended(LOST)
    late = connect()[2]
    driver.attach(late)
    assert late.heard == [LOST]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (lambda driver: driver.close(BYE), ClosedLocally),
        (lambda driver: driver.ended(LOST), ConnectionLost),
        (lambda driver: driver.ended(Close(1000, origin=Origin.PEER)), ClosedByPeer),
        (lambda driver: driver.fail(LOST), ConnectionLost),
    ],
)
async def test_whoever_waits_for_room_learns_of_the_end(
    connect: Connect, end: Callable[[Any], None], kind: type[Exception]
) -> None:
    driver, _, _ = connect(room=1)
    driver.write("a")
    errors: list[Exception] = []

    async def wait() -> None:
        with pytest.raises(kind) as caught:
            await driver.drain()
        errors.append(caught.value)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            end(driver)
    assert len(errors) == 2


# Heartbeat


def beating(connect: Connect, interval: float = 10) -> Any:
    driver, gate, ear = connect()
    gate.heartbeat = Heartbeat(interval=interval, timeout=4)
    driver.watch()
    return driver, gate, ear


def test_a_silent_peer_is_asked_and_then_given_up(connect: Connect) -> None:
    driver, gate, ear = beating(connect)
    gate.clock.turn(10.3)
    assert driver.pinged == 1
    gate.clock.turn(3.5)
    assert ear.heard == []
    gate.clock.turn(0.7)
    assert driver.pinged == 1
    [close] = ear.heard
    assert isinstance(close, Close)
    assert (close.code, close.origin) == (1006, Origin.LOST)
    assert "heartbeat" in close.reason


def test_a_peer_that_answers_lives_and_is_measured(connect: Connect) -> None:
    driver, gate, ear = beating(connect)
    for _ in range(5):
        before = driver.pinged
        while driver.pinged == before:
            gate.clock.turn(0.1)
        gate.clock.turn(0.5)
        driver.ponged()
    assert ear.heard == []
    assert driver.latency == pytest.approx(0.5, abs=0.01)


def test_after_an_answer_the_next_ping_comes_in_its_time(connect: Connect) -> None:
    """Also where the interval is shorter than the time for an answer."""
    driver, gate, _ = beating(connect, interval=1)
    for count in range(1, 5):
        gate.clock.turn(1.2)
        assert driver.pinged == count
        driver.ponged()


def test_any_traffic_is_life(connect: Connect) -> None:
    driver, gate, ear = beating(connect)
    for _ in range(20):
        gate.clock.turn(4.9)
        driver.heard = True
    assert (driver.pinged, ear.heard) == (0, [])
    gate.clock.turn(10.3)
    driver.heard = True  # an answer of whatever kind
    gate.clock.turn(6)
    assert ear.heard == []
    gate.clock.turn(5)  # silence again: it is asked again before it is given up
    assert (driver.pinged, ear.heard) == (2, [])


def test_answers_that_nobody_asked_for_are_no_measurement(connect: Connect) -> None:
    driver, gate, _ = beating(connect)
    driver.ponged()
    gate.clock.turn(1)
    driver.ponged()
    assert driver.latency is None


def test_heartbeats_can_be_off(connect: Connect) -> None:
    driver, gate, ear = beating(connect, interval=0)
    gate.clock.turn(1000)
    assert (driver.pinged, ear.heard) == (0, [])


def test_a_closed_connection_is_not_watched(connect: Connect) -> None:
    driver, gate, _ = beating(connect)
    driver.ended(LOST)
    gate.clock.turn(100)
    assert driver.pinged == 0
