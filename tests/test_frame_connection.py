"""WebSockets on bytes, on a driver that only notes what it is to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from unisock.abc import Gate, Upgrade
from unisock.frame_connection import GATHER, Connections, StreamConnection
from unisock.framing import WebSocketFraming
from unisock.handshake import Handshake
from unisock.messages import Close, Origin
from unisock.testing.websocket import frame

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
FRAMING = WebSocketFraming()


class Turn:
    """What is to be called when the turn of the loop is over."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.connections = Connections(self.calls.append)

    def end(self) -> None:
        calls, self.calls[:] = [*self.calls], []
        for call in calls:
            call()


class Driver(StreamConnection):
    """Notes what it is to do.

    :ivar closed_under_it: the stream takes and gives nothing any more
    """

    def __init__(self, gate: Gate, turn: Turn) -> None:
        self.done: list[str | bytes] = []
        self.closed_under_it = False
        upgrade = Upgrade(gate, Handshake(target="/ws"), lambda connection: None)
        super().__init__(upgrade, FRAMING, turn.connections)

    def put_out(self, data: bytes) -> None:
        if self.closed_under_it:
            self.found_closed()
        else:
            self.done.append(data)

    def read_on(self) -> None:
        if self.closed_under_it:
            self.found_closed()
        else:
            self.done.append("read on")

    def stop_reading(self) -> None:
        self.done.append("stop")

    def hang_up(self) -> None:
        self.done.append("hang up")

    def finish(self) -> None:
        self.done.append("finish")

    def cut(self) -> None:
        self.done.append("cut")


@pytest.fixture
def opened(connect: Any) -> tuple[Driver, Any, Turn]:
    """A driver, who listens, and the turn of the loop."""
    _, gate, ear = connect(message_bytes=1000)
    turn = Turn()
    driver = Driver(gate, turn)
    driver.attach(ear)
    return driver, ear, turn


def test_what_is_sent_in_one_turn_leaves_in_one_write(opened: Any) -> None:
    driver, _, turn = opened
    driver.write("one")
    driver.write(b"two")
    assert driver.done == []
    turn.end()
    assert driver.done == [b"\x81\x03one\x82\x03two"]


def test_replies_to_one_read_leave_with_it(opened: Any) -> None:
    driver, ear, _ = opened
    ear.on_message = driver.write
    driver.arrived(frame(TEXT, b"a") + frame(PING, b"p") + frame(TEXT, b"b"))
    assert driver.done == [b"\x81\x01a\x8a\x01p\x81\x01b"]


def test_what_is_gathered_is_bounded(opened: Any) -> None:
    driver, _, turn = opened
    for _ in range(3):
        driver.write(b"x" * (GATHER // 2))
    assert [len(data) for data in driver.done] == [2 * (GATHER // 2 + 4)]
    turn.end()
    assert len(driver.done) == 2


def test_what_comes_while_reading_is_paused_is_delivered_later_and_in_order(opened: Any) -> None:
    driver, ear, turn = opened
    driver.pause_reading()
    data = b"".join(frame(TEXT, b"%d" % number) for number in range(5))
    driver.arrived(data[:9])
    driver.arrived(data[9:])
    assert (ear.heard, driver.done) == ([], ["stop"])
    driver.resume_reading()
    turn.end()
    assert ear.heard == ["0", "1", "2", "3", "4"]
    assert driver.done[-1] == "read on"


def test_a_client_that_goes_meanwhile_is_lost_behind_its_messages(opened: Any) -> None:
    driver, ear, turn = opened
    driver.pause_reading()
    driver.arrived(frame(TEXT, b"last"))
    driver.closed_under_it = True
    driver.gone()
    assert driver.closed is None
    driver.resume_reading()
    turn.end()
    assert ear.heard[0] == "last"
    assert ear.heard[1].origin is Origin.LOST


@pytest.mark.parametrize("notice", [lambda driver: driver.ping(), lambda driver: driver.flush()])
def test_one_that_is_never_read_again_is_found_by_a_ping_or_a_write(
    opened: Any, notice: Callable[[Driver], None]
) -> None:
    driver, ear, _ = opened
    driver.pause_reading()
    driver.closed_under_it = True
    driver.gone()
    driver.write("are you there?")
    notice(driver)
    assert ear.heard[0].origin is Origin.LOST


def test_of_many_pings_of_a_slow_client_the_latest_is_answered(opened: Any) -> None:
    driver, _, turn = opened
    driver.congested()
    driver.arrived(b"".join(frame(PING, b"%d" % number) for number in range(9)))
    assert driver.done == []
    driver.relieved()
    turn.end()
    assert driver.done == [b"\x8a\x018"]


def test_both_sides_say_goodbye(opened: Any) -> None:
    driver, ear, _ = opened
    driver.write("last words")
    driver.close(Close(4000, "bye"))
    assert driver.done == [b"\x81\x0alast words\x88\x05\x0f\xa0bye"]
    assert not driver.agreed
    driver.arrived(frame(TEXT, b"too late") + frame(CLOSE, b"\x0f\xa0"))
    assert driver.agreed
    assert driver.done[1:] == ["finish"]
    assert ear.heard == [Close(4000, "bye")]


def test_a_clients_goodbye_is_answered_once(opened: Any) -> None:
    driver, ear, _ = opened
    driver.arrived(frame(CLOSE, b"\x03\xe8") + frame(CLOSE, b"\x03\xe9"))
    assert driver.done == [b"\x88\x02\x03\xe8", "finish"]
    assert [(close.code, close.origin) for close in ear.heard] == [(1000, Origin.PEER)]
    assert not driver.agreed


def test_after_a_fault_nothing_is_understood(opened: Any) -> None:
    driver, ear, _ = opened
    driver.arrived(frame(TEXT, b"\xff") + frame(TEXT, b"never"))
    assert (driver.done[0][:1], driver.done[0][2:4]) == (b"\x88", b"\x03\xef")
    assert driver.done[1:] == ["hang up"]
    driver.arrived(frame(TEXT, b"nor this"))
    driver.gone()
    assert [close.code for close in ear.heard] == [1007]


def test_all_are_cut_at_once(opened: Any) -> None:
    driver, ear, turn = opened
    driver.write("unsent")
    turn.connections.abort()
    turn.end()
    assert driver.done == ["cut"]
    assert ear.heard[0].origin is Origin.LOST
