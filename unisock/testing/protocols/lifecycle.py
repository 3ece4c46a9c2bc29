"""Heartbeats; the server's end; and nothing left behind."""

from __future__ import annotations

import gc
import weakref
from contextlib import AsyncExitStack

import anyio
import pytest

from ...errors import ConnectionClosed, ConnectionLost
from ...messages import Origin
from ...spark import Spark
from ..conformance.base import Watch, eventually
from ..conformance.lifecycle import count_open_files, count_tasks
from ..relay import relaying
from ..running import Running
from .base import ProtocolTests, Way

__all__ = ["HeartbeatTests", "LifecycleTests"]

CYCLES = 15


class HeartbeatTests(ProtocolTests):
    """An idle session stays; a dead one is found."""

    async def test_heartbeats_keep_an_idle_connection(self, way: Way) -> None:
        if way.heartbeat == "host":
            self.needs("ping")
        server = self.server(
            way, heartbeat={"interval": 0.1, "timeout": 5.0}, options=dict(self.quick)
        )
        watch = self.echo(server)
        async with (
            self.serving(server) as running,
            relaying(running.place) as relay,
            self.client(running, way, relay=relay) as spark,
        ):
            there = await watch.spark()
            # Nothing is said, and something comes all the same; a proxy would see life.
            await relay.hears(3)
            assert there.closed is None
            await there.send("still here")
            assert await spark.receive() == "still here"
        assert watch.opened == [there]

    async def test_a_dead_connection_is_found(self, way: Way) -> None:
        if way.heartbeat == "none":
            pytest.skip("capability: nobody asks whether the client lives")
        if way.heartbeat == "host":
            self.needs("ping")
        server = self.server(
            way, heartbeat={"interval": 0.1, "timeout": 1.0}, options=dict(self.quick)
        )
        watch = self.echo(server)
        async with (
            self.serving(server) as running,
            relaying(running.place) as relay,
            self.client(running, way, relay=relay),
        ):
            there = await watch.spark()
            await eventually(lambda: there.transport == way.transport)
            relay.block()
            close = await watch.end()
            assert (close.code, close.origin) == (1006, Origin.LOST)
            assert isinstance(close.error(), ConnectionLost)
            assert running.gateway.connections == []
            relay.cut()


class LifecycleTests(ProtocolTests):
    """Draining, stopping, starting again; clients leave no trace."""

    async def test_drain_tells_clients_to_come_back(self, way: Way) -> None:
        server = self.server(way)
        watch = self.echo(server)
        async with self.serving(server) as running, AsyncExitStack() as stack:
            sparks = [await stack.enter_async_context(self.client(running, way)) for _ in range(3)]
            await watch.spark(2)
            await server.drain()
            await running.stopped.wait()
            for spark in sparks:
                with pytest.raises(ConnectionClosed) as closed:
                    await spark.receive()
                if way.close_to_client:
                    assert closed.value.code == 1012
        assert [(close.code, close.origin) for _, close in watch.closed] == [
            (1012, Origin.LOCAL)
        ] * 3

    async def test_a_cancelled_server_cuts_every_connection(self, way: Way) -> None:
        server = self.server(way)
        watch = self.echo(server)
        async with self.serving(server) as running, self.client(running, way) as spark:
            await watch.spark()
            running.cancel()
            await running.stopped.wait()
            with pytest.raises(ConnectionClosed):
                await spark.receive()
            await watch.end()
            assert len(running.hub) == 0

    async def test_the_same_server_starts_again(self, way: Way) -> None:
        server = self.server(way)
        watch = self.echo(server)
        for number in range(2):
            async with self.serving(server) as running, self.client(running, way) as spark:
                there = await watch.spark(number)
                await there.send("hello")
                assert await spark.receive() == "hello"
            assert len(watch.closed) == number + 1
            assert len(server.hub) == 0

    async def test_clients_leave_nothing_behind(self, way: Way) -> None:
        server = self.attentive_server(way)
        watch = self.echo(server)
        async with self.serving(server) as running:
            await self._come_and_go(running, way, watch, 3)  # whatever is made once is made now
            gc.collect()
            tasks, files = count_tasks(), count_open_files()
            gone = await self._come_and_go(running, way, watch, CYCLES)
            await running.gateway.sparks.wait_empty()
            assert running.gateway.connections == []
            assert len(running.hub) == 0
            await eventually(lambda: count_tasks() <= tasks)
            await eventually(lambda: count_open_files() <= files)
            timers = running.gateway.runtime.timers
            await eventually(lambda: timers.pending == 0)
            gc.collect()
            held = [spark for spark in gone if spark() is not None]
            assert not held, f"something refers to {len(held)} of {len(gone)} sparks that went"

    async def _come_and_go(
        self, running: Running, way: Way, watch: Watch, times: int
    ) -> list[weakref.ref[Spark]]:
        """Clients one after another; a third each closes, vanishes, and is closed."""
        gone: list[weakref.ref[Spark]] = []
        async with relaying(running.place) as relay:
            for number in range(times):
                async with self.client(running, way, relay=relay) as spark:
                    there = await watch.spark()
                    gone.append(weakref.ref(there))
                    await there.send("hello")
                    assert await spark.receive() == "hello"
                    if number % 3 == 0:
                        await spark.close()
                    elif number % 3 == 1:
                        relay.cut()
                    else:
                        await there.close(4000)
                    await watch.end()
                    del there
                watch.opened.clear()
                watch.closed.clear()
            await anyio.lowlevel.checkpoint()
        return gone
