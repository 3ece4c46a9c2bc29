"""WebSockets on a aiohttp stream: the ways in which they end, and slow clients and handlers."""

import os
import struct
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

from unisock import Close, ConnectionLost, Message, Origin, Sent, Server, Spark
from unisock.testing import running
from unisock.testing.certificates import Certificates
from unisock.testing.conformance.base import Watch, eventually
from unisock.testing.running import Running
from unisock.testing.websocket import frame
from unisock.testing.wire import read_all
from unisock_aiohttp import AiohttpAdapter

pytestmark = pytest.mark.anyio

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving(server: Server, **more: Any) -> AsyncGenerator[Running]:
    with anyio.fail_after(20):
        async with running.serving(server, **more) as live:
            yield live


def make(**settings: Any) -> Server:
    settings = {"heartbeat": {"interval": 0}, **settings}
    return Server(
        adapter=AiohttpAdapter(),
        folder=None,
        endpoints=[{"path": "/ws", "codec": "raw"}],
        **settings,
    )


class Witness(Watch):
    """Has a server send back what it gets, and remembers it."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.heard: list[Message] = []
        server.on_message(self._on_message)

    def _on_message(self, spark: Spark, message: Message) -> None:
        self.heard.append(message)
        spark.send_nowait(message)
        self.changed()


def echoing(**settings: Any) -> tuple[Server, Witness]:
    server = make(**settings)
    return server, Witness(server)


async def shake_hands(live: Running) -> ByteStream:
    """A client that has nothing but a socket."""
    stream = await live.place.dial()
    await stream.send(HANDSHAKE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive(1)
    assert b" 101 " in head
    return stream


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def close_of(data: bytes) -> tuple[int, str]:
    """Code and reason of the close frame with which these bytes end."""
    assert data[:1] == b"\x88", data
    assert len(data) == 2 + data[1]
    return int.from_bytes(data[2:4], "big"), data[4:].decode()


FAULTS = {
    **{
        f"close {code}": (frame(CLOSE, struct.pack("!H", code)), 1002, "close code")
        for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000)
    },
    "half a close code": (frame(CLOSE, b"\x03"), 1002, "close code"),
    "close reason": (frame(CLOSE, b"\x03\xe8\xff"), 1007, "UTF-8"),
    "text": (frame(TEXT, b"\xff"), 1007, "UTF-8"),
    "no mask": (frame(TEXT, b"x", mask=False), 1002, "masked"),
    "reserved bit": (frame(TEXT, b"x", reserved=4), 1002, "reserved"),
    "ping in fragments": (frame(PING, fin=False), 1002, "fragments"),
    "too long": (frame(TEXT, b"x" * 1001), 1009, "message_bytes = 1000"),
    "too many fragments": (
        frame(TEXT, b"x", fin=False) + frame(0, b"x", fin=False) * 9,
        1009,
        "fragments = 9",
    ),
}


@pytest.mark.parametrize(("data", "code", "reason"), FAULTS.values(), ids=FAULTS)
async def test_what_aiohttp_lets_pass_or_cuts_has_a_code_and_a_reason(
    data: bytes, code: int, reason: str
) -> None:
    server, watch = echoing(limits={"message_bytes": 1000, "fragments": 9})
    async with serving(server) as live, await shake_hands(live) as stream:
        await stream.send(frame(TEXT, b"first") + data + frame(TEXT, b"never"))
        answer = await read_all(stream)  # also a test that the server ends it
        assert answer.startswith(b"\x81\x05first")
        assert close_of(answer[7:])[0] == code
        assert reason in close_of(answer[7:])[1]
        await stream.aclose()
        close = await watch.end()
        assert (close.code, close.origin) == (code, Origin.LOCAL)
        assert reason in close.reason


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_fault_amid_a_flood_is_told_all_the_same(tls: bool) -> None:
    """To close with bytes unread would reset the connection, and the close frame with it."""
    server, watch = echoing(limits={"message_bytes": 1000})
    certificates = Certificates()
    with tempfile.TemporaryDirectory() as folder:
        listen = {"tls": certificates.write(Path(folder))} if tls else {}
        async with (
            serving(server, listen=listen, trust=certificates.client) as live,
            await shake_hands(live) as stream,
        ):
            await stream.send(frame(TEXT, b"x" * 30_000_000))
            answer = b""
            while len(answer) < 4:
                answer += await stream.receive()
            assert close_of(answer)[0] == 1009
            await stream.aclose()
            assert (await watch.end()).code == 1009


async def test_a_fault_after_our_close_does_not_cost_the_client_our_close_frame() -> None:
    server = make(limits={"message_bytes": 1000})

    @server.on_open
    def refuse(spark: Spark) -> None:
        spark.close_nowait(4000, "no")

    async with serving(server) as live, await shake_hands(live) as stream:
        await stream.send(frame(TEXT, b"x" * 30_000_000))
        answer = b""
        while len(answer) < 6:
            answer += await stream.receive()
        assert close_of(answer) == (4000, "no")


@pytest.mark.parametrize(
    ("said", "answered", "seen"),
    [
        (b"", b"\x88\x00", (1005, "")),
        (b"\x03\xe8", b"\x88\x02\x03\xe8", (1000, "")),
        (b"\x0f\xa0bye", b"\x88\x02\x0f\xa0", (4000, "bye")),
    ],
)
async def test_a_clients_close_is_answered_once_and_ends_it(
    said: bytes, answered: bytes, seen: tuple[int, str]
) -> None:
    server, watch = echoing()
    async with serving(server) as live, await shake_hands(live) as stream:
        await stream.send(frame(TEXT, b"half", fin=False) + frame(CLOSE, said) + frame(CLOSE))
        assert await read_all(stream) == answered
        close = await watch.end()
        assert (close.code, close.reason, close.origin) == (*seen, Origin.PEER)
    assert len(watch.closed) == 1


async def test_what_comes_after_our_close_is_not_delivered() -> None:
    server = make()
    taken: list[Message] = []
    watch = Watch(server)

    @server.on_message
    def take(spark: Spark, message: Message) -> None:
        taken.append(message)
        spark.close_nowait(4000, "enough")

    async with serving(server) as live, await shake_hands(live) as stream:
        await stream.send(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(PING))
        answer = b""
        while len(answer) < 10:
            answer += await stream.receive()
        assert close_of(answer) == (4000, "enough")
        await stream.send(frame(TEXT, b"three") + frame(CLOSE, b"\x0f\xa0"))
        assert await read_all(stream) == b""
        assert (await watch.end()).code == 4000
    assert taken == ["one"]


async def test_replies_of_one_turn_go_out_in_one_write() -> None:
    server, _ = echoing()
    async with serving(server) as live, await shake_hands(live) as stream:
        await stream.send(frame(TEXT, b"hello") * 100 + frame(PING, b"?"))
        assert await stream.receive() == b"\x81\x05hello" * 100 + b"\x8a\x01?"


async def test_a_client_that_pings_and_does_not_read_makes_nothing_grow() -> None:
    server, watch = echoing()
    pings = 100_000
    async with serving(server) as live, await shake_hands(live) as stream:
        for number in range(0, pings, 1000):
            await stream.send(
                b"".join(frame(PING, b"%0125d" % n) for n in range(number, number + 1000))
            )
        await stream.send(frame(TEXT, b"the end"))
        await watch.until(lambda: watch.heard == ["the end"])
        answer = bytearray()
        while not answer.endswith(b"\x81\x07the end"):
            answer += await stream.receive()
    pongs, rest = divmod(len(answer) - 9, 127)
    assert (rest, answer[:2]) == (0, b"\x8a\x7d")
    assert pongs < pings, "those in between were left out"
    assert b"%0125d" % (pings - 1) in answer, "the last was not"


async def test_what_was_held_back_is_delivered_before_the_loss() -> None:
    server = make(limits={"inbox_messages": 4})
    taken: list[Message] = []
    opened, go, lost = anyio.Event(), anyio.Event(), anyio.Event()

    @server.session
    async def read(spark: Spark) -> None:
        opened.set()
        await go.wait()
        try:
            while True:
                taken.append(await spark.receive())
        except ConnectionLost:
            lost.set()

    async with serving(server) as live:
        stream = await shake_hands(live)
        await opened.wait()
        await stream.send(b"".join(frame(TEXT, b"%d" % number) for number in range(100)))
        await stream.aclose()
        go.set()
        await lost.wait()
    assert taken == [str(number) for number in range(100)]


async def test_a_session_that_never_reads_learns_of_the_loss_when_it_writes() -> None:
    server = make(limits={"inbox_messages": 2})
    full, lost = anyio.Event(), anyio.Event()

    @server.session
    async def write(spark: Spark) -> None:
        await full.wait()
        try:
            while True:
                await spark.send("are you there?")
                await checkpoint()
        except ConnectionLost:
            lost.set()

    async with serving(server) as live:
        stream = await shake_hands(live)
        await stream.send(frame(TEXT, b"x") * 10)
        await stream.aclose()
        full.set()
        await lost.wait()


async def test_a_busy_client_of_a_busy_handler_is_not_taken_for_dead() -> None:
    """While reading is paused, pongs cannot be read."""
    server = make(limits={"inbox_messages": 2}, heartbeat={"interval": 0.1, "timeout": 0.1})
    watch = Watch(server)
    go, pinged = anyio.Event(), anyio.Event()
    taken: list[Message] = []

    @server.on_message
    async def take(spark: Spark, message: Message) -> None:
        await go.wait()
        taken.append(message)
        if len(taken) == 10:
            pinged.set()

    async with serving(server) as live, await shake_hands(live) as stream:
        await stream.send(frame(TEXT, b"x") * 10)
        spark = await watch.spark()
        with anyio.move_on_after(0.6):  # several heartbeats
            await spark.connection.wait_closed()
        assert spark.closed is None
        go.set()
        await pinged.wait()
        assert spark.closed is None


async def test_a_silent_client_is_pinged_and_its_answer_is_measured() -> None:
    server, watch = echoing(heartbeat={"interval": 0.1, "timeout": 0.2})
    async with serving(server) as live, await shake_hands(live) as stream:
        spark = await watch.spark()
        assert await stream.receive() == b"\x89\x00"
        assert spark.latency is None
        await stream.send(frame(PONG))
        assert await stream.receive() == b"\x89\x00"
        assert spark.latency is not None
        close = await watch.end()
        assert (close.code, close.origin) == (1006, Origin.LOST)
        assert await read_all(stream) == b""


async def test_a_slow_reader_is_congested_and_relieved() -> None:
    server, watch = echoing(
        overflow="drop-newest", limits={"outbox_bytes": 100_000, "outbox_messages": 10}
    )
    async with serving(server) as live, await shake_hands(live) as stream:
        spark = await watch.spark()
        message = "x" * 50_000
        sent = 0
        while spark.send_nowait(message):
            sent += 1
            await checkpoint()
        assert sent < 1000
        answer = b""
        while len(answer) < sent * 50_004:
            answer += await stream.receive()
        await spark.connection.drain()
        assert spark.send_nowait("again")
        while len(answer) < sent * 50_004 + 7:
            answer += await stream.receive()
        assert answer == (b"\x81\x7e\xc3\x50" + b"x" * 50_000) * sent + b"\x81\x05again"


async def test_a_close_waits_for_a_slow_reader() -> None:
    server, watch = echoing(limits={"close_seconds": 10})
    async with serving(server) as live, await shake_hands(live) as stream:
        spark = await watch.spark()
        spark.send_nowait("x" * 30_000_000)  # more than any kernel takes
        assert spark.send_nowait("y" * 60_000) is Sent.QUEUED
        spark.close_nowait(4000, "done")
        size, last = 0, b""
        while not last.endswith(b"yyyy\x88\x06\x0f\xa0done"):
            data = await stream.receive()
            size, last = size + len(data), last[-12:] + data
        assert size == 30_000_010 + 60_004 + 8
        await stream.send(frame(CLOSE, b"\x0f\xa0"))
        assert await read_all(stream) == b""
        assert (await watch.end()) == Close(4000, "done")


async def test_a_client_that_closes_and_does_not_read_is_cut_in_the_end() -> None:
    server, watch = echoing(limits={"close_seconds": 0.2})
    async with serving(server) as live, await shake_hands(live) as stream:
        files = open_files()
        (await watch.spark()).send_nowait("x" * 30_000_000)
        await stream.send(frame(CLOSE, b"\x03\xe8"))
        assert (await watch.end()).origin is Origin.PEER
        await eventually(lambda: open_files() < files)
        assert len(await read_all(stream)) < 30_000_000


async def test_a_broadcast_is_framed_once() -> None:
    server, watch = echoing()
    async with serving(server) as live:
        peers = [await live.connect() for _ in range(10)]
        await watch.spark(9)
        assert len({id(spark.connection.framing) for spark in watch.opened}) == 1
        live.hub.send_nowait("to all")
        assert [await peer.receive() for peer in peers] == ["to all"] * 10


async def test_a_close_while_reading_is_paused_hears_the_clients_answer() -> None:
    server = make(limits={"inbox_messages": 4, "close_seconds": 600})
    closed = anyio.Event()

    @server.session
    async def leave(spark: Spark) -> None:
        await spark.receive()
        spark.connection.close(Close(4000, "enough"))  # as the core does with a slow client
        await spark.connection.wait_closed()
        closed.set()

    async with serving(server) as live, await shake_hands(live) as stream:
        await stream.send(frame(TEXT, b"x") * 20)
        answer = b""
        while len(answer) < 10:
            answer += await stream.receive()
        assert close_of(answer) == (4000, "enough")
        await stream.send(frame(CLOSE, b"\x0f\xa0"))
        await closed.wait()
        assert await read_all(stream) == b""
