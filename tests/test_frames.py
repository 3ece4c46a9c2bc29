"""The frame reader alone: whatever comes, in whatever pieces."""

import os
import zlib
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock import Close, LimitExceeded, Origin, ProtocolError
from unisock.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameReader,
    close_frame,
    read_close,
    unmask,
)
from unisock.testing.websocket import frame

LARGE = 1 << 20


def read(
    data: bytes,
    *,
    pieces: int = 0,
    limit: int = LARGE,
    fragments: int = 1024,
    deflate: bool = False,
) -> list[object]:
    """What a reader makes of these bytes, fed in pieces of this size."""
    reader = FrameReader(limit, fragments, deflate=deflate)
    found: list[object] = []
    pieces = pieces or len(data) or 1
    for start in range(0, len(data), pieces):
        reader.feed(data[start : start + pieces])
        while (event := reader.next()) is not None:
            found.append(event)
    return found


def code_of(data: bytes, **caps: Any) -> int:
    with pytest.raises((ProtocolError, LimitExceeded)) as caught:
        read(data, **caps)
    code: int = caught.value.code
    return code


messages = st.one_of(
    st.tuples(st.just(TEXT), st.text(max_size=300)),
    st.tuples(st.just(BINARY), st.binary(max_size=70_000)),
    st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
)


@st.composite
def wires(draw: st.DrawFn) -> tuple[bytes, list[object]]:
    """Bytes as a client sends them, and what they mean."""
    wire, meaning = b"", list[object]()
    for opcode, payload in draw(st.lists(messages, max_size=6)):
        data = payload.encode() if isinstance(payload, str) else payload
        if opcode in (PING, PONG):
            wire += frame(opcode, data)
        else:
            cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
            edges = [0, *cuts, len(data)]
            for number, (start, end) in enumerate(pairwise(edges)):
                last = number == len(edges) - 2
                wire += frame(0 if number else opcode, data[start:end], fin=last)
                if not last and draw(st.booleans()):
                    wire += frame(PING, b"between")
                    meaning.append((PING, b"between"))
        meaning.append((opcode, payload))
    return wire, meaning


@given(wires(), st.integers(1, 5000))
def test_messages_come_out_as_they_went_in(case: tuple[bytes, list[object]], pieces: int) -> None:
    wire, meaning = case
    assert read(wire, pieces=pieces if len(wire) < 5000 else max(pieces, 500)) == meaning


@given(st.binary(max_size=200), st.integers(1, 50))
def test_garbage_is_an_error_or_a_message(data: bytes, pieces: int) -> None:
    with suppress(ProtocolError, LimitExceeded):
        read(data, pieces=pieces, limit=100, fragments=3)


@given(st.binary(max_size=130))
def test_any_close_payload_is_a_close_or_an_error(payload: bytes) -> None:
    with suppress(ProtocolError):
        close = read_close(payload)
        assert close.origin is Origin.PEER
        assert close.code == 1005 if not payload else Close.sendable(close.code)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
def test_every_form_of_length(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert read(frame(BINARY, data), pieces=1000) == [(BINARY, data)]


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(TEXT, b"x", mask=False), 1002),
        (frame(TEXT, b"x", reserved=4), 1002),
        (frame(TEXT, b"x", reserved=1), 1002),
        (frame(3, b"x"), 1002),
        (frame(7), 1002),
        (frame(11), 1002),
        (frame(15), 1002),
        (frame(PING, b"x", fin=False), 1002),
        (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(0, b"x"), 1002),
        (frame(0, b"x", fin=False), 1002),
        (frame(TEXT, b"x", fin=False) + frame(BINARY, b"y"), 1002),
        (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y", fin=False), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"\xe2\x82", fin=False) + frame(0, b""), 1007),
        (b"\x82\xff" + (1 << 63).to_bytes(8, "big"), 1009),
    ],
    ids=lambda value: "frame" if isinstance(value, bytes) else None,
)
def test_broken_rules_have_the_right_code(wire: bytes, code: int) -> None:
    assert code_of(wire) == code
    assert code_of(wire, pieces=1) == code


