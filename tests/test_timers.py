"""Timers, on a clock that the test turns."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock.timers import Timer, Timers

TICK = 1 / 16  # a fraction that floats hold exactly, so that the model can be exact too


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timers(clock: Clock) -> Timers:
    return Timers(clock, tick=TICK)


def turn(clock: Clock, timers: Timers, seconds: float) -> None:
    clock.now += seconds
    timers.advance()


def test_a_timer_goes_off_once_within_a_tick(clock: Clock, timers: Timers) -> None:
    calls: list[str] = []
    timers.call_later(1, lambda: calls.append("x"))
    turn(clock, timers, 0.999)
    assert calls == []
    turn(clock, timers, TICK + 0.001)
    assert calls == ["x"]
    turn(clock, timers, 100)
    assert calls == ["x"]


def test_a_cancelled_timer_stays_silent(clock: Clock, timers: Timers) -> None:
    calls: list[str] = []
    timer = timers.call_later(1, lambda: calls.append("x"))
    timer.cancel()
    timer.cancel()
    turn(clock, timers, 5)
    assert calls == []


def test_a_timer_can_cancel_one_that_falls_due_with_it(clock: Clock, timers: Timers) -> None:
    calls: list[str] = []
    second: list[Timer] = []
    timers.call_later(1, lambda: second[0].cancel())
    second.append(timers.call_later(1, lambda: calls.append("x")))
    turn(clock, timers, 5)
    assert calls == []


def test_a_timer_that_sets_itself_again_does_not_hold_up_the_loop(
    clock: Clock, timers: Timers
) -> None:
    calls: list[float] = []

    def again() -> None:
        calls.append(clock.now)
        timers.call_later(0, again)

    again()
    turn(clock, timers, 1)
    assert len(calls) == 2


def test_one_timer_that_fails_does_not_harm_the_others(
    clock: Clock, timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def fail() -> None:
        raise RuntimeError("driver bug")

    timers.call_later(1, fail)
    timers.call_later(1, lambda: calls.append("same slot"))
    timers.call_later(2, lambda: calls.append("later slot"))
    turn(clock, timers, 5)
    assert calls == ["same slot", "later slot"]
    assert "driver bug" in caplog.text


def test_whoever_sleeps_is_woken_when_the_next_deadline_moves_forward(clock: Clock) -> None:
    woken: list[float | None] = []
    timers = Timers(clock, tick=TICK, wake=lambda: woken.append(timers.next_deadline))
    assert timers.next_deadline is None
    timers.call_later(10, lambda: None)
    timers.call_later(20, lambda: None)
    assert len(woken) == 1
    timers.call_later(5, lambda: None)
    assert len(woken) == 2
    assert timers.next_deadline is not None
    assert clock.now + 5 <= timers.next_deadline <= clock.now + 5 + TICK


def test_many_timers_of_one_tick_share_a_slot(clock: Clock, timers: Timers) -> None:
    calls: list[int] = []
    deadlines: set[float | None] = set()
    for number in range(10_000):
        timers.call_later(1, lambda number=number: calls.append(number))
        deadlines.add(timers.next_deadline)
    assert len(deadlines) == 1
    turn(clock, timers, 2)
    assert calls == [*range(10_000)]


steps = st.one_of(
    st.tuples(st.just("later"), st.integers(0, 200)),
    st.tuples(st.just("cancel"), st.integers(0, 50)),
    st.tuples(st.just("turn"), st.integers(0, 100)),
)


@given(st.lists(steps, max_size=60))
def test_against_a_sorted_list(script: list[tuple[str, int]]) -> None:
    clock = Clock()
    timers = Timers(clock, tick=TICK)
    made: list[Timer] = []
    due: dict[int, float] = {}
    fired: list[int] = []

    def note(number: int) -> Callable[[], None]:
        return lambda: fired.append(number)

    for what, amount in script:
        if what == "later":
            number = len(made)
            due[number] = clock.now + amount / 64
            made.append(timers.call_later(amount / 64, note(number)))
        elif what == "cancel" and amount < len(made):
            made[amount].cancel()
            due.pop(amount, None)
        elif what == "turn":
            before = len(fired)
            turn(clock, timers, amount / 64)
            just = fired[before:]
            # Each that fired was due; each that was due a tick ago has fired; the order is that of
            # the deadlines, to the tick.
            assert all(due[number] <= clock.now for number in just)
            assert all(due[a] <= due[b] + TICK for a, b in pairwise(just))
            for number in just:
                del due[number]
            assert all(deadline + TICK > clock.now for deadline in due.values())
    assert len(fired) == len(set(fired))
