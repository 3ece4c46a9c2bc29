"""From start to stop: plain HTTP on the same port, draining, and nothing left behind."""

from __future__ import annotations

import gc
import os

import anyio
import pytest
import sniffio

from ...errors import ConfigError
from ...handshake import Handshake
from ...messages import Close, Origin
from ...spark import Spark
from ..peers import Refused
from ..running import Running, task_group
from .base import AdapterTests, Watch, eventually

__all__ = ["HttpTests", "LifecycleTests", "count_open_files", "count_tasks"]

CYCLES = 200
PAGE = "<!doctype html><title>é</title>"


class HttpTests(AdapterTests):
    """A plain HTTP request gets a proper answer, whatever it asks for."""

    async def test_an_endpoint_says_what_it_is(self) -> None:
        server = self.server()
        self.echo(server)
        async with self.serving(server) as running:
            answer = await running.request("/ws")
            if self.capabilities.sessions and "protocol" not in self.endpoint:
                assert answer.status in (200, 400, 426)
                assert answer.body
            else:
                assert answer.status == 426
                assert answer.headers["Upgrade"].lower() == "websocket"
                assert "WebSocket" in answer.text

    @pytest.mark.parametrize("target", ["/", "/nothing", "/wsx", "/%2e%2e/etc/passwd", "/é"])
    async def test_elsewhere_is_404(self, target: str) -> None:
        server = self.server()
        self.echo(server)
        async with self.serving(server) as running:
            if not target.isascii():
                target = target.encode().decode("latin-1")
            answer = await running.request(target)
            assert answer.status in (404, 400 if not target.isascii() else 404)
            refused = await self.refusal_at(running, "/nothing")
            assert refused.status == 404

    async def test_an_asset_is_handed_out(self) -> None:
        server = self.server()
        server.asset("/page", PAGE)
        self.echo(server)
        async with self.serving(server) as running:
            answer = await running.request("/page?x=1")
            assert answer.status == 200
            assert answer.text == PAGE
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.headers["Content-Length"] == str(len(PAGE.encode()))
            assert answer.headers["ETag"]

    async def test_head_is_get_without_the_body(self) -> None:
        server = self.server()
        server.asset("/page", PAGE)
        async with self.serving(server) as running:
            head = await running.request("/page", method="HEAD")
            get = await running.request("/page")
        assert (head.status, head.body) == (200, b"")
        for name in ("ETag", "Content-Type", "Content-Length"):
            assert head.headers[name] == get.headers[name]

    async def test_what_the_client_has_already_is_304(self) -> None:
        server = self.server()
        server.asset("/page", PAGE)
        async with self.serving(server) as running:
            tag = (await running.request("/page")).headers["ETag"]
            again = await running.request("/page", headers=[("If-None-Match", tag)])
            assert (again.status, again.body) == (304, b"")
            assert again.headers["ETag"] == tag
            changed = await running.request("/page", headers=[("If-None-Match", '"other"')])
            assert (changed.status, changed.text) == (200, PAGE)

    async def test_an_asset_is_only_to_be_read(self) -> None:
        server = self.server()
        server.asset("/page", PAGE)
        async with self.serving(server) as running:
            answer = await running.request("/page", method="DELETE")
            assert answer.status == 405
            assert "GET" in answer.headers.get("Allow", "GET")

    async def refusal_at(self, running: Running, path: str) -> Refused:
        """How a WebSocket at this path is turned away."""
        kind = "memory" if running.in_memory else "websocket"
        with pytest.raises(Refused) as caught:
            await running.connect(path, kind=kind)
        return caught.value