def test_a_fault_is_found_before_the_rest_comes() -> None:
    assert code_of(frame(TEXT, b"caf\xff", fin=False)) == 1007, "in the first fragment"
    assert code_of(b"\x81\x05") == 1002, "unmasked"
    assert code_of(b"\x83\x80") == 1002, "unknown opcode"
    assert code_of(b"\x89\xfe") == 1002, "long ping"


@pytest.mark.parametrize(
    "begun",
    [b"", frame(TEXT, "κό".encode()[:3], fin=False)],
    ids=["in one frame", "in the second fragment"],
)
def test_what_is_no_text_is_found_before_its_frame_is_whole(begun: bytes) -> None:
    text = "σμε".encode() if not begun else "ό".encode()[1:] + "σμε".encode()
    whole = frame(0 if begun else TEXT, text + b"\xf4\x90\x80\x80edited")
    assert read(begun + whole[:-9], pieces=1) == [], "U+10FFFF has this first byte too"
    assert code_of(begun + whole[:-8]) == 1007, "there is no U+110000"
    assert code_of(begun + whole[:-8], pieces=1) == 1007


def test_binary_may_be_anything_in_any_pieces() -> None:
    wire = frame(BINARY, b"\xff" * 20, fin=False) + frame(0, b"\xff" * 20)
    assert read(wire + frame(BINARY, b"\xff" * 30), pieces=7) == [
        (BINARY, b"\xff" * 40),
        (BINARY, b"\xff" * 30),
    ]


def test_text_that_comes_in_pieces_is_not_in_fragments() -> None:
    text = "κόσμε" * 50
    assert read(frame(TEXT, text.encode()), pieces=1, fragments=1) == [(TEXT, text)]


def test_text_after_a_message_in_fragments_is_text_of_its_own() -> None:
    wire = frame(TEXT, "é".encode()[:1], fin=False) + frame(0, "é".encode()[1:]) + frame(TEXT, b"e")
    assert read(wire) == [(TEXT, "é"), (TEXT, "e")]


def test_the_cap_on_message_bytes() -> None:
    assert read(frame(BINARY, b"x" * 100), limit=100) == [(BINARY, b"x" * 100)]
    assert code_of(frame(BINARY, b"x" * 101), limit=100) == 1009
    halves = frame(TEXT, b"x" * 60, fin=False), frame(0, b"x" * 40), frame(0, b"x" * 41)
    assert read(halves[0] + halves[1], limit=100) == [(TEXT, "x" * 100)]
    assert code_of(halves[0] + halves[2], limit=100) == 1009
    assert code_of(halves[0] + halves[2], limit=100, pieces=7) == 1009
    assert read(frame(TEXT, b"x" * 100), limit=100, pieces=7) == [(TEXT, "x" * 100)]
    assert read(frame(PING, b"x" * 11), limit=10) == [(PING, b"x" * 11)], "for messages only"


def test_the_cap_on_message_bytes_counts_each_message_anew() -> None:
    wire = (frame(TEXT, b"x" * 60, fin=False) + frame(0, b"x" * 40)) * 3 + frame(TEXT, b"y" * 100)
    assert len(read(wire, limit=100)) == 4


def test_the_cap_on_fragments() -> None:
    wire = frame(TEXT, fin=False) + frame(0, fin=False) * 2 + frame(PING) + frame(0)
    assert read(wire, fragments=4) == [(PING, b""), (TEXT, "")]
    with pytest.raises(LimitExceeded, match="fragments = 3"):
        read(wire, fragments=3)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_large_frame_is_read_in_large_pieces(opcode: int) -> None:
    reader = FrameReader(LARGE, 1)
    small = reader.wants
    reader.feed(frame(opcode, b"x" * LARGE)[:100])
    assert reader.next() is None
    assert small < reader.wants < LARGE, "but not so large that others have to wait"


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535])
def test_a_close_code_that_may_not_be_sent_is_an_error(code: int) -> None:
    with pytest.raises(ProtocolError):
        read_close(code.to_bytes(2, "big"))


