"""WebSockets whose frames picows reads: what it leaves to its user, and how writes are gathered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import anyio
import pytest

from unisock import EncodeError, Message, Origin, Spark
from unisock.framing import WebSocketFraming
from unisock.testing.conformance.base import Watch, eventually
from unisock.testing.frames import FrameSuite
from unisock.testing.websocket import frame
from unisock.testing.wire import read_all
from unisock_picows.outlet import LARGE, MANY
from unisock_picows.parser import CALM, free

from .spy import connection_of, exactly, spy

pytestmark = pytest.mark.anyio

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def close_of(data: bytes) -> tuple[int, str]:
    """Code and reason of the close frame with which these bytes end."""
    assert data[:1] == b"\x88", data
    assert len(data) == 2 + data[1]
    return int.from_bytes(data[2:4], "big"), data[4:].decode()


@pytest.fixture(params=["kept", "lent"])
def kit(request: pytest.FixtureRequest, kit: Any, lending_kit: Any) -> Any:
    """Few connections keep their parsers between messages; many borrow one for each read."""
    return kit if request.param == "kept" else lending_kit


class TestFrames(FrameSuite):
    adapter = "picows"


class TestFramesByLentParsers(FrameSuite):
    adapter = "picows"
    options: ClassVar[Mapping[str, Any]] = {"parsers": 0}


class TestFramesInPython(FrameSuite):
    adapter = "picows"
    options: ClassVar[Mapping[str, Any]] = {"native": False}


SIZES = [0, 1, 125, 126, 511, 512, 513, LARGE - 1, LARGE, LARGE + 1, 65_535, 65_536]


@pytest.mark.parametrize("size", SIZES)
async def test_messages_of_every_kind_come_back_at_each_size(kit: Any, size: int) -> None:
    """Where the length of a frame takes more bytes, or another way is taken for it."""
    words = ["x" * size, "x" * (size - 1) + "é", "é" * size, "\U0001f30d" * size]
    said: list[Message] = [*words, *(word.encode() for word in words)]
    server, echo = kit.echoing()
    answer = b"".join(map(WebSocketFraming().frame, said))
    async with kit.serving(server) as live, await kit.open(live) as stream:
        for message in said:
            text = isinstance(message, str)
            data = message.encode() if isinstance(message, str) else message
            await stream.send(frame(TEXT if text else BINARY, data))
        assert await exactly(stream, len(answer)) == answer
    assert echo.heard == said


FAULTS = {
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007, "UTF-8"),
    "no UTF-8 at the end of much ASCII": (frame(TEXT, b"x" * 600 + b"\xff"), 1007, "UTF-8"),
    **{
        f"reserved bit {bit}": (frame(kind, b"x", reserved=bit), 1002, "reserved bit")
        for bit in (1, 2, 4)
        for kind in (TEXT, PING)
    },
    "reserved bit on a fragment": (
        frame(TEXT, b"x", fin=False) + frame(0, b"x", reserved=4),
        1002,
        "reserved bit",
    ),
    "opcode 3": (frame(3, b"x"), 1002, "opcode"),
    "opcode 11": (frame(11, b"x"), 1002, "opcode"),
    "a long ping": (frame(PING, b"x" * 126), 1002, "125"),
    "a fragment of nothing": (frame(0, b"x"), 1002, "no message"),
    "a message in a message": (
        frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
        1002,
        "inside another",
    ),
    "too long in fragments": (
        frame(BINARY, b"x" * 600, fin=False) + frame(0, b"x" * 600, fin=False),
        1009,
        "message_bytes = 1000",
    ),
    "a fragment that is no UTF-8": (
        frame(TEXT, b"\xc3", fin=False) + frame(0, b"("),
        1007,
        "UTF-8",
    ),
}


@pytest.mark.parametrize(("data", "code", "reason"), FAULTS.values(), ids=FAULTS)
async def test_what_picows_leaves_to_its_user_has_a_code_and_a_reason(
    kit: Any, data: bytes, code: int, reason: str
) -> None:
    server, echo = kit.echoing(limits={"message_bytes": 1000, "fragments": 9})
    async with kit.serving(server) as live, await kit.open(live) as stream:
        await stream.send(frame(TEXT, b"first") + data + frame(TEXT, b"never"))
        answer = await read_all(stream)
        # What came before the fault is answered before it.
        assert answer.startswith(b"\x81\x05first\x88")
        told = close_of(answer[7:])
        assert told[0] == code
        assert reason in told[1]
        await stream.aclose()
        close = await echo.end()
        assert (close.code, close.origin) == (code, Origin.LOCAL)
    assert echo.heard == ["first"]


async def test_text_may_be_split_amid_a_character_and_between_pings(kit: Any) -> None:
    server, echo = kit.echoing()
    euro = "€".encode()
    async with kit.serving(server) as live, await kit.open(live) as stream:
        await stream.send(
            frame(TEXT, euro[:1], fin=False)
            + frame(PING, b"1")
            + frame(0, fin=False)
            + frame(0, euro[1:])
            + frame(BINARY, b"\xff", fin=False)
            + frame(0, b"\xfe")
        )
        assert await exactly(stream, 12) == b"\x8a\x011\x81\x03" + euro + b"\x82\x02\xff\xfe"
    assert echo.heard == ["€", b"\xff\xfe"]


async def test_replies_to_one_read_leave_in_one_write(kit: Any) -> None:
    server, echo = kit.echoing()
    async with kit.serving(server) as live, await kit.open(live) as stream:
        written = spy(await echo.spark())
        await stream.send(b"".join(frame(TEXT, b"%d" % n) for n in range(10)) + frame(PING, b"p"))
        expected = b"".join(b"\x81\x01%d" % n for n in range(10)) + b"\x8a\x01p"
        assert await exactly(stream, len(expected)) == expected
        assert written == [expected]


async def test_what_is_gathered_is_bounded(kit: Any) -> None:
    server, echo = kit.echoing()
    async with kit.serving(server) as live, await kit.open(live) as stream:
        written = spy(await echo.spark())
        sent = [b"s" * 10] * (MANY + 5) + [b"l" * (LARGE + 1)] * 2
        await stream.send(b"".join(frame(BINARY, payload) for payload in sent))
        size = 12 * (MANY + 5) + 2 * (LARGE + 5)
        assert await exactly(stream, size) == b"".join(written)
        assert max(map(len, written)) <= (MANY + 1) * (LARGE + 10)
        assert len(written) >= 3


async def test_a_large_message_keeps_its_place(kit: Any) -> None:
    server = kit.make()
    said = ["before", "é" * LARGE, "between", b"\x00" * (LARGE + 1), "after"]

    async def answer(spark: Spark, message: Message) -> None:
        for words in said:
            spark.send_nowait(words)
        with pytest.raises(EncodeError, match="surrogates"):
            await spark.send("\ud800" * (LARGE + 1))

    server.on_message(answer)
    wanted = b"".join([WebSocketFraming().frame(words) for words in said])
    async with kit.serving(server) as live, await kit.open(live) as stream:
        for times in (1, 2):
            await stream.send(frame(TEXT, b"go") * times)
            assert await exactly(stream, len(wanted) * times) == wanted * times


async def test_a_message_of_its_own_accord_leaves_at_once(kit: Any) -> None:
    server, echo = kit.echoing()
    async with kit.serving(server) as live, await kit.open(live) as stream:
        spark = await echo.spark()
        written = spy(spark)
        spark.send_nowait("one")
        assert written == [b"\x81\x03one"]
        spark.send_nowait("two")
        assert await exactly(stream, 10) == b"\x81\x03one\x81\x03two"


async def test_what_comes_right_behind_the_handshake_is_not_lost(kit: Any) -> None:
    server, echo = kit.echoing()
    release = anyio.Event()
    server.authorize(lambda handshake: _wait(release))
    messages = [b"%d" % number * 30_000 for number in range(8)]
    async with kit.serving(server) as live, await live.place.dial() as stream:
        data = b"".join(frame(BINARY, message) for message in messages)
        await stream.send(kit.handshake() + data[:100_000])
        async with anyio.create_task_group() as group:
            group.start_soon(stream.send, data[100_000:])
            release.set()
            assert b" 101 " in await kit.head(stream)
            for message in messages:
                assert (await exactly(stream, len(message) + 4))[4:] == message
    assert echo.heard == messages


async def _wait(event: anyio.Event) -> bool:
    await event.wait()
    return True


@pytest.mark.parametrize("end", ["close", "fault", "unmasked"])
async def test_a_busy_handler_gets_all_that_came_before_the_end(kit: Any, end: str) -> None:
    """Messages that were read already are held back, in order, and the end stays behind them."""
    server = kit.make(limits={"inbox_messages": 4})
    watch = Watch(server)
    release = anyio.Event()
    heard: list[Message] = []

    @server.on_message
    async def work(spark: Spark, message: Message) -> None:
        await release.wait()
        heard.append(message)
        watch.changed()

    last = {
        "close": frame(CLOSE, b"\x03\xe8"),
        "fault": frame(TEXT, b"\xff"),
        "unmasked": frame(TEXT, b"x", mask=False),
    }[end]
    sent = [str(number) for number in range(200)]
    async with kit.serving(server) as live, await kit.open(live) as stream:
        spark = await watch.spark()
        data = b"".join(frame(TEXT, number.encode()) for number in sent)
        await stream.send(data + frame(PING, b"p") + last)
        await eventually(lambda: connection_of(spark).paused)
        release.set()
        answer = await read_all(stream)
        assert answer.startswith(b"\x8a\x01p\x88")
        await stream.aclose()
        close = await watch.end()
        assert close.code == {"close": 1000, "fault": 1007, "unmasked": 1002}[end]
        await watch.until(lambda: end != "close" or heard == sent)
    assert heard == sent[: len(heard)]


async def test_a_close_that_waits_for_a_busy_handler_is_nobody_elses(kit: Any) -> None:
    """Its parser has seen a close frame, and would refuse the next client's."""
    server = kit.make(limits={"inbox_messages": 4})
    watch = Watch(server)
    release = anyio.Event()

    @server.on_message
    async def work(spark: Spark, message: Message) -> None:
        await release.wait()

    async with kit.serving(server) as live:
        busy = await kit.open(live)
        words = b"".join(frame(TEXT, b"%d" % number) for number in range(20))
        await busy.send(words + frame(CLOSE, b"\x03\xe8"))
        spark = await watch.spark()
        await eventually(lambda: connection_of(spark).paused)
        other = await kit.open(live)
        await other.send(frame(PING, b"") + frame(CLOSE, b"\x0f\xa0"))
        assert await read_all(other) == b"\x8a\x00\x88\x02\x0f\xa0"
        release.set()
        assert await read_all(busy) == b"\x88\x02\x03\xe8"
        await busy.aclose()
        await other.aclose()
        await watch.end()


