"""Slow readers, busy handlers, silent clients: what waits is bounded, and what is lost is told."""

from __future__ import annotations

import math

import anyio
import pytest

from ...connection import BufferedConnection
from ...messages import Message, Origin, Sent
from ...server import Server
from ...spark import Spark
from ..peers import Peer
from ..running import Running, task_group
from .base import AdapterTests, Watch, eventually

__all__ = ["HeartbeatTests", "PressureTests"]

CHUNK = 16_384
ENOUGH = 4096
"""Messages of that size, 64 MiB, are more than any driver and kernel may hold for one client."""
LIMITS = {"outbox_messages": 20, "outbox_bytes": 10 * CHUNK}


class PressureTests(AdapterTests):
    """Each policy for a full outbox, and the way back: a busy handler stops the client."""

    async def test_drop_newest_keeps_what_it_took(self) -> None:
        server = self.server(overflow="drop-newest", limits=LIMITS)
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self._slow_reader(running)
            outcomes = await self._flood(running, await watch.spark(), 5)
            assert outcomes.count(Sent.DROPPED) == running.gateway.dropped == 5
            peer.read_on()
            taken = [n for n, outcome in enumerate(outcomes) if outcome is not Sent.DROPPED]
            assert [_number(await peer.receive()) for _ in taken] == taken

    async def test_drop_oldest_keeps_the_latest(self) -> None:
        server = self.server(overflow="drop-oldest", limits=LIMITS)
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self._slow_reader(running)
            outcomes = await self._flood(running, await watch.spark(), 5)
            assert Sent.DROPPED not in outcomes
            dropped = running.gateway.dropped
            peer.read_on()
            received = [_number(await peer.receive())]
            while received[-1] != len(outcomes) - 1:
                received.append(_number(await peer.receive()))
        assert received == sorted(set(received))
        assert len(received) + dropped == len(outcomes)

    async def test_disconnect_cuts_off_the_slow_with_4008(self) -> None:
        server = self.server(overflow="disconnect", limits=LIMITS)
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self._slow_reader(running)
            spark = await watch.spark()
            await self._flood(running, spark, 1)
            assert spark.send_nowait("more") is Sent.DROPPED
            peer.read_on()
            close = await peer.wait_closed()
            assert (close.code, close.come_back) == (4008, True)
            close = await watch.end()
            assert (close.code, close.origin) == (4008, Origin.LOCAL)

    async def test_disconnect_ends_a_reader_that_never_reads_again(self) -> None:
        limits = {**LIMITS, "close_seconds": 0.2}
        server = self.server(overflow="disconnect", limits=limits)
        watch = self.echo(server)
        async with self.serving(server) as running:
            await self._slow_reader(running)
            await self._flood(running, await watch.spark(), 1)
            assert (await watch.end()).code == 4008
            assert running.gateway.connections == []
            assert len(running.hub) == 0

    async def test_a_sender_that_waits_loses_nothing(self) -> None:
        server = self.server(limits=LIMITS)
        watch = self._server_of_pings(server)
        sent: list[int] = []

        async def flood(spark: Spark) -> None:
            for number in range(ENOUGH // 2):
                await spark.send(_chunk(number))
                sent.append(number)

        async with self.serving(server) as running, task_group() as group:
            peer = await self._slow_reader(running)
            spark = await watch.spark()
            other = await self.connect(running)
            group.start_soon(flood, spark)
            await self._stuck(other, sent)
            _check_backlog(spark)
            assert len(sent) < ENOUGH // 2, "the driver's buffer has no end"
            peer.read_on()
            for number in range(ENOUGH // 2):
                assert _number(await peer.receive()) == number
            assert running.gateway.dropped == 0

    @pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest", "disconnect"])
    async def test_a_slow_reader_holds_up_nobody(self, policy: str) -> None:
        server = self.server(overflow=policy, limits=LIMITS)
        watch = self.echo(server)
        async with self.serving(server) as running:
            await self._slow_reader(running)
            brisk = await self.connect(running)
            await watch.spark(1)
            number = 0
            while not running.gateway.dropped:
                assert number < ENOUGH, "the driver's buffer has no end"
                server.everyone.send_nowait(_chunk(number))
                assert _number(await brisk.receive()) == number
                number += 1
            server.everyone.send_nowait("after that")
            assert await brisk.receive() == "after that"
            assert brisk.closed is None

    async def test_what_a_lost_client_did_not_get_is_counted(self) -> None:
        server = self.server(overflow="drop-newest", limits=LIMITS)
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self._slow_reader(running)
            outcomes = await self._flood(running, await watch.spark(), 1)
            await peer.drop()
            await watch.end()
            assert running.gateway.dropped > outcomes.count(Sent.DROPPED)

    async def test_a_busy_handler_stops_the_client(self) -> None:
        server = self.server(limits={"inbox_messages": 8})
        release = anyio.Event()
        taken: list[int] = []
        watch = Watch(server)

        async def work(spark: Spark, message: str) -> None:
            if message == "ping":
                spark.send_nowait("pong")
                return
            await release.wait()
            taken.append(_number(message))
            watch.changed()

        server.on_message(work)
        sent: list[int] = []
        async with self.serving(server) as running, task_group() as group:
            peer, other = await self.connect(running), await self.connect(running)
            group.start_soon(_flood_server, peer, sent)
            await self._stuck(other, sent)
            assert len(sent) < ENOUGH // 2, "the server takes more than its handler can follow"
            release.set()
            await watch.until(lambda: len(taken) == ENOUGH // 2)
        assert taken == [*range(ENOUGH // 2)]

    async def test_a_session_that_does_not_read_stops_the_client(self) -> None:
        server = self.server(limits={"inbox_messages": 8})
        release = anyio.Event()
        taken: list[int] = []

        async def read(spark: Spark) -> None:
            async for message in spark:
                if message == "ping":
                    await spark.send("pong")
                    continue
                await release.wait()
                taken.append(_number(message))
                if len(taken) == ENOUGH // 2:
                    return

        server.session(read)
        sent: list[int] = []
        async with self.serving(server) as running, task_group() as group:
            peer, other = await self.connect(running), await self.connect(running)
            group.start_soon(_flood_server, peer, sent)
            await self._stuck(other, sent)
            assert len(sent) < ENOUGH // 2, "the server takes more than its session can follow"
            release.set()
            assert (await peer.wait_closed()).code == 1000
        assert taken == [*range(ENOUGH // 2)]

    async def test_a_client_that_vanishes_behind_a_busy_handler_is_let_go(self) -> None:
        server = self.server(limits={"inbox_messages": 2})
        release = anyio.Event()
        watch = Watch(server)

        async def work(spark: Spark, message: Message) -> None:
            await release.wait()

        server.on_message(work)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            for number in range(4 if running.in_memory else 8):
                with anyio.move_on_after(0.05 if running.in_memory else math.inf):
                    await peer.send(str(number))
            await watch.spark()
            await peer.close() if running.in_memory else await peer.drop()
            release.set()
            await watch.end()
            await running.gateway.sparks.wait_empty()
            assert running.gateway.connections == []

    def _server_of_pings(self, server: Server) -> Watch:
        watch = Watch(server)

        def answer(spark: Spark, message: Message) -> None:
            spark.send_nowait("pong")

        server.on_message(answer)
        return watch

    async def _slow_reader(self, running: Running) -> Peer:
        peer = await self.connect(running)
        peer.stop_reading()
        return peer

    async def _flood(self, running: Running, spark: Spark, dropped: int) -> list[Sent]:
        """Send to a client that does not read, until so many messages were dropped."""
        outcomes: list[Sent] = []
        while running.gateway.dropped < dropped:
            assert len(outcomes) < ENOUGH, "the driver's buffer has no end"
            outcomes.append(spark.send_nowait(_chunk(len(outcomes))))
            _check_backlog(spark)
            await anyio.lowlevel.checkpoint()
        return outcomes

    async def _stuck(self, other: Peer, progress: list[int]) -> None:
        """Wait until something makes no progress while another client gets answers."""
        calm, last = 0, -1
        while calm < 30:
            await other.send("ping")
            assert await other.receive() == "pong"
            calm = calm + 1 if len(progress) == last else 0
            last = len(progress)


class HeartbeatTests(AdapterTests):
    """Silence is looked into, and a dead client is found."""

    async def test_a_client_that_answers_no_ping_is_let_go(self) -> None:
        self.needs("ping")
        server = self.server(heartbeat={"interval": 0.1, "timeout": 0.1})
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            peer.play_dead()
            close = await watch.end()
            assert (close.code, close.origin) == (1006, Origin.LOST)
            assert "heartbeat" in close.reason
            await peer.wait_closed()
            assert running.gateway.connections == []

    async def test_a_client_that_answers_stays_and_its_latency_is_known(self) -> None:
        self.needs("ping")
        server = self.server(heartbeat={"interval": 0.1, "timeout": 5.0})
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            spark = await watch.spark()
            await eventually(lambda: spark.latency is not None)
            assert spark.latency is not None
            assert 0 <= spark.latency < 5
            await peer.send("hello")
            assert await peer.receive() == "hello"

    async def test_any_traffic_is_life(self) -> None:
        self.needs("ping")
        server = self.server(heartbeat={"interval": 1.0, "timeout": 0.5})
        self.echo(server)
        async with self.serving(server) as running:
            talker, silent = await self.connect(running), await self.connect(running)
            talker.play_dead()
            silent.play_dead()
            ended = anyio.Event()

            async def wait_for_silent() -> None:
                await silent.wait_closed()
                ended.set()

            async with task_group() as group:
                group.start_soon(wait_for_silent)
                while not ended.is_set():
                    await talker.send("hello")
                    assert await talker.receive() == "hello"
                    await anyio.sleep(0.05)  # a talker's pace, which waits for nothing
            assert talker.closed is None

    async def test_without_heartbeats_the_silent_stay(self) -> None:
        self.needs("ping")
        server = self.server(heartbeat={"interval": 0.1, "timeout": 0.1})
        server.endpoint("/quiet", codec="raw", heartbeat={"interval": 0}, **self.endpoint)
        watch = self.echo(server)
        async with self.serving(server) as running:
            quiet = await self.connect(running, "/quiet")
            doomed = await self.connect(running)
            quiet.play_dead()
            doomed.play_dead()
            await watch.end()
            await doomed.wait_closed()
            await quiet.send("hello")
            assert await quiet.receive() == "hello"


def _chunk(number: int) -> str:
    return f"{number}:".ljust(CHUNK, ".")


def _number(message: object) -> int:
    return int(str(message).partition(":")[0])


def _check_backlog(spark: Spark) -> None:
    """What waits in the outbox stays below its cap, but for one message."""
    connection = spark.connection
    if isinstance(connection, BufferedConnection):
        assert connection.backlog <= LIMITS["outbox_bytes"] + CHUNK


async def _flood_server(peer: Peer, sent: list[int]) -> None:
    for number in range(ENOUGH // 2):
        await peer.send(_chunk(number))
        sent.append(number)
