"""Slow readers and busy handlers: what waits is bounded, and what is lost is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from ...connection import BufferedConnection
from ...messages import Message, Origin, Sent
from ...spark import Spark
from ..conformance.base import Watch
from ..relay import relaying
from ..running import Running, task_group
from .base import ProtocolTests, Way, read_to_the_end

__all__ = ["PressureTests"]

CHUNK = 16_384
ENOUGH = 4096
"""Messages of that size, 64 MiB, are more than any driver and kernel may hold for one client."""
LIMITS = {"outbox_messages": 20, "outbox_bytes": 10 * CHUNK}
SLOW = {"inbox_messages": 2, **LIMITS}
"""For a client that stops reading soon, and whose queue is short."""
CALM = 15


class PressureTests(ProtocolTests):
    """Each policy for a full outbox, and the way back: a busy handler stops the client."""

    async def test_drop_newest_keeps_what_it_took(self, way: Way) -> None:
        server = self.server(way, overflow="drop-newest", limits=LIMITS)
        watch = self.echo(server)
        async with self.serving(server) as running, self._slow_reader(running, way) as spark:
            outcomes = await self._flood(running, await watch.spark(), 5)
            assert outcomes.count(Sent.DROPPED) == running.gateway.dropped == 5
            taken = [n for n, outcome in enumerate(outcomes) if outcome is not Sent.DROPPED]
            assert [_number(await spark.receive()) for _ in taken] == taken

    async def test_drop_oldest_keeps_the_latest(self, way: Way) -> None:
        server = self.server(way, overflow="drop-oldest", limits=LIMITS)
        watch = self.echo(server)
        async with self.serving(server) as running, self._slow_reader(running, way) as spark:
            outcomes = await self._flood(running, await watch.spark(), 5)
            assert Sent.DROPPED not in outcomes
            dropped = running.gateway.dropped
            received = [_number(await spark.receive())]
            while received[-1] != len(outcomes) - 1:
                received.append(_number(await spark.receive()))
        assert received == sorted(set(received))
        assert len(received) + dropped == len(outcomes)

    async def test_disconnect_cuts_off_the_slow_with_4008(self, way: Way) -> None:
        server = self.server(way, overflow="disconnect", limits=LIMITS)
        watch = self.echo(server)
        async with self.serving(server) as running, self._slow_reader(running, way) as spark:
            there = await watch.spark()
            outcomes = await self._flood(running, there, 1)
            assert there.send_nowait("more") is Sent.DROPPED
            received, closed = await read_to_the_end(spark)
            assert [_number(message) for message in received] == [*range(len(received))]
            assert len(received) < len(outcomes)
            if way.close_to_client:
                assert closed.code == 4008
            close = await watch.end()
            assert (close.code, close.origin) == (4008, Origin.LOCAL)

    async def test_a_sender_that_waits_loses_nothing(self, way: Way) -> None:
        server = self.server(way, limits=LIMITS)
        watch = Watch(server)
        go_on = anyio.Event()
        sent: list[int] = []
        server.on_message(_pong)

        async def flood(spark: Spark) -> None:
            while not go_on.is_set():
                assert len(sent) < ENOUGH, "the driver's buffer has no end"
                await spark.send(_chunk(len(sent)))
                sent.append(len(sent))
            await spark.send("done")

        async with self.serving(server) as running, self._slow_reader(running, way) as spark:
            there = await watch.spark()
            async with self.client(running, way) as other, task_group() as group:
                await watch.spark(1)
                group.start_soon(flood, there)
                await self._stuck(watch.opened[1], other, sent)
                _check_backlog(there)
                go_on.set()
                received: list[int] = []
                while (message := await spark.receive()) != "done":
                    received.append(_number(message))
            assert received == sent
            assert running.gateway.dropped == 0

    async def test_a_slow_reader_holds_up_nobody(self, way: Way) -> None:
        server = self.server(way, overflow="drop-newest", limits=LIMITS)
        watch = self.echo(server)
        async with (
            self.serving(server) as running,
            self._slow_reader(running, way),
            self.client(running, way) as brisk,
        ):
            await watch.spark(1)
            number = 0
            while not running.gateway.dropped:
                assert number < ENOUGH, "the driver's buffer has no end"
                server.everyone.send_nowait(_chunk(number))
                assert _number(await brisk.receive()) == number
                number += 1
            server.everyone.send_nowait("after that")
            assert await brisk.receive() == "after that"

    @pytest.mark.parametrize("style", ["handler", "session"])
    async def test_who_stops_reading_holds_the_client_back(self, way: Way, style: str) -> None:
        self.needs_way(way, "two_way")
        server = self.server(way, limits={"inbox_messages": 8})
        release, taken, watch = anyio.Event(), list[int](), Watch(server)

        async def take(spark: Spark, message: object) -> None:
            if message == "ping":
                await spark.send("pong")
                return
            await release.wait()
            taken.append(_number(message))
            watch.changed()

        async def read(spark: Spark) -> None:
            async for message in spark:
                await take(spark, message)

        server.on_message(take) if style == "handler" else server.session(read)
        enough, over, sent = anyio.Event(), anyio.Event(), list[int]()

        async def flood(spark: Spark) -> None:
            while not enough.is_set():
                assert len(sent) < ENOUGH, "the server takes more than its handler can follow"
                await spark.send(_chunk(len(sent)))
                sent.append(len(sent))
            over.set()

        async with (
            self.serving(server) as running,
            self._slow_reader(running, way) as spark,
            self.client(running, way) as other,
            task_group() as group,
        ):
            group.start_soon(flood, spark)
            await self._stuck(other, other, sent, "ping")
            enough.set()
            release.set()
            await over.wait()
            await watch.until(lambda: len(taken) == len(sent))
        assert taken == sent

    @asynccontextmanager
    async def _slow_reader(self, running: Running, way: Way) -> AsyncGenerator[Spark]:
        """A client that reads only what the test asks it for, over a wire with small buffers."""
        async with (
            relaying(running.place) as relay,
            self.client(running, way, relay=relay, limits=SLOW) as spark,
        ):
            yield spark

    async def _flood(self, running: Running, spark: Spark, dropped: int) -> list[Sent]:
        """Send to a client that does not read, until so many messages were dropped."""
        outcomes: list[Sent] = []
        while running.gateway.dropped < dropped:
            assert len(outcomes) < ENOUGH, "the driver's buffer has no end"
            outcomes.append(spark.send_nowait(_chunk(len(outcomes))))
            _check_backlog(spark)
            await anyio.lowlevel.checkpoint()
        return outcomes

    async def _stuck(
        self, asks: Spark, hears: Spark, progress: list[int], word: str = "pong"
    ) -> None:
        """Wait until something makes no progress while messages go to another client."""
        calm, last = 0, -1
        while calm < CALM:
            await asks.send(word)
            assert await hears.receive() == "pong"
            calm = calm + 1 if len(progress) == last else 0
            last = len(progress)


def _chunk(number: int) -> str:
    return f"{number}:".ljust(CHUNK, ".")


def _number(message: object) -> int:
    return int(str(message).partition(":")[0])


def _check_backlog(spark: Spark) -> None:
    """What waits in the outbox stays below its cap, but for one message."""
    connection = spark.connection
    if isinstance(connection, BufferedConnection):
        assert connection.backlog <= LIMITS["outbox_bytes"] + CHUNK


async def _pong(spark: Spark, message: Message) -> None:
    await spark.send("pong")
