"""Messages, control frames and closing, without input and output."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import pytest

from unisock import Spark
from unisock.messages import Origin, Sent
from unisock.testing.websocket import frame
from unisock_websockets.link import HIGH_WATER

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def server_frame(opcode: int, payload: bytes = b"") -> bytes:
    return frame(opcode, payload, mask=False)


def close_frame(code: int, reason: str = "") -> bytes:
    return server_frame(CLOSE, struct.pack("!H", code) + reason.encode())


def text(*words: str) -> bytes:
    return b"".join(frame(TEXT, word.encode()) for word in words)


def echoes(*words: str) -> bytes:
    return b"".join(server_frame(TEXT, word.encode()) for word in words)


# Gathering.


def test_replies_to_one_read_leave_in_one_write(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    words = [f"word {number}" for number in range(16)]
    rig.feed(text(*words))
    assert rig.link.writes == [echoes(*words)]


def test_a_lone_message_leaves_at_once(make_rig: Any) -> None:
    sparks: list[Spark] = []
    rig = make_rig(lambda spark, message: sparks.append(spark))
    rig.open()
    rig.feed(text("hello"))
    assert rig.link.writes == []
    for number in range(3):
        assert sparks[0].send_nowait(str(number)) is Sent.SENT
        assert rig.link.writes == [echoes(str(number))]
        rig.take()


def test_what_is_gathered_is_bounded(make_rig: Any) -> None:
    size = HIGH_WATER // 4
    rig = make_rig(lambda spark, message: spark.send_nowait(message * size))
    rig.open()
    rig.feed(text(*"abcdefghij"))
    assert 1 < len(rig.link.writes) < 5
    assert max(map(len, rig.link.writes)) < HIGH_WATER + 2 * size
    assert rig.take() == echoes(*(letter * size for letter in "abcdefghij"))


def test_the_answer_to_the_handshake_and_a_greeting_are_one_write(make_rig: Any) -> None:
    rig = make_rig(greeting="hello")
    rig.feed(rig.request())
    (answer,) = rig.link.writes
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"\r\n\r\n" + echoes("hello"))


def test_messages_right_behind_the_request(make_rig: Any) -> None:
    rig = make_rig()
    third = text("third")
    rig.feed(rig.request() + text("first", "second") + third[:3])
    head, _, rest = rig.take().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert rest == echoes("first", "second")
    rig.feed(third[3:])
    assert rig.seen == ["first", "second", "third"]


def test_control_frames_keep_their_place(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(text("a") + frame(PING, b"1") + text("b") + frame(PING, b"2") + frame(PING))
    assert rig.link.writes == [
        echoes("a")
        + server_frame(PONG, b"1")
        + echoes("b")
        + server_frame(PONG, b"2")
        + server_frame(PONG)
    ]


def test_a_ping_between_fragments_is_answered_before_the_message(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(frame(TEXT, b"a", fin=False) + frame(PING, b"1") + frame(CONT, b"b"))
    assert rig.take() == server_frame(PONG, b"1") + echoes("ab")


def test_replies_go_before_the_close(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(text("a") + frame(CLOSE, struct.pack("!H", 1000)) + text("b"))
    assert rig.link.writes == [echoes("a") + close_frame(1000)]
    assert rig.link.end == "close"
    assert rig.seen == ["a"]


@pytest.mark.parametrize(
    ("bad", "code", "reason"),
    [
        (frame(TEXT, b"x", reserved=4), 1002, "reserved bits must be 0"),
        (frame(3), 1002, "invalid opcode"),
        (frame(CONT, b"x"), 1002, "unexpected continuation frame"),
        (frame(TEXT, b"x", mask=False), 1002, "incorrect masking"),
        (frame(PING, b"x" * 126), 1002, "control frame too long"),
        (frame(TEXT, b"\xff"), 1007, "invalid UTF-8"),
        (frame(TEXT, b"x" * 101), 1009, "over the limit message_bytes = 100"),
    ],
    ids=lambda value: "frame" if isinstance(value, bytes) else None,
)
def test_an_error_in_the_midst_of_a_batch(
    make_rig: Any, bad: bytes, code: int, reason: str
) -> None:
    rig = make_rig(message_bytes=100)
    rig.open()
    rig.feed(text("a") + bad + text("b"))
    assert rig.link.writes == [echoes("a") + close_frame(code, reason)]
    assert rig.link.end == "finish"
    rig.feed(text("c"))
    assert rig.seen == ["a"]
    close = rig.lose()
    assert (close.code, close.reason, close.origin) == (code, reason, Origin.LOCAL)


def test_bad_text_counts_although_a_close_follows_it(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(frame(TEXT, b"\xff") + frame(PING) + frame(CLOSE, struct.pack("!H", 1000)))
    assert rig.take() == close_frame(1007, "invalid UTF-8")


# Fragments.


def test_text_may_be_cut_within_a_letter(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    first, second, third = b"\xe2", b"\x82", b"\xac"
    rig.feed(frame(TEXT, first, fin=False) + frame(CONT, second, fin=False) + frame(CONT, third))
    assert rig.seen == ["€"]


@pytest.mark.parametrize("final", [b"\xe2", b"\xe2\x82"])
def test_text_must_not_end_within_a_letter(make_rig: Any, final: bytes) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(frame(TEXT, b"a", fin=False) + frame(CONT, final))
    assert rig.take() == close_frame(1007, "invalid UTF-8")


def test_bad_text_is_found_before_its_end(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(frame(TEXT, b"\xce\xba", fin=False) + frame(CONT, b"\xed\xa0\x80", fin=False))
    assert rig.take() == close_frame(1007, "invalid UTF-8")


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_as_many_fragments_as_allowed(make_rig: Any, opcode: int) -> None:
    rig = make_rig(fragments=5)
    rig.open()
    for _ in range(2):  # the count begins anew with each message
        rig.feed(frame(opcode, b"a", fin=False))
        for _ in range(3):
            rig.feed(frame(CONT, b"", fin=False))
        rig.feed(frame(CONT, b"b"))
    assert rig.seen == (["ab"] if opcode == TEXT else [b"ab"]) * 2


@pytest.mark.parametrize("size", [0, 1])
def test_too_many_fragments(make_rig: Any, size: int) -> None:
    rig = make_rig(fragments=5)
    rig.open()
    rig.feed(frame(BINARY, b"a" * size, fin=False) + frame(CONT, b"a" * size, fin=False) * 100)
    assert rig.take() == close_frame(1009, "over the limit fragments = 5")
    assert rig.link.end == "finish"


@pytest.mark.parametrize(
    ("sizes", "taken"), [((50, 49), True), ((50, 50), True), ((50, 51), False)]
)
def test_fragments_share_the_limit_of_the_message(
    make_rig: Any, sizes: tuple[int, int], taken: bool
) -> None:
    rig = make_rig(message_bytes=100)
    rig.open()
    first, second = (b"a" * size for size in sizes)
    rig.feed(frame(BINARY, first, fin=False) + frame(CONT, second))
    assert rig.seen == ([first + second] if taken else [])
    if not taken:
        assert rig.take() == close_frame(1009, "over the limit message_bytes = 100")


@pytest.mark.parametrize("size", [0, 1])
def test_tiny_fragments_cost_little_memory(make_rig: Any, size: int) -> None:
    """As objects, 12,000 fragments would be 3 MiB."""
    rig = make_rig(fragments=20_000)
    rig.open()
    data = frame(BINARY, b"a", fin=False) + frame(CONT, b"a" * size, fin=False) * 12_000
    tracemalloc.start()
    try:
        for start in range(0, len(data), 262_144):
            rig.feed(data[start : start + 262_144])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * 2**20
    rig.feed(frame(CONT, b"z"))
    assert rig.seen == [b"a" + b"a" * size * 12_000 + b"z"]


# Closing.


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4999])
def test_a_close_is_answered_with_its_code(make_rig: Any, code: int) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(frame(CLOSE, struct.pack("!H", code) + "é".encode()))
    assert rig.take()[2:4] == struct.pack("!H", code)
    assert rig.link.end == "close"
    close = rig.lose()
    assert (close.code, close.reason, close.origin) == (code, "é", Origin.PEER)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535])
def test_a_close_with_a_code_that_may_not_be_sent(make_rig: Any, code: int) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(frame(CLOSE, struct.pack("!H", code)))
    assert rig.take() == close_frame(1002, "invalid status code")
    assert rig.lose().origin is Origin.LOCAL


def test_a_close_without_a_code_is_answered_by_one_without(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(frame(CLOSE))
    assert rig.take() == server_frame(CLOSE)
    close = rig.lose()
    assert (close.code, close.reason, close.origin) == (1005, "", Origin.PEER)


@pytest.mark.parametrize(("payload", "code"), [(b"\x03", 1002), (b"\x03\xe8\xff", 1007)])
def test_a_close_that_is_none(make_rig: Any, payload: bytes, code: int) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(frame(CLOSE, payload))
    assert rig.take()[2:4] == struct.pack("!H", code)
    assert rig.link.end == "finish"


@pytest.mark.parametrize("payload", [b"", struct.pack("!H", 1000)])
def test_a_close_amid_fragments_is_a_close(make_rig: Any, payload: bytes) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(frame(TEXT, b"a", fin=False) + frame(CLOSE, payload))
    assert rig.take() == server_frame(CLOSE, payload)
    assert rig.link.end == "close"
    assert rig.lose().origin is Origin.PEER


def test_a_second_close_is_ignored(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(frame(CLOSE, struct.pack("!H", 4001)) + frame(CLOSE, struct.pack("!H", 4002)))
    rig.feed(frame(CLOSE, struct.pack("!H", 4003)))
    assert rig.take() == close_frame(4001)
    assert rig.lose().code == 4001


def test_our_close_waits_for_theirs(make_rig: Any) -> None:
    rig = make_rig(lambda spark, message: spark.close_nowait(4000, "enough"))
    rig.open()
    rig.feed(text("a", "b"))
    assert rig.take() == close_frame(4000, "enough")
    assert rig.link.end == ""
    rig.feed(text("c") + frame(PING, b"1"))
    assert rig.take() == server_frame(PONG, b"1")
    rig.feed(frame(CLOSE, struct.pack("!H", 4000)))
    assert rig.take() == b""
    assert rig.link.end == "close"
    close = rig.lose()
    assert (close.code, close.reason, close.origin) == (4000, "enough", Origin.LOCAL)
    assert rig.seen == ["a"]


def test_both_close_in_the_same_moment(make_rig: Any) -> None:
    rig = make_rig(lambda spark, message: spark.close_nowait(4000))
    rig.open()
    rig.feed(text("a") + frame(CLOSE, struct.pack("!H", 1000)))
    assert rig.take() == close_frame(1000)
    assert rig.link.end == "close"


def test_a_rule_broken_after_our_close(make_rig: Any) -> None:
    rig = make_rig(lambda spark, message: spark.close_nowait(4000))
    rig.open()
    rig.feed(text("a"))
    rig.take()
    rig.feed(frame(TEXT, b"\xff"))
    assert rig.take() == b""  # one close frame is enough
    assert rig.link.end == "finish"


def test_a_link_that_breaks(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    rig.feed(text("a") + text("b")[:3])
    close = rig.lose()
    assert (close.code, close.origin) == (1006, Origin.LOST)
