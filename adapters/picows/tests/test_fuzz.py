"""Whatever a client sends: no exception, a proper end, and the same for every way to cut it up."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisock.testing.running import serving
from unisock.testing.websocket import frame
from unisock.testing.wire import read_all

LIMITS = {"message_bytes": 300, "fragments": 4, "close_seconds": 5.0}

opcodes = st.sampled_from([0, 0, 1, 1, 2, 2, 8, 9, 10, 3])
payloads = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=10).map(str.encode),
    st.sampled_from([b"\x03\xe8", b"\x03\xe8bye", b"x" * 126, b"x" * 299, b"x" * 300, b"x" * 301]),
    st.integers(0, 6000).map(lambda code: code.to_bytes(2, "big")),
)
frames = st.builds(
    frame,
    opcodes,
    payloads,
    fin=st.sampled_from([True, True, False]),
    reserved=st.sampled_from([0, 0, 0, 0, 4, 1]),
    mask=st.sampled_from([True] * 20 + [False]),
)
streams = st.lists(st.one_of(frames, frames, st.binary(max_size=30)), max_size=8).map(b"".join)
cuts = st.lists(st.integers(1, 400), max_size=6)

heads = st.lists(
    st.sampled_from(
        [
            b"GET /ws HTTP/1.1\r\n",
            b"POST /ws HTTP/1.1\r\n",
            b"HEAD / HTTP/1.0\r\n",
            b"Host: x\r\n",
            b"Upgrade: websocket\r\n",
            b"Connection: upgrade\r\n",
            b"Connection: keep-alive\r\n",
            b"Content-Length: 3\r\n",
            b"Content-Length: 99999999999999999999\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Sec-WebSocket-Version: 13\r\n",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            b"Expect: 100-continue\r\n",
            b": x\r\n",
            b"\r\n",
            b"3\r\nabc\r\n0\r\n\r\n",
            b"\x00\xff",
        ]
    ),
    max_size=14,
).map(b"".join)


class Faults(logging.Handler):
    """Remembers what is logged as a fault."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in pieces of these sizes, and the rest."""
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in (*pieces, data) if piece]


async def talk(kit: Any, conversations: list[tuple[bytes, list[bytes]]]) -> list[tuple[Any, ...]]:
    """What a server heard and answered, for each of several clients: an opening, then pieces."""
    faults = Faults()
    logging.getLogger().addHandler(faults)
    outcomes: list[tuple[Any, ...]] = []
    try:
        with anyio.fail_after(60):
            for opening, pieces in conversations:
                server, echo = kit.echoing(limits=LIMITS)
                async with serving(server) as live, await live.place.dial() as stream:
                    if opening:
                        await stream.send(opening)
                        assert b" 101 " in await kit.head(stream)
                    for piece in pieces:
                        try:
                            await stream.send(piece)
                        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                            break
                        await asyncio.sleep(0)
                    await stream.send_eof()
                    answer = await read_all(stream)
                    # Nobody is left behind.
                    peer = await live.connect()
                    await peer.send("fine")
                    assert await peer.receive() == "fine"
                    heard = [message for message in echo.heard if message != "fine"]
                    outcomes.append((heard, answer[answer.rfind(b"\x88") :]))
    finally:
        logging.getLogger().removeHandler(faults)
    assert faults.records == []
    return outcomes


@settings(max_examples=40, deadline=None)
@given(streams, cuts)
def test_frames_mean_the_same_however_they_come(
    kit: Any, lending_kit: Any, data: bytes, sizes: list[int]
) -> None:
    opening = kit.handshake()
    in_pieces = (opening, cut(data, sizes))
    whole, pieces = anyio.run(talk, kit, [(opening, [data]), in_pieces])
    assert pieces == whole
    assert anyio.run(talk, lending_kit, [in_pieces]) == [whole]


@settings(max_examples=40, deadline=None)
@given(heads, cuts)
def test_requests_never_raise(kit: Any, data: bytes, sizes: list[int]) -> None:
    anyio.run(talk, kit, [(b"", cut(data, sizes))])


@pytest.mark.parametrize(
    "data",
    [b"", b"\x81", frame(1, b"x")[:-1], frame(1, b"x", fin=False)],
    ids=["nothing", "one byte", "half a frame", "half a message"],
)
def test_the_end_in_the_middle_is_an_end(kit: Any, data: bytes) -> None:
    assert anyio.run(talk, kit, [(kit.handshake(), [data])]) == [([], b"")]