class LifecycleTests(AdapterTests):
    """Draining, stopping, starting again; 200 clients leave no trace."""

    async def test_drain_tells_clients_to_come_back(self) -> None:
        server = self.server()
        watch = self.echo(server)
        async with self.serving(server) as running:
            peers = [await self.connect(running) for _ in range(3)]
            await watch.spark(2)
            await server.drain()
            await running.stopped.wait()
            for peer in peers:
                close = await peer.wait_closed()
                assert (close.code, close.come_back) == (1012, True)
        assert [close.code for _, close in watch.closed] == [1012] * 3
        assert {close.origin for _, close in watch.closed} == {Origin.LOCAL}

    async def test_drain_lets_nobody_in_and_waits_for_close_handlers(self) -> None:
        server = self.server()
        opened, closing, release = anyio.Event(), anyio.Event(), anyio.Event()
        log: list[str] = []

        def enter(spark: Spark) -> None:
            opened.set()

        server.on_open(enter)

        async def leave(spark: Spark, close: Close) -> None:
            closing.set()
            await release.wait()
            log.append("close handler")

        server.on_close(leave)
        async with self.serving(server) as running:
            await self.connect(running)
            await opened.wait()
            async with task_group() as group:
                group.start_soon(server.drain)
                await closing.wait()
                await self._nobody_gets_in(running)
                assert not running.stopped.is_set()
                release.set()
                await running.stopped.wait()
                log.append("serve returned")
            await self._nobody_gets_in(running)
        assert log == ["close handler", "serve returned"]

    async def test_drain_cuts_off_those_that_are_left_at_the_deadline(self) -> None:
        server = self.server(limits={"close_seconds": 60.0})
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect_wire(running)
            peer.stop_reading()
            await watch.spark()
            await server.drain(0.2)
            await running.stopped.wait()
        assert [close.code for _, close in watch.closed] == [1012]

    async def test_a_cancelled_server_cuts_every_connection(self) -> None:
        server = self.server()
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            await watch.spark()
            running.cancel()
            await running.stopped.wait()
            await peer.wait_closed()
            await watch.end()
            assert len(running.hub) == 0

    async def test_the_same_server_starts_again(self) -> None:
        server = self.server()
        watch = self.echo(server)
        for number in range(2):
            async with self.serving(server) as running:
                peer = await self.connect(running)
                await peer.send("hello")
                assert await peer.receive() == "hello"
            assert len(watch.closed) == number + 1
            assert len(server.hub) == 0

    async def test_a_server_that_does_not_run_has_no_gateway(self) -> None:
        server = self.server()
        async with self.serving(server) as running:
            assert server.gateway is running.gateway
        with pytest.raises(ConfigError):
            _ = server.gateway

    async def test_two_hundred_clients_leave_nothing_behind(self) -> None:
        server = self.server(limits={"connections_per_address": 8})
        watch = self.echo(server)
        async with self.serving(server) as running:
            await self._come_and_go(running, watch, 8)  # whatever is made once is made now
            gc.collect()
            tasks, files = count_tasks(), count_open_files()
            await self._come_and_go(running, watch, CYCLES)
            await running.gateway.sparks.wait_empty()
            assert running.gateway.connections == []
            assert len(running.hub) == 0
            gc.collect()
            await eventually(lambda: count_tasks() <= tasks)
            await eventually(lambda: count_open_files() <= files)
            assert len(watch.opened) == len(watch.closed) == CYCLES + 8

    async def test_refused_clients_leave_nothing_behind(self) -> None:
        server = self.server()
        server.authorize(_nobody)
        async with self.serving(server) as running:
            tasks, files = 0, 0
            for number in range(60):
                with pytest.raises(Refused):
                    await self.connect(running)
                if number == 9:
                    gc.collect()
                    tasks, files = count_tasks(), count_open_files()
            gc.collect()
            assert running.gateway.connections == []
            await eventually(lambda: count_tasks() <= tasks)
            await eventually(lambda: count_open_files() <= files)

    async def _come_and_go(self, running: Running, watch: Watch, times: int) -> None:
        """Clients one after another; a third each closes, vanishes, and is closed."""
        before = len(watch.closed)
        for number in range(times):
            peer = await self.connect(running)
            spark = await watch.spark(before + number)
            if number % 3 == 0:
                await peer.send("hello")
                assert await peer.receive() == "hello"
                await peer.close()
            elif number % 3 == 1:
                await peer.drop()
            else:
                await spark.close(4000)
                await peer.wait_closed()
            await watch.end(before + number)

    async def _nobody_gets_in(self, running: Running) -> None:
        with pytest.raises((Refused, OSError)):
            await self.connect(running)


def _nobody(handshake: Handshake) -> bool:
    return False


def count_tasks() -> int:
    """Tasks of the event loop that live."""
    if sniffio.current_async_library() == "trio":
        import trio

        return trio.lowlevel.current_statistics().tasks_living
    import asyncio

    return len(asyncio.all_tasks())


def count_open_files() -> int:
    """Files and sockets that the process has open; 0 where the system does not tell."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 0
