"""The connection of a client: its queue, what it reports as lost, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import anyio
import msgspec
import pytest
from anyio.abc import TaskGroup
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unisock import Close, ClosedLocally, Overflow
from unisock.abc import Runtime
from unisock.errors import ConnectionLost
from unisock.framing import TEXT
from unisock.handshake import Handshake
from unisock.limits import Limits
from unisock.messages import Origin, Sent
from unisock.reconnecting import PROBE_SECONDS, ReconnectingConnection
from unisock.timers import Timers

pytestmark = pytest.mark.anyio

CUT = Close(1006, "cable", origin=Origin.LOST)


class Time(Runtime):
    """Tasks for real, and time that the test turns."""

    def __init__(self, group: TaskGroup | None) -> None:
        self.now = 0.0
        self.timers = Timers(lambda: self.now)
        self._group = group

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        if self._group is not None:
            self._group.start_soon(function, *args)  # type: ignore[arg-type]

    def turn(self, seconds: float) -> None:
        self.now += seconds
        self.timers.advance()


class Rig:
    """A client's connection, and drivers for it.

    :ivar events: what its receiver hears of interruptions, resumptions and the end
    """

    def __init__(
        self,
        group: TaskGroup | None,
        connect: Any,
        overflow: Overflow = Overflow.DROP_NEWEST,
        *,
        reconnects: bool = True,
        **limits: Any,
    ) -> None:
        self.time = Time(group)
        self.connection = ReconnectingConnection(
            Handshake(target="/"),
            limits=Limits(**limits),
            overflow=overflow,
            reconnects=reconnects,
            runtime=self.time,
        )
        self._connect = connect
        self.events: list[Any] = []
        self.on_resume: Callable[[], object] = lambda: None
        self.judge: Callable[[Close], Close] = lambda close: close
        self.connection.attach(self)  # type: ignore[arg-type]

    def on_message(self, message: Any) -> None:
        self.events.append(message)

    def on_close(self, close: Close) -> None:
        self.events.append(close)

    def on_interrupt(self, close: Close) -> None:
        self.events.append("interrupt")

    def dial(self, room: int = 1_000_000) -> Any:
        driver, _, _ = self._connect(room=room)
        self.connection.carry_on(driver)
        return driver

    def send(self, *messages: str) -> list[Sent]:
        return [self.connection.write(message) for message in messages]


@pytest.fixture
async def rig(connect: Any) -> AsyncGenerator[Callable[..., Rig]]:
    async with anyio.create_task_group() as group:
        with anyio.fail_after(30):
            yield lambda *args, **limits: Rig(group, connect, *args, **limits)
        group.cancel_scope.cancel()


async def test_what_is_sent_offline_goes_out_in_order(rig: Any) -> None:
    one = rig()
    assert one.send("a", "b") == [Sent.QUEUED] * 2
    assert one.connection.queued == 2
    driver = one.dial()
    assert one.send("c") == [Sent.SENT]
    assert driver.wire == ["a", "b", "c"]
    driver.ended(CUT)
    assert one.events == ["interrupt"]
    assert one.send("d", "e") == [Sent.QUEUED] * 2
    assert one.dial().wire == ["d", "e"]  # and not again what had been handed over
    assert one.connection.dropped == 0


async def test_a_full_queue_drops_the_newest(rig: Any) -> None:
    one = rig(outbox_messages=2)
    assert one.send("a", "b", "c") == [Sent.QUEUED, Sent.QUEUED, Sent.DROPPED]
    assert one.connection.dropped == 1
    assert one.dial().wire == ["a", "b"]


async def test_or_the_oldest(rig: Any) -> None:
    one = rig(Overflow.DROP_OLDEST, outbox_bytes=4)
    one.send("aa", "b", "c")
    assert one.send("dddd", "e") == [Sent.QUEUED] * 2
    assert one.connection.dropped == 4
    assert one.dial().wire == ["e"]


async def test_the_callers_policy_goes_first(rig: Any) -> None:
    one = rig(outbox_messages=1)
    one.send("a")
    assert one.connection.write("b", Overflow.DROP_OLDEST) is Sent.QUEUED
    assert one.dial().wire == ["b"]


async def test_one_message_always_has_room(rig: Any) -> None:
    one = rig(outbox_bytes=3)
    assert one.send("much too long", "x") == [Sent.QUEUED, Sent.DROPPED]


async def send(one: Rig, message: str) -> None:
    """As `Spark.send` does it."""
    while one.connection.write(message, Overflow.WAIT) is Sent.DROPPED:
        await one.connection.drain()


async def test_a_message_that_does_not_fit_waits_without_spinning(rig: Any) -> None:
    # There is room for some message, but not for this one.
    one = rig(outbox_bytes=10)
    one.send("123456")
    async with anyio.create_task_group() as group:
        group.start_soon(send, one, "abcdef")
        await anyio.wait_all_tasks_blocked()
        group.start_soon(send, one, "x")  # would fit, but another is before it
        await anyio.wait_all_tasks_blocked()
        assert (one.connection.queued, one.connection.dropped) == (1, 0)
        driver = one.dial()
        await anyio.wait_all_tasks_blocked()
        assert sorted(driver.wire) == ["123456", "abcdef", "x"]


async def test_who_waits_hears_of_the_end(rig: Any) -> None:
    one = rig(outbox_messages=1)
    one.send("a")
    heard: list[Exception] = []

    async def wait() -> None:
        try:
            await send(one, "b")
        except ClosedLocally as error:
            heard.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        one.connection.close(Close())
    assert len(heard) == 1
    assert one.connection.dropped == 1


async def test_a_slow_server_fills_the_queue_and_not_the_wire(rig: Any) -> None:
    one = rig(outbox_messages=3)
    driver = one.dial(room=1)
    assert one.send("a", "b", "c", "d", "e", "f") == [
        Sent.SENT,
        Sent.QUEUED,
        Sent.QUEUED,
        Sent.QUEUED,
        Sent.QUEUED,
        Sent.DROPPED,
    ]
    await anyio.wait_all_tasks_blocked()
    assert driver.wire == ["a"]
    assert one.connection.unconfirmed == 2  # "b" waits beneath
    driver.make_room(2)
    await anyio.wait_all_tasks_blocked()
    assert driver.wire == ["a", "b", "c"]
    driver.make_room(100)
    await anyio.wait_all_tasks_blocked()
    assert driver.wire == ["a", "b", "c", "d", "e"]
    assert one.send("g") == [Sent.SENT]


async def test_what_waits_for_a_slow_server_goes_to_the_next(rig: Any) -> None:
    one = rig()
    slow = one.dial(room=1)
    one.send("a", "b", "c")
    slow.ended(CUT)
    assert one.connection.take_unconfirmed() == 2
    await anyio.wait_all_tasks_blocked()
    assert one.dial().wire == ["c"]


async def test_who_cuts_the_slow_is_obeyed(rig: Any) -> None:
    one = rig(outbox_messages=1)
    driver = one.dial(room=1)
    one.send("a", "b", "c")
    assert one.connection.write("leave the channel", Overflow.DISCONNECT) is Sent.DROPPED
    assert driver.closed is not None
    assert driver.closed.code == 4008
    assert one.events == ["interrupt"]
    assert one.connection.dropped == 1
    assert one.connection.write("offline", Overflow.DISCONNECT) is Sent.DROPPED
    assert one.dial().wire == ["c"]


async def test_what_is_sent_on_resume_goes_first(rig: Any) -> None:
    one = rig()
    one.dial().ended(CUT)
    one.send("later")
    one.on_resume = lambda: one.send("first", "second")
    slow = one.dial(room=2)
    assert slow.wire == ["first", "second"]
    slow.make_room(100)
    assert slow.wire == ["first", "second", "later"]


async def test_a_message_without_a_form_there_is_dropped_and_counted(
    rig: Any, connect: Any
) -> None:
    one = rig()
    one.connection.write(b"\xff")
    one.send("text")
    driver, _, _ = connect()
    driver.framing = TEXT
    one.connection.carry_on(driver)
    assert (driver.wire, one.connection.dropped) == (["text"], 1)


# What the server has read.


async def test_messages_are_unconfirmed_until_the_server_answers(rig: Any) -> None:
    one = rig()
    driver = one.dial()
    one.send("a", "b")
    assert (one.connection.unconfirmed, driver.pinged) == (2, 0)
    one.time.turn(PROBE_SECONDS * 2)
    assert driver.pinged == 1
    one.send("c")
    driver.ponged()
    assert one.connection.unconfirmed == 1  # sent after the question
    one.time.turn(PROBE_SECONDS * 2)
    driver.ponged()
    assert one.connection.unconfirmed == 0
    one.time.turn(100)
    assert driver.pinged == 2  # and no more questions
    one.send("d")
    driver.ended(CUT)
    assert one.connection.take_unconfirmed() == 1
    assert one.connection.take_unconfirmed() == 0


async def test_an_answer_of_the_last_connection_says_nothing_of_this_one(rig: Any) -> None:
    one = rig()
    first = one.dial()
    one.send("a")
    one.time.turn(PROBE_SECONDS * 2)
    answer = first._probe
    first.ended(CUT)
    one.dial()
    one.send("b")
    answer()
    assert one.connection.unconfirmed == 1


async def test_the_question_does_not_overtake_what_waits_beneath(rig: Any) -> None:
    one = rig()
    driver = one.dial(room=1)
    one.send("a", "b")
    one.time.turn(PROBE_SECONDS * 2)
    assert driver.pinged == 0
    driver.make_room(100)
    await anyio.wait_all_tasks_blocked()
    one.time.turn(PROBE_SECONDS * 2)
    assert (driver.wire, driver.pinged) == (["a", "b"], 1)


async def test_nobody_asks_while_the_answer_would_be_held_back(rig: Any) -> None:
    one = rig()
    driver = one.dial()
    one.connection.hold()
    one.send("a")
    one.time.turn(PROBE_SECONDS * 2)
    assert driver.pinged == 0
    one.connection.release()
    one.time.turn(PROBE_SECONDS * 2)
    assert driver.pinged == 1


# The end.


async def test_close_offline_is_the_end_at_once(rig: Any) -> None:
    one = rig()
    one.send("a", "b")
    one.connection.close(Close(1000, "enough"))
    assert one.events == [Close(1000, "enough")]
    assert (one.connection.dropped, one.connection.queued) == (2, 0)
    assert one.send("c") == [Sent.DROPPED]
    late = one.dial()
    assert late.shuts == [Close(1000, "enough")]
    await one.connection.wait_closed()


async def test_what_waits_goes_before_the_close(rig: Any) -> None:
    one = rig()
    driver = one.dial(room=1)
    one.send("a", "b", "c")
    one.connection.close(Close())
    await anyio.wait_all_tasks_blocked()
    assert driver.shuts == []
    assert one.send("too late") == [Sent.DROPPED]
    driver.make_room(100)
    await anyio.wait_all_tasks_blocked()
    assert (driver.wire, driver.shuts) == (["a", "b", "c"], [Close()])
    driver.ended(CUT)
    assert one.events == [Close()]
    assert one.connection.dropped == 0


async def test_but_not_for_longer_than_close_seconds(rig: Any) -> None:
    one = rig(close_seconds=3)
    driver = one.dial(room=1)
    one.send("a", "b", "c")
    one.connection.close(Close())
    one.time.turn(3.1)
    assert driver.aborts == 1
    assert one.events == [Close()]
    assert (one.connection.dropped, one.connection.unconfirmed) == (1, 2)


async def test_a_cut_while_the_queue_drains_is_told(rig: Any) -> None:
    one = rig()
    driver = one.dial(room=1)
    one.send("a", "b", "c")
    one.connection.close(Close())
    driver.ended(CUT)
    assert one.events == [CUT]
    assert (one.connection.dropped, one.connection.unconfirmed) == (1, 2)


async def test_fail_cuts_at_once(rig: Any) -> None:
    one = rig()
    driver = one.dial(room=1)
    one.send("a", "b", "c")
    one.connection.fail(CUT)
    assert driver.aborts == 1
    assert one.events == [CUT]
    assert one.connection.dropped == 1


async def test_a_broken_rule_is_no_close_of_the_applications(rig: Any) -> None:
    one = rig()
    one.dial().ended(Close(1002, "masked"))
    (close,) = one.events
    assert (close.code, close.origin) == (1002, Origin.LOST)
    assert isinstance(close.error(), ConnectionLost)


async def test_a_dialect_may_know_better_whether_to_come_back(rig: Any) -> None:
    for told, back in [(Close(1000, origin=Origin.PEER), True), (Close(1005), False)]:
        one = rig()
        one.judge = lambda close, back=back: msgspec.structs.replace(close, reconnect=back)
        one.dial().ended(told)
        assert (one.events == ["interrupt"]) is back
        assert (one.connection.closed is None) is back
    # What this side closes, nobody has to judge.
    one = rig()
    one.judge = None
    driver = one.dial()
    one.connection.close(Close())
    driver.ended(Close())
    assert len(one.events) == 1


async def test_no_message_comes_after_close(rig: Any) -> None:
    one = rig()
    driver = one.dial(room=1)
    one.send("a", "b", "c")
    one.connection.close(Close())
    driver.receiver.on_message("late")
    assert one.events == []


async def test_holding_outlives_a_connection(rig: Any) -> None:
    one = rig()
    calls: list[str] = []
    one.connection.hold()
    driver = one.dial()
    assert driver._holds == 1
    driver.ended(CUT)
    after = one.dial()
    after.resume_reading = lambda: calls.append("resumed")
    assert after._holds == 1
    one.connection.release()
    assert (after._holds, calls) == (0, ["resumed"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(["send", "send", "send", "cut", "dial", "slow", "room", "ping", "pong"]),
        max_size=60,
    ),
    st.sampled_from([Overflow.DROP_NEWEST, Overflow.DROP_OLDEST]),
)
def test_every_message_is_accounted_for_and_none_comes_twice(
    connect: Any, steps: list[str], policy: Overflow
) -> None:
    one = Rig(None, connect, policy, outbox_messages=4)
    connection, drivers, sent, reported = one.connection, [], 0, 0
    for step in steps:
        lower = connection.lower
        match step:
            case "send":
                connection.write(f"{sent:04}")
                sent += 1
            case "dial" | "slow" if lower is None:
                drivers.append(one.dial(room=1 if step == "slow" else 1_000_000))
            case "cut" if lower is not None:
                drivers[-1].ended(CUT)
                reported += connection.take_unconfirmed()
            case "room" if lower is not None:
                drivers[-1].make_room(1)
            case "ping":
                one.time.turn(PROBE_SECONDS * 2)
            case "pong" if lower is not None:
                drivers[-1].ponged()
            case _:
                pass
    connection.fail(CUT)
    wire = [message for driver in drivers for message in driver.wire]
    assert wire == sorted(set(wire))
    unconfirmed = reported + connection.take_unconfirmed()
    assert connection.dropped + len(wire) <= sent
    assert len(wire) + unconfirmed + connection.dropped >= sent
