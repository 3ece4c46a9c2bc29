"""permessage-deflate (RFC 7692), without input and output."""

from __future__ import annotations

import os
import struct
import zlib
from typing import Any

import pytest

from unisock.messages import Origin
from unisock.testing.websocket import frame
from unisock_websockets.framing import SMALLEST
from unisock_websockets.options import Options

CONT, TEXT, BINARY = 0, 1, 2
COMPRESSED = 4
"""RSV1: the first frame of a compressed message has it."""
OFFER = "Sec-WebSocket-Extensions: permessage-deflate"
ON = Options(compression=True)


def deflate(data: bytes, bits: int = 12) -> bytes:
    """A message as a client compresses it (RFC 7692 section 7.2.1)."""
    deflater = zlib.compressobj(wbits=-bits)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflate(data: bytes, bits: int = 15) -> bytes:
    """A message as a client reads it."""
    return zlib.decompressobj(wbits=-bits).decompress(data + b"\x00\x00\xff\xff")


def payload(data: bytes) -> tuple[int, bytes]:
    """The first byte and the payload of the only frame in ``data``."""
    first, length = struct.unpack_from("!BB", data)
    at = 2
    if length == 126:
        (length,), at = struct.unpack_from("!H", data, 2), 4
    elif length == 127:
        (length,), at = struct.unpack_from("!Q", data, 2), 10
    assert len(data) == at + length
    return first, data[at:]


def test_off_unless_asked_for(make_rig: Any) -> None:
    rig = make_rig()
    assert b"Extensions" not in rig.open(OFFER)
    rig.feed(frame(TEXT, deflate(b"hello"), reserved=COMPRESSED))
    assert rig.take()[2:4] == struct.pack("!H", 1002)


def test_off_where_the_client_does_not_offer_it(make_rig: Any) -> None:
    rig = make_rig(options=ON)
    assert b"Extensions" not in rig.open()
    rig.feed(frame(TEXT, b"x" * 5000))
    assert payload(rig.take()) == (0x81, b"x" * 5000)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_both_directions(make_rig: Any, opcode: int) -> None:
    rig = make_rig(options=ON)
    assert b"permessage-deflate; server_no_context_takeover" in rig.open(OFFER)
    message = b"all work and no play " * 1000
    for _ in range(2):
        rig.feed(frame(opcode, deflate(message), reserved=COMPRESSED))
        first, data = payload(rig.take())
        assert first == 0xC0 | opcode
        assert len(data) < len(message) / 10
        assert inflate(data) == message
    assert rig.seen == [message.decode() if opcode == TEXT else message] * 2


def test_a_small_message_goes_out_as_it_is(make_rig: Any) -> None:
    rig = make_rig(options=ON)
    rig.open(OFFER)
    for size, first in ((SMALLEST - 1, 0x81), (SMALLEST, 0xC1)):
        rig.feed(frame(TEXT, b"x" * size))
        assert payload(rig.take())[0] == first


