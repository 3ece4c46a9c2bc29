"""The parser, held against what the standard says of a stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock.errors import LimitExceeded
from unisock_eventsource.parser import EventParser, ServerSent

CASES = [
    (b"data: a\n\n", [ServerSent("a")]),
    (b"data:a\ndata\ndata: b\n\n", [ServerSent("a\n\nb")]),
    (b"data:  two spaces\n\n", [ServerSent(" two spaces")]),
    (b": comment\nretry: 5\nfoo: x\ndata: a\n\n", [ServerSent("a")]),
    (b"event: x\ndata: a\n\ndata: b\n\n", [ServerSent("a", "x"), ServerSent("b")]),
    (b"event: x\n\ndata: b\n\n", [ServerSent("b")]),
    (b"id: 1\ndata: a\n\ndata: b\n\n", [ServerSent("a", id="1"), ServerSent("b", id="1")]),
    (b"id: 1\ndata: a\n\nid\ndata: b\n\n", [ServerSent("a", id="1"), ServerSent("b")]),
    (b"id: a\0b\ndata: a\n\n", [ServerSent("a")]),
    (b"data: a\r\ndata: b\r\n\r\n", [ServerSent("a\nb")]),
    (b"data: a\rdata: b\r\r\n", [ServerSent("a\nb")]),
    (b"\xef\xbb\xbfdata: a\n\n", [ServerSent("a")]),
    (b"data: \xff\n\n", [ServerSent("\ufffd")]),
    (b"data: a\n", []),
    (b"\n\n\n", []),
    (b"data\n\n", [ServerSent("")]),
]


@pytest.mark.parametrize(("stream", "events"), CASES, ids=[repr(case[0]) for case in CASES])
def test_streams(stream: bytes, events: list[ServerSent]) -> None:
    assert EventParser(1000).feed(stream) == events
    one_by_one = EventParser(1000)
    heard = [event for byte in stream for event in one_by_one.feed(bytes([byte]))]
    assert heard == events


def test_an_event_has_its_limit() -> None:
    for stream in (b"data: " + b"x" * 200, b"data: xxxxxxxx\n" * 20, b"x" * 200):
        with pytest.raises(LimitExceeded, match="message_bytes = 100"):
            EventParser(100).feed(stream)


@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_are_a_stream(pieces: list[bytes]) -> None:
    whole, bit_by_bit = EventParser(10_000), EventParser(10_000)
    expected = whole.feed(b"".join(pieces) + b"\n\n\n")
    heard = [event for piece in [*pieces, b"\n\n\n"] for event in bit_by_bit.feed(piece)]
    assert heard == expected
