"""Faults in frames, and closing handshakes, for adapters that write frames themselves."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import anyio
import pytest

from ...messages import Close, Message, Origin
from ...spark import Spark
from ..certificates import Certificates
from ..websocket import frame
from ..wire import read_all
from .base import Watch
from .raw import CLOSE, PING, TEXT, FrameTests, close_of, shake_hands

__all__ = ["FrameClosingTests"]

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
    "ping in fragments": (frame(PING, fin=False), 1002, "fragment"),
    "too long": (frame(TEXT, b"x" * 1001), 1009, "message_bytes = 1000"),
    "too many fragments": (
        frame(TEXT, b"x", fin=False) + frame(0, b"x", fin=False) * 9,
        1009,
        "fragments = 9",
    ),
}


class FrameClosingTests(FrameTests):
    """What ends a WebSocket, to the byte."""

    @pytest.mark.parametrize(("data", "code", "reason"), FAULTS.values(), ids=FAULTS)
    async def test_a_fault_has_a_code_and_a_reason(
        self, data: bytes, code: int, reason: str
    ) -> None:
        server, watch = self.echoing(limits={"message_bytes": 1000, "fragments": 9})
        async with self.serving(server) as live, await shake_hands(live) as stream:
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
    async def test_a_fault_amid_a_flood_is_told_all_the_same(self, tls: bool) -> None:
        """To close with bytes unread would reset the connection, and the close frame with it."""
        server, watch = self.echoing(limits={"message_bytes": 1000})
        certificates = Certificates()
        with tempfile.TemporaryDirectory() as folder:
            listen = {"tls": certificates.write(Path(folder))} if tls else {}
            async with (
                self.serving(server, listen=listen, trust=certificates.client) as live,
                await shake_hands(live) as stream,
            ):
                await stream.send(frame(TEXT, b"x" * 30_000_000))
                answer = b""
                while len(answer) < 4:
                    answer += await stream.receive()
                assert close_of(answer)[0] == 1009
                await stream.aclose()
                assert (await watch.end()).code == 1009

    async def test_a_fault_after_our_close_does_not_cost_the_client_our_close_frame(self) -> None:
        server = self.make(limits={"message_bytes": 1000})

        @server.on_open
        def refuse(spark: Spark) -> None:
            spark.close_nowait(4000, "no")

        async with self.serving(server) as live, await shake_hands(live) as stream:
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
        self, said: bytes, answered: bytes, seen: tuple[int, str]
    ) -> None:
        server, watch = self.echoing()
        async with self.serving(server) as live, await shake_hands(live) as stream:
            await stream.send(frame(TEXT, b"half", fin=False) + frame(CLOSE, said) + frame(CLOSE))
            assert await read_all(stream) == answered
            close = await watch.end()
            assert (close.code, close.reason, close.origin) == (*seen, Origin.PEER)
        assert len(watch.closed) == 1

    async def test_what_comes_after_our_close_is_not_delivered(self) -> None:
        server = self.make()
        taken: list[Message] = []
        watch = Watch(server)

        @server.on_message
        def take(spark: Spark, message: Message) -> None:
            taken.append(message)
            spark.close_nowait(4000, "enough")

        async with self.serving(server) as live, await shake_hands(live) as stream:
            await stream.send(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(PING))
            answer = b""
            while len(answer) < 10:
                answer += await stream.receive()
            assert close_of(answer) == (4000, "enough")
            await stream.send(frame(TEXT, b"three") + frame(CLOSE, b"\x0f\xa0"))
            assert await read_all(stream) == b""
            assert (await watch.end()).code == 4000
        assert taken == ["one"]

    async def test_a_close_while_reading_is_paused_hears_the_clients_answer(self) -> None:
        server = self.make(limits={"inbox_messages": 4, "close_seconds": 600})
        closed = anyio.Event()

        @server.session
        async def leave(spark: Spark) -> None:
            await spark.receive()
            spark.connection.close(Close(4000, "enough"))  # as the core does with a slow client
            await spark.connection.wait_closed()
            closed.set()

        async with self.serving(server) as live, await shake_hands(live) as stream:
            await stream.send(frame(TEXT, b"x") * 20)
            answer = b""
            while len(answer) < 10:
                answer += await stream.receive()
            assert close_of(answer) == (4000, "enough")
            await stream.send(frame(CLOSE, b"\x0f\xa0"))
            await closed.wait()
            assert await read_all(stream) == b""
