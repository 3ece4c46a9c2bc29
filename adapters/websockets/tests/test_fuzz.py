"""Whatever a client sends: no exception, a proper end, and the same for every way to cut it up."""

from __future__ import annotations

import functools
import logging
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisock.testing.websocket import frame
from unisock_websockets.options import Options

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
LIMITS = {"message_bytes": 300, "fragments": 4}

opcodes = st.sampled_from([0, 0, 1, 1, 2, 2, 8, 9, 10, 3])
payloads = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=10).map(str.encode),
    st.sampled_from([b"\x03\xe8", b"\x03\xe8bye", b"x" * 126, b"x" * 299, b"x" * 300, b"x" * 301]),
    st.integers(0, 6000).map(lambda code: code.to_bytes(2, "big")),
    st.binary(max_size=400).map(lambda data: zlib.compress(data, wbits=-12)),
)
frames = st.builds(
    frame,
    opcodes,
    payloads,
    fin=st.sampled_from([True, True, False]),
    reserved=st.sampled_from([0, 0, 0, 4, 4, 1]),
    mask=st.sampled_from([True] * 20 + [False]),
)
noise = st.binary(max_size=30)
cuts = st.lists(st.integers(0, 400), max_size=8)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in pieces of these sizes, and the rest."""
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in (*pieces, data) if piece]


class Faults(logging.Handler):
    """Counts what is logged as a fault."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


@pytest.fixture(autouse=True, scope="module")
def no_fault() -> Any:
    """Nothing that a client sends is worth a warning in the log."""
    faults = Faults()
    logging.getLogger().addHandler(faults)
    yield
    logging.getLogger().removeHandler(faults)
    assert faults.records == []


@functools.cache
def server(make_rig: Any, *, compression: bool) -> Any:
    """A server for all examples: to set one up takes longer than they do."""
    return make_rig(options=Options(compression=compression), **LIMITS)


@settings(max_examples=300, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(
            [
                b"GET /ws HTTP/1.1",
                b"HEAD / HTTP/1.0",
                b"POST /ws HTTP/1.1",
                b"Host: localhost",
                b"Upgrade: websocket",
                b"Connection: Upgrade",
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                b"Sec-WebSocket-Version: 13",
                b"Sec-WebSocket-Protocol: a, b",
                b"Sec-WebSocket-Extensions: permessage-deflate; x=\xff, ;;",
                b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99",
                b"Content-Length: -1",
                b"Transfer-Encoding: chunked",
                b"Cookie: \xff=;;",
                b"Origin: http://[",
                b"",
                b" ",
                b":",
                b"\n",
            ]
        )
        | noise,
        max_size=14,
    ),
    sizes=cuts,
    waste=st.integers(0, 1) | st.just(20_000),
)
def test_any_request(make_rig: Any, lines: list[bytes], sizes: list[int], waste: int) -> None:
    data = b"\r\n".join([b"GET /ws HTTP/1.1", *lines, b"x" * waste, b""])
    answers: list[bytes] = []
    rig = server(make_rig, compression=True)
    for pieces in ([data], cut(data, sizes)):
        rig.anew()
        for piece in pieces:
            rig.feed(piece)
        answer = rig.take()
        if answer:
            assert answer.startswith(b"HTTP/1.1 ")
            assert b"\r\n\r\n" in answer
            if not answer.startswith(b"HTTP/1.1 101 "):
                assert rig.link.end == "finish"
        else:
            rig.pass_time(10.1)
            assert rig.link.end in ("finish", "abort")
        rig.link.sink.lost()
        rig.link.sink.lost()
        status = answer[:12]
        answers.append(status)
    # A head that is too long is told as soon as that is known: before its end, or at it.
    assert answers[0] == answers[1] or len(data) > 16_384


@settings(max_examples=500, deadline=None)
@given(
    parts=st.lists(frames | noise, max_size=12),
    sizes=cuts,
    compression=st.booleans(),
)
def test_any_frames(make_rig: Any, parts: list[bytes], sizes: list[int], compression: bool) -> None:
    data = b"".join(parts)
    outcomes: list[Any] = []
    rig = server(make_rig, compression=compression)
    for pieces in ([data], cut(data, sizes), [data[i : i + 1] for i in range(len(data))]):
        rig.anew()
        rig.open(OFFER)
        for piece in pieces:
            rig.feed(piece)
        written = rig.take()
        end = rig.link.end
        close = rig.lose()
        outcomes.append(([*rig.seen], written, end, close))
        assert all(len(message) <= 300 for message in rig.seen)
    assert outcomes[0] == outcomes[1] == outcomes[2]


@settings(max_examples=100, deadline=None)
@given(
    words=st.lists(st.text(max_size=5), max_size=30),
    sizes=cuts,
    pauses=st.sets(st.integers(0, 30)),
    closes=st.integers(0, 40),
)
def test_any_pauses(
    make_rig: Any, words: list[str], sizes: list[int], pauses: set[int], closes: int
) -> None:
    paused = False

    def handle(spark: Any, message: str) -> None:
        nonlocal paused
        assert not paused
        if len(rig.seen) == closes:
            spark.close_nowait()
        elif len(rig.seen) in pauses:
            paused = True
            spark.connection.pause_reading()

    def go_on() -> None:
        nonlocal paused
        while paused:
            paused = False
            rig.connection.resume_reading()

    rig = make_rig(handle)
    rig.open()
    for piece in cut(b"".join(frame(1, word.encode()) for word in words), sizes):
        rig.feed(piece)
        if not rig.link.reading:
            go_on()
    assert rig.seen == words[: closes or None]
    assert rig.link.reading
