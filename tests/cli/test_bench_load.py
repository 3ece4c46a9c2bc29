"""What ``unisock bench`` sends when, and what it makes of the answers: with a clock that the test
turns.
"""

import random
from typing import Any

import pytest

from unisock.cli.load.histogram import Histogram
from unisock.cli.load.lanes import ClosedLoop, Lane, Load, OpenLoop
from unisock.cli.load.picture import round_times, show_time
from unisock.messages import Close, Message, Origin


class TestHistogram:
    def test_percentiles_of_known_samples(self) -> None:
        samples = [number / 1000 for number in range(1, 1001)]  # 1 ms to 1 s
        random.Random(1).shuffle(samples)
        histogram = Histogram()
        for sample in samples:
            histogram.add(sample)
        assert histogram.count == 1000
        assert (histogram.shortest, histogram.longest) == (0.001, 1.0)
        assert histogram.mean == pytest.approx(0.5005)
        for percent, exact in ((50, 0.5), (90, 0.9), (99, 0.99), (99.9, 0.999)):
            assert histogram.percentile(percent) == pytest.approx(exact, rel=0.003)
        assert histogram.percentile(100) == 1.0

    def test_one_sample_is_all_percentiles(self) -> None:
        histogram = Histogram()
        histogram.add(0.0123)
        assert {histogram.percentile(p) for p in (0, 50, 99.9, 100)} == {0.0123}

    def test_a_rare_stall_shows_only_where_it_belongs(self) -> None:
        histogram = Histogram()
        for _ in range(999):
            histogram.add(0.001)
        histogram.add(5.0)
        assert histogram.percentile(99.9) == pytest.approx(0.001, rel=0.003)
        assert histogram.percentile(99.95) == 5.0

    def test_what_is_beyond_its_ends_is_counted(self) -> None:
        histogram = Histogram()
        for sample in (0.0, 1e-9, 1e6):
            histogram.add(sample)
        assert histogram.count == 3
        assert histogram.longest == 1e6

    def test_the_part_since_a_moment(self) -> None:
        histogram = Histogram()
        for _ in range(10):
            histogram.add(0.001)
        before = [*histogram.counts]
        histogram.add(0.1)
        assert histogram.since(before).count == 1
        assert histogram.since(before).percentile(50) == pytest.approx(0.1, rel=0.003)


class Turned:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lanes(connect: Any) -> Any:
    """``lanes(load, number)``: lanes on scripted drivers."""

    def make(load: Load, number: int = 1) -> list[tuple[Lane, Any]]:
        made: list[tuple[Lane, Any]] = []
        for _ in range(number):
            driver, _, _ = connect()
            lane = Lane(driver, "x", load)
            driver.attach(lane)
            made.append((lane, driver))
        return made

    return make


def answer(driver: Any, message: Message = "x") -> None:
    driver.receiver.on_message(message)


class TestOpenLoop:
    def test_messages_leave_when_they_are_planned(self, lanes: Any) -> None:
        clock = Turned()
        load = OpenLoop(10, 100, None, clock)
        [(_, driver)] = lanes(load)
        load.begin()
        assert len(driver.wire) == 1
        clock.now += 0.05
        load.pump()
        assert len(driver.wire) == 1
        assert load.planned == pytest.approx(100.1)
        clock.now += 0.26
        load.pump()
        assert len(driver.wire) == 4

    def test_lanes_take_turns(self, lanes: Any) -> None:
        clock = Turned()
        load = OpenLoop(10, 100, None, clock)
        made = lanes(load, 3)
        load.begin()
        clock.now += 0.51
        load.pump()
        assert [len(driver.wire) for _, driver in made] == [2, 2, 2]

    def test_a_stall_shows_in_every_message_that_it_delays(self, lanes: Any) -> None:
        """The same stall of a second, as an open and as a closed loop see it."""
        clock = Turned()
        load = OpenLoop(100, 1000, None, clock)
        [(lane, driver)] = lanes(load)
        load.begin()
        for _ in range(100):  # a second without an answer, and 100 messages planned in it
            clock.now += 0.01
            load.pump()
        while lane.under_way:
            answer(driver)
        assert load.answered == 101
        assert load.latency.percentile(50) == pytest.approx(0.5, rel=0.01)
        assert load.latency.longest == pytest.approx(1.0)

        closed = ClosedLoop(1, None, clock)
        [(_, driver)] = lanes(closed)
        closed.begin()
        for _ in range(100):
            answer(driver)
        clock.now += 1
        answer(driver)
        assert closed.answered == 101
        assert closed.latency.percentile(99) < 1e-5  # the stall is one message out of 101

    def test_what_has_no_room_waits_and_counts_from_its_plan(self, lanes: Any) -> None:
        clock = Turned()
        load = OpenLoop(10, 1, None, clock)
        [(_, driver)] = lanes(load)
        load.begin()
        clock.now += 0.95  # nine more were planned; only one can be under way
        load.pump()
        assert len(driver.wire) == 1
        assert load.overdue == 9
        answer(driver)
        assert len(driver.wire) == 2
        answer(driver)
        assert load.latency.longest == pytest.approx(0.95)
        assert load.latency.shortest == pytest.approx(0.85)
        assert load.overdue == 7
        assert load.late.longest == 0  # the lane was not free: that is the endpoint's doing

    def test_a_late_generator_blames_itself(self, lanes: Any) -> None:
        clock = Turned()
        load = OpenLoop(10, 100, None, clock)
        lanes(load)
        load.begin()
        clock.now += 0.35
        load.pump()
        assert load.late.longest == pytest.approx(0.25)

    def test_it_ends_with_the_last_message(self, lanes: Any) -> None:
        clock, over = Turned(), list[bool]()
        load = OpenLoop(10, 100, 3, clock)
        load.on_idle = lambda: over.append(True)
        [(_, driver)] = lanes(load)
        load.begin()
        clock.now += 60
        load.pump()
        assert (load.sent, load.overdue, load.going) == (3, 0, False)
        for _ in range(3):
            assert not over
            answer(driver)
        assert over