async def test_of_many_pings_that_are_not_read_the_latest_is_answered(kit: Any) -> None:
    server = kit.make()
    watch = Watch(server)

    @server.on_message
    def flood(spark: Spark, message: Message) -> None:
        while spark.send_nowait(b"x" * 100_000).name == "SENT":
            pass

    async with kit.serving(server) as live, await kit.open(live) as stream:
        await stream.send(frame(TEXT, b"go"))
        spark = await watch.spark()
        connection = connection_of(spark)
        await eventually(lambda: connection.backlog > 0)
        await stream.send(b"".join(frame(PING, b"%03d" % number) for number in range(500)))
        await stream.send(frame(CLOSE, b"\x03\xe8"))
        answer = await read_all(stream)
    assert answer.count(b"\x8a\x03") <= 1
    assert close_of(answer[-4:]) == (1000, "")


async def test_an_idle_client_gives_back_the_buffer_of_a_large_message(kit: Any) -> None:
    server, echo = kit.echoing(heartbeat={"interval": 0.1, "timeout": 10})
    async with kit.serving(server) as live:
        peer = await live.connect()
        spark = await echo.spark()
        message = b"x" * 500_000
        await peer.send(message)
        assert await peer.receive() == message
        connection: Any = connection_of(spark)
        await eventually(lambda: connection._transport.get_protocol() is connection)
        spare = [ear for ears in connection._door.ears._spare.values() for ear in ears]
        assert all(len(free(ear.parser)) <= CALM for ear in spare)
        await peer.send("still here")
        assert await peer.receive() == "still here"


async def test_parts_of_a_large_frame_are_life(kit: Any) -> None:
    """In the middle of a frame nobody can answer a ping (RFC 6455 section 5.4)."""
    server, echo = kit.echoing(heartbeat={"interval": 0.2, "timeout": 0.3})
    async with kit.serving(server) as live, await kit.open(live) as stream:
        spark = await echo.spark()
        data = frame(BINARY, b"x" * 100)
        for at in range(0, len(data), 4):
            await stream.send(data[at : at + 4])
            await anyio.sleep(0.05)  # a slow client's pace, which waits for nothing
        await echo.until(lambda: echo.heard == [b"x" * 100])
        assert spark.closed is None