def test_close_frames() -> None:
    assert read_close(b"") == Close(1005, origin=Origin.PEER)
    assert read_close(b"\x03\xe8bye") == Close(1000, "bye", origin=Origin.PEER)
    assert close_frame(Close(1000, "bye")) == b"\x88\x05\x03\xe8bye"
    assert close_frame(Close(1005)) == b"\x88\x00"
    assert len(close_frame(Close(4000, "é" * 200))) <= 127


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=300))
def test_unmasking(mask: bytes, payload: bytes) -> None:
    assert unmask(mask, payload) == bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def squeeze(data: bytes) -> bytes:
    """A message as a client compresses it (RFC 7692 section 7.2.1)."""
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


@given(messages, st.integers(1, 3000), st.integers(0, 4))
def test_compressed_messages(message: tuple[int, str | bytes], pieces: int, cuts: int) -> None:
    opcode, payload = message
    data = payload.encode() if isinstance(payload, str) else payload
    if opcode in (PING, PONG):
        wire = frame(opcode, data)
    else:
        squeezed = squeeze(data)
        step = len(squeezed) // (cuts + 1) + 1
        parts = [squeezed[at : at + step] for at in range(0, len(squeezed), step)] or [b""]
        wire = b"".join(
            frame(
                0 if number else opcode,
                part,
                fin=number == len(parts) - 1,
                reserved=0 if number else 4,
            )
            for number, part in enumerate(parts)
        )
    assert read(wire * 2, pieces=pieces, deflate=True) == [(opcode, payload)] * 2


@given(st.binary(max_size=200), st.integers(1, 50))
def test_compressed_garbage_is_an_error_or_a_message(data: bytes, pieces: int) -> None:
    with suppress(ProtocolError, LimitExceeded):
        read(b"\xc1\xfe" + data, pieces=pieces, limit=100, fragments=3, deflate=True)
    with suppress(ProtocolError, LimitExceeded):
        read(frame(TEXT, data, reserved=4), pieces=pieces, limit=100, deflate=True)


def test_with_compression_plain_messages_stay_plain() -> None:
    wire = frame(TEXT, b"x", fin=False) + frame(0, b"y") + frame(BINARY, b"z")
    assert read(wire, deflate=True) == [(TEXT, "xy"), (BINARY, b"z")]


@pytest.mark.parametrize(
    "wire",
    [
        frame(TEXT, squeeze(b"x"), reserved=2),
        frame(TEXT, squeeze(b"x"), reserved=5),
        frame(PING, squeeze(b"x"), reserved=4),
        frame(TEXT, squeeze(b"x"), fin=False, reserved=4) + frame(0, b"", reserved=4),
    ],
    ids=["2", "5", "on a ping", "on a fragment"],
)
def test_where_the_bit_of_compression_may_not_be(wire: bytes) -> None:
    with pytest.raises(ProtocolError, match="reserved bit"):
        read(wire, deflate=True)


def test_what_cannot_be_inflated_or_is_no_text_is_1007() -> None:
    for wrong in (
        frame(BINARY, b"\xff\xff", reserved=4),
        frame(TEXT, squeeze(b"\xff"), reserved=4),
    ):
        with pytest.raises(ProtocolError) as caught:
            read(wrong, deflate=True)
        assert caught.value.code == 1007


def test_message_bytes_counts_what_is_inflated() -> None:
    noise = os.urandom(1000)  # it grows by being compressed
    assert read(frame(BINARY, squeeze(noise), reserved=4), limit=1000, deflate=True)
    for data in (noise + b"x", b"x" * 1001, b"x" * 30_000_000):
        with pytest.raises(LimitExceeded, match="message_bytes = 1000"):
            read(frame(BINARY, squeeze(data), reserved=4), limit=1000, deflate=True)
    half = squeeze(noise)[:600]
    wire = frame(BINARY, half, fin=False, reserved=4) + frame(0, half, fin=False)
    with pytest.raises(LimitExceeded, match="message_bytes = 1000"):
        read(wire, limit=1000, deflate=True)
