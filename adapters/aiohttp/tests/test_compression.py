"""permessage-deflate (RFC 7692), where it is turned on."""

import os
import zlib
from collections.abc import AsyncGenerator

import anyio
import pytest
from anyio.abc import ByteStream

from unisock import ConfigError, Server, Spark
from unisock.testing.running import Running, serving
from unisock.testing.websocket import frame
from unisock_aiohttp import AiohttpAdapter
from unisock_aiohttp.deflate import SMALLEST, agree

pytestmark = pytest.mark.anyio

TEXT, BINARY = 1, 2
COMPRESSED = 4
"""RSV1."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def make(compression: bool) -> Server:
    server = Server(
        adapter=AiohttpAdapter({"compression": compression}),
        folder=None,
        endpoints=[{"path": "/ws", "codec": "raw"}],
        limits={"message_bytes": 100_000},
    )

    @server.on_message
    def echo(spark: Spark, message: str | bytes) -> None:
        spark.send_nowait(message)

    return server


@pytest.fixture
async def running() -> AsyncGenerator[Running]:
    with anyio.fail_after(30):
        async with serving(make(True)) as running:
            yield running


async def open_one(running: Running, offer: str) -> tuple[ByteStream, str]:
    """A connection, and what was agreed on."""
    stream = await running.place.dial()
    lines = [
        "GET /ws HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *([f"Sec-WebSocket-Extensions: {offer}"] if offer else []),
    ]
    await stream.send("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive(1)
    agreed = [line for line in head.decode().split("\r\n") if "Extensions" in line]
    return stream, agreed[0].partition(": ")[2] if agreed else ""


def deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def answer(stream: ByteStream) -> tuple[int, bytes]:
    """The first byte and the payload of the next frame."""
    data = b""
    while len(data) < 2:
        data += await stream.receive(2 - len(data))
    size = data[1]
    if size == 126:
        size = int.from_bytes(await stream.receive(2), "big")
    payload = b""
    while len(payload) < size:
        payload += await stream.receive(size - len(payload))
    return data[0], payload


@pytest.mark.parametrize(("opcode", "size"), [(TEXT, 20_000), (BINARY, 20_000), (TEXT, 5)])
async def test_both_directions(running: Running, opcode: int, size: int) -> None:
    stream, agreed = await open_one(running, "permessage-deflate; client_max_window_bits")
    assert agreed == "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    message = (b"all work and no play " * 1000)[:size]
    for _ in range(2):
        await stream.send(frame(opcode, deflate(message), reserved=COMPRESSED))
        first, payload = await answer(stream)
        if size < SMALLEST:
            assert (first, payload) == (0x80 | opcode, message)
        else:
            assert first == 0xC0 | opcode
            assert len(payload) < size / 10
            assert zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff") == message
    await stream.aclose()


async def test_off_unless_turned_on_and_offered(running: Running) -> None:
    stream, agreed = await open_one(running, "")
    assert agreed == ""
    await stream.send(frame(TEXT, b"x" * 5000))
    assert await answer(stream) == (0x81, b"x" * 5000)
    await stream.aclose()
    async with serving(make(False)) as other:
        stream, agreed = await open_one(other, "permessage-deflate")
        assert agreed == ""
        await stream.send(frame(TEXT, deflate(b"x"), reserved=COMPRESSED))
        assert (await answer(stream))[1][:2] == (1002).to_bytes(2, "big")
        await stream.aclose()


async def test_a_bomb_is_too_big(running: Running) -> None:
    stream, _ = await open_one(running, "permessage-deflate")
    await stream.send(frame(BINARY, deflate(bytes(50_000_000)), reserved=COMPRESSED))
    first, payload = await answer(stream)
    assert (first, payload[:2]) == (0x88, (1009).to_bytes(2, "big"))
    assert b"message_bytes = 100000" in payload
    await stream.aclose()


@pytest.mark.parametrize("bits", [9, 12, 15])
def test_the_window_that_the_client_asked_for(bits: int) -> None:
    framing, agreed = agree(f"permessage-deflate; server_max_window_bits={bits}")
    assert (f"server_max_window_bits={bits}" in agreed) == (bits < 15)
    message = os.urandom(1000) * 8  # what repeats is beyond the smallest window
    sent = framing.frame(message)
    assert isinstance(sent, bytes)
    data = sent[4:] if len(sent) < 65_536 else sent[10:]
    assert zlib.decompressobj(-bits).decompress(data + b"\x00\x00\xff\xff") == message


def test_what_cannot_be_is_not_agreed_to() -> None:
    for offers in (None, "", "x-other", "permessage-deflate; server_max_window_bits=8"):
        assert agree(offers)[1] == ""


def test_who_agreed_on_the_same_shares_frames() -> None:
    one, _ = agree("permessage-deflate")
    assert one is agree("permessage-deflate; client_max_window_bits")[0]
    assert one is not agree("permessage-deflate; server_max_window_bits=10")[0]


def test_options_are_checked() -> None:
    for wrong in ({"compresion": True}, {"compression": "perhaps"}):
        with pytest.raises(ConfigError, match=r"options\.aiohttp.*the options are: compression"):
            AiohttpAdapter(dict(wrong))