class TestClosedLoop:
    def test_so_many_are_under_way(self, lanes: Any) -> None:
        clock = Turned()
        load = ClosedLoop(4, None, clock)
        made = lanes(load, 2)
        load.begin()
        assert [len(driver.wire) for _, driver in made] == [4, 4]
        clock.now += 0.5
        answer(made[0][1])
        assert [len(driver.wire) for _, driver in made] == [5, 4]
        assert load.under_way == 8
        assert load.latency.longest == 0.5

    def test_after_the_stop_what_is_under_way_counts(self, lanes: Any) -> None:
        clock, over = Turned(), list[bool]()
        load = ClosedLoop(2, None, clock)
        load.on_idle = lambda: over.append(True)
        [(_, driver)] = lanes(load)
        load.begin()
        load.stop()
        answer(driver)
        assert not over
        answer(driver)
        assert over
        assert (load.sent, load.answered) == (2, 2)

    def test_a_lost_connection_takes_its_messages_with_it(self, lanes: Any) -> None:
        load = ClosedLoop(3, None, Turned())
        (_, first), (_, second) = lanes(load, 2)
        load.begin()
        first.ended(Close(1006, "gone", origin=Origin.LOST))
        assert (load.lost, load.under_way, load.going) == (3, 3, True)
        assert load.lost_lanes == {"connection lost: 1006 gone": 1}
        second.ended(Close(1006, "gone", origin=Origin.LOST))
        assert not load.going

    @pytest.mark.parametrize(
        ("came", "told"),
        [
            ("y", "it answered x (1 character of text) with y (1 character of text)"),
            (b"x", "with 78 (1 bytes, binary)"),
            ("a\nb" * 20, "with a\ufffdba"),
        ],
    )
    def test_another_answer_ends_it(self, lanes: Any, came: Message, told: str) -> None:
        load = ClosedLoop(1, None, Turned())
        [(_, driver)] = lanes(load)
        load.begin()
        answer(driver, came)
        assert load.wrong is not None
        assert told in load.wrong
        assert not load.going

    def test_an_answer_too_many_ends_it(self, lanes: Any) -> None:
        load = ClosedLoop(1, None, Turned())
        [(_, driver)] = lanes(load)
        load.begin()
        load.stop()
        answer(driver)
        answer(driver)
        assert load.wrong == "it sent x (1 character of text) unasked"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0"), (4.2e-5, "42 µs"), (0.000999, "999 µs"), (0.0009999, "1 ms"),
     (0.00124, "1.24 ms"), (0.25, "250 ms"), (2.5, "2.5 s"), (1234.0, "1,234 s")],
)  # fmt: skip
def test_durations(seconds: float, shown: str) -> None:
    assert show_time(seconds) == shown


def test_round_durations_for_an_axis() -> None:
    assert round_times(0.0003, 0.006) == pytest.approx([0.0005, 0.001, 0.002, 0.005])
