"""Slow clients, slow applications and signs of life, without input and output."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

from unisock import Spark
from unisock.testing.websocket import frame
from unisock_websockets.connection import PING_PAYLOAD, SLICE

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def server_frame(opcode: int, payload: bytes = b"") -> bytes:
    return frame(opcode, payload, mask=False)


def close_frame(code: int, reason: str = "") -> bytes:
    return server_frame(CLOSE, struct.pack("!H", code) + reason.encode())


def text(*words: str) -> bytes:
    return b"".join(frame(TEXT, word.encode()) for word in words)


def echoes(*words: str) -> bytes:
    return b"".join(server_frame(TEXT, word.encode()) for word in words)


# Pressure.


def test_of_pongs_that_are_not_read_the_latest_is_kept(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    rig.link.full = True
    rig.connection.congested()
    for number in range(1000):
        rig.feed(frame(PING, str(number).encode()))
    assert rig.take() == b""
    rig.link.full = False
    rig.connection.relieved()
    assert rig.take() == server_frame(PONG, b"999")


def test_what_waited_leaves_in_one_write(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    rig.link.full = True
    rig.connection.congested()
    rig.feed(text("a", "b", "c"))
    assert rig.take() == b""
    rig.link.full = False
    rig.connection.relieved()
    assert rig.link.writes == [echoes("a", "b", "c")]


def test_nothing_is_delivered_while_paused(make_rig: Any) -> None:
    rig = make_rig(lambda spark, message: spark.connection.pause_reading())
    rig.open()
    rig.feed(text("a", "b") + frame(PING, b"1") + text("c"))
    rig.feed(text("d") + frame(CLOSE, struct.pack("!H", 1000)))
    assert not rig.link.reading
    assert rig.take() == b""
    for letter in "abcd":
        assert rig.seen[-1] == letter
        rig.connection.resume_reading()
    assert rig.seen == [*"abcd"]
    assert rig.take() == server_frame(PONG, b"1") + close_frame(1000)


def test_what_is_held_while_paused_is_kept_as_bytes(make_rig: Any) -> None:
    """A quarter of a MiB of the smallest frames would be 10 MiB as objects."""
    rig = make_rig(lambda spark, message: spark.connection.pause_reading())
    rig.open()
    tracemalloc.start()
    try:
        rig.feed(frame(TEXT) * 43_000)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rig.seen == [""]
    assert held < 2**20 + 10 * SLICE


def test_to_close_while_paused_finds_the_clients_close(make_rig: Any) -> None:
    sparks: list[Spark] = []

    def pause(spark: Spark, message: object) -> None:
        sparks.append(spark)
        spark.connection.pause_reading()

    rig = make_rig(pause)
    rig.open()
    rig.feed(text("a", "b"))
    sparks[0].close_nowait(4000)
    assert rig.take() == close_frame(4000)
    assert rig.link.reading
    rig.feed(frame(CLOSE, struct.pack("!H", 4000)))
    assert rig.link.end == "close"
    assert rig.seen == ["a"]


# Signs of life.


def test_only_the_answer_to_our_ping_is_one(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    connection = rig.connection
    connection.heard = False
    connection._beat()  # the heartbeat is due
    assert rig.take() == server_frame(PING, PING_PAYLOAD)
    rig.feed(frame(PONG, b"out of the blue"))
    assert connection.heard
    assert connection.latency is None
    rig.feed(frame(PONG, PING_PAYLOAD))
    assert connection.latency is not None


def test_a_client_that_is_not_read_is_not_declared_dead(make_rig: Any) -> None:
    rig = make_rig(lambda spark, message: spark.connection.pause_reading())
    rig.open()
    rig.feed(text("a"))
    for _ in range(10):
        rig.connection._beat()
    assert rig.link.end == ""
    assert rig.take() == b""