def test_the_client_may_refer_to_its_earlier_messages(make_rig: Any) -> None:
    rig = make_rig(options=ON)
    rig.open(f"{OFFER}; client_max_window_bits")
    deflater = zlib.compressobj(wbits=-12)
    noise = os.urandom(1000)
    sizes: list[int] = []
    for _ in range(3):
        data = (deflater.compress(noise) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        sizes.append(len(data))
        rig.feed(frame(BINARY, data, reserved=COMPRESSED))
    assert sizes[1] < sizes[0] / 10
    assert rig.seen == [noise] * 3


@pytest.mark.parametrize("bits", [9, 11, 15])
def test_the_window_that_the_client_asked_for(make_rig: Any, bits: int) -> None:
    rig = make_rig(options=ON)
    answer = rig.open(f"{OFFER}; server_max_window_bits={bits}")
    assert f"server_max_window_bits={bits}".encode() in answer
    # What repeats after 1000 bytes is beyond the smallest window.
    message = os.urandom(1000) * 8
    rig.feed(frame(BINARY, message[:4000], fin=False) + frame(CONT, message[4000:]))
    _, data = payload(rig.take())
    assert inflate(data, bits) == message


def test_a_window_that_cannot_be_is_not_agreed_to(make_rig: Any) -> None:
    rig = make_rig(options=ON)
    assert b"Extensions" not in rig.open(f"{OFFER}; server_max_window_bits=8")


def test_a_broadcast_is_compressed_once(make_rig: Any) -> None:
    rig = make_rig(options=ON)
    framings: set[int] = set()
    for offer in (OFFER, f"{OFFER}; client_max_window_bits", OFFER):
        link = rig.another()
        link.sink.received(rig.request(offer))
        framings.add(id(link.sink.framing))
    assert len(framings) == 1


@pytest.mark.parametrize("limit", [100, 1000, 4096, 70_000])
@pytest.mark.parametrize("over", [-1, 0, 1, 3_000_000])
@pytest.mark.parametrize("fragments", [1, 2, 3])
def test_the_limit_counts_inflated_bytes(
    make_rig: Any, limit: int, over: int, fragments: int
) -> None:
    rig = make_rig(options=ON, message_bytes=limit)
    rig.open(OFFER)
    size = limit + over
    bomb = deflate(b"\0" * size, 15)
    if over > 1 and len(bomb) > limit:
        bomb = bomb[:limit]  # the beginning is too much already
    step = -(-len(bomb) // fragments)
    parts = [bomb[start : start + step] for start in range(0, len(bomb), step)]
    data = b""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        opcode, reserved = (CONT, 0) if number else (BINARY, COMPRESSED)
        data += frame(opcode, part, fin=last, reserved=reserved)
    rig.feed(data)
    if over <= 0:
        assert [len(message) for message in rig.seen] == [size]
        return
    assert rig.seen == []
    reason = f"over the limit message_bytes = {limit}"
    assert payload(rig.take()) == (0x88, struct.pack("!H", 1009) + reason.encode())
    close = rig.lose()
    assert (close.code, close.reason, close.origin) == (1009, reason, Origin.LOCAL)


def test_nothing_is_left_of_the_limit_for_the_last_fragment(make_rig: Any) -> None:
    """A first fragment that is as large as allowed, and a bomb behind it."""
    rig = make_rig(options=ON, message_bytes=1000)
    rig.open(OFFER)
    deflater = zlib.compressobj(wbits=-15)
    first = deflater.compress(b"\0" * 1000) + deflater.flush(zlib.Z_SYNC_FLUSH)
    bomb = (deflater.compress(b"\0" * 100_000) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(bomb) < 125 + 100
    rig.feed(frame(BINARY, first, fin=False, reserved=COMPRESSED) + frame(CONT, bomb))
    assert rig.seen == []
    assert rig.take()[2:4] == struct.pack("!H", 1009)


@pytest.mark.parametrize(
    "bad",
    [
        frame(TEXT, b"\xff\xff\xff\xff", reserved=COMPRESSED),
        frame(TEXT, b"x", reserved=COMPRESSED | 2),
        frame(TEXT, deflate(b"x"), fin=False, reserved=COMPRESSED)
        + frame(CONT, b"", reserved=COMPRESSED),
    ],
    ids=["not deflated", "reserved bit", "continuation"],
)
def test_what_is_not_compressed_as_it_says(make_rig: Any, bad: bytes) -> None:
    rig = make_rig(options=ON)
    rig.open(OFFER)
    rig.feed(bad)
    assert rig.take()[2:4] == struct.pack("!H", 1002)
    assert rig.link.end == "finish"


def test_compressed_text_that_is_none(make_rig: Any) -> None:
    rig = make_rig(options=ON)
    rig.open(OFFER)
    rig.feed(frame(TEXT, deflate(b"\xff"), reserved=COMPRESSED))
    assert rig.take()[2:4] == struct.pack("!H", 1007)
