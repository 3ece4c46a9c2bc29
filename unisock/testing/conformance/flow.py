"""Slow clients, busy handlers and gathered writes, for adapters that write frames themselves."""

from __future__ import annotations

import anyio
from anyio.lowlevel import checkpoint

from ...errors import ConnectionLost
from ...messages import Close, Message, Origin, Sent
from ...spark import Spark
from ..websocket import frame
from ..wire import read_all
from .base import Watch, eventually
from .raw import CLOSE, PING, PONG, TEXT, FrameTests, open_files, shake_hands

__all__ = ["FramePressureTests"]


class FramePressureTests(FrameTests):
    """What is held back, and what is not lost by it."""

    async def test_replies_of_one_turn_go_out_in_one_write(self) -> None:
        server, _ = self.echoing()
        async with self.serving(server) as live, await shake_hands(live) as stream:
            await stream.send(frame(TEXT, b"hello") * 50 + frame(PING, b"?"))
            assert await stream.receive() == b"\x81\x05hello" * 50 + b"\x8a\x01?"

    async def test_a_client_that_pings_and_does_not_read_makes_nothing_grow(self) -> None:
        server, watch = self.echoing()
        pings = 100_000
        async with self.serving(server) as live, await shake_hands(live) as stream:
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
        assert (rest, bytes(answer[:2])) == (0, b"\x8a\x7d")
        assert pongs < pings, "those in between were left out"
        assert b"%0125d" % (pings - 1) in answer, "the last was not"

    async def test_what_was_held_back_is_delivered_before_the_loss(self) -> None:
        server = self.make(limits={"inbox_messages": 4})
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

        async with self.serving(server) as live:
            stream = await shake_hands(live)
            await opened.wait()
            await stream.send(b"".join(frame(TEXT, b"%d" % number) for number in range(100)))
            await stream.aclose()
            go.set()
            await lost.wait()
        assert taken == [str(number) for number in range(100)]

    async def test_a_session_that_never_reads_learns_of_the_loss_when_it_writes(self) -> None:
        server = self.make(limits={"inbox_messages": 2})
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

        async with self.serving(server) as live:
            stream = await shake_hands(live)
            await stream.send(frame(TEXT, b"x") * 10)
            await stream.aclose()
            full.set()
            await lost.wait()

    async def test_a_busy_client_of_a_busy_handler_is_not_taken_for_dead(self) -> None:
        """While reading is paused, pongs cannot be read."""
        server = self.make(
            limits={"inbox_messages": 2}, heartbeat={"interval": 0.1, "timeout": 0.1}
        )
        watch = Watch(server)
        go, pinged = anyio.Event(), anyio.Event()
        taken: list[Message] = []

        @server.on_message
        async def take(spark: Spark, message: Message) -> None:
            await go.wait()
            taken.append(message)
            if len(taken) == 10:
                pinged.set()

        async with self.serving(server) as live, await shake_hands(live) as stream:
            await stream.send(frame(TEXT, b"x") * 10)
            spark = await watch.spark()
            with anyio.move_on_after(0.6):  # several heartbeats
                await spark.connection.wait_closed()
            assert spark.closed is None
            go.set()
            await pinged.wait()
            assert spark.closed is None

    async def test_a_silent_client_is_pinged_and_its_answer_is_measured(self) -> None:
        server, watch = self.echoing(heartbeat={"interval": 0.1, "timeout": 1.0})
        async with self.serving(server) as live, await shake_hands(live) as stream:
            spark = await watch.spark()
            assert await stream.receive() == b"\x89\x00"
            assert spark.latency is None
            await stream.send(frame(PONG))
            assert await stream.receive() == b"\x89\x00"
            assert spark.latency is not None
            close = await watch.end()
            assert (close.code, close.origin) == (1006, Origin.LOST)
            assert await read_all(stream) == b""

    async def test_a_slow_reader_is_congested_and_relieved(self) -> None:
        server, watch = self.echoing(
            overflow="drop-newest", limits={"outbox_bytes": 100_000, "outbox_messages": 10}
        )
        async with self.serving(server) as live, await shake_hands(live) as stream:
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

    async def test_a_close_waits_for_a_slow_reader(self) -> None:
        server, watch = self.echoing(limits={"close_seconds": 10})
        async with self.serving(server) as live, await shake_hands(live) as stream:
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

    async def test_a_client_that_closes_and_does_not_read_is_cut_in_the_end(self) -> None:
        server, watch = self.echoing(limits={"close_seconds": 0.2})
        async with self.serving(server) as live, await shake_hands(live) as stream:
            files = open_files()
            (await watch.spark()).send_nowait("x" * 30_000_000)
            await stream.send(frame(CLOSE, b"\x03\xe8"))
            assert (await watch.end()).origin is Origin.PEER
            await eventually(lambda: open_files() < files)
            assert len(await read_all(stream)) < 30_000_000

    async def test_a_broadcast_is_framed_once(self) -> None:
        server, watch = self.echoing()
        async with self.serving(server) as live:
            peers = [await live.connect() for _ in range(10)]
            await watch.spark(9)
            assert len({id(spark.connection.framing) for spark in watch.opened}) == 1
            live.hub.send_nowait("to all")
            assert [await peer.receive() for peer in peers] == ["to all"] * 10
