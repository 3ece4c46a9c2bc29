"""How a server stops: drained, at a deadline, or cancelled."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from unisock.abc import Listener
from unisock.errors import ConfigError
from unisock.exchange import Request
from unisock.handshake import Handshake
from unisock.hookspecs import hookimpl
from unisock.memory import MemoryAdapter, MemoryPeer
from unisock.server import Server
from unisock.spark import Spark

pytestmark = pytest.mark.anyio

Serving = Any


def make(**settings: Any) -> Server:
    return Server(folder=None, adapter=MemoryAdapter(), **settings)


async def settle() -> None:
    await anyio.wait_all_tasks_blocked()


async def test_drain_tells_clients_to_come_back_and_ends_serve() -> None:
    server, closed = make(), list[int]()
    server.on_close(lambda spark, close: closed.append(close.code))
    peers: list[MemoryPeer] = []
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            await group.start(server.serve)
            memory = server.adapter
            assert isinstance(memory, MemoryAdapter)
            peers += [await memory.connect() for _ in range(3)]
            await server.drain()
        for peer in peers:
            close = await peer.wait_closed()
            assert (close.code, close.come_back) == (1012, True)
    assert closed == [1012] * 3


@pytest.mark.parametrize("deadline", [0, 5])
async def test_drain_tells_every_one_of_many(serving: Serving, deadline: float) -> None:
    server = make()
    async with serving(server) as memory:
        peers = [await memory.connect() for _ in range(350)]
        await server.drain(deadline)
        assert {peer.closed.code for peer in peers if peer.closed is not None} == {1012}
        assert len(server.hub) == 0


async def test_drain_lets_nobody_in() -> None:
    server = make()
    hold = anyio.Event()

    @server.on_close
    async def leave(spark: Spark, close: Any) -> None:
        await hold.wait()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            await group.start(server.serve)
            memory = server.adapter
            assert isinstance(memory, MemoryAdapter)
            await memory.connect()
            group.start_soon(server.drain)
            await settle()
            with pytest.raises(ConfigError, match="no server listens"):
                await memory.connect()
            answer = await server.gateway.answer(Request(Handshake(target="/ws"), upgrade=True))
            assert getattr(answer, "status", None) == 503
            hold.set()


async def test_drain_waits_for_close_handlers() -> None:
    server, log = make(), list[str]()

    @server.on_close
    async def save(spark: Spark, close: Any) -> None:
        await anyio.sleep(0.05)
        log.append("saved")

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            await group.start(server.serve)
            memory = server.adapter
            assert isinstance(memory, MemoryAdapter)
            for _ in range(3):
                await memory.connect()
            await server.drain()
            assert log == ["saved"] * 3


@pytest.mark.parametrize("style", ["on_close", "session"])
async def test_drain_waits_no_longer_than_its_deadline(style: str) -> None:
    """And no second time, though the settings allow an hour."""
    server = make(drain_seconds=3600)

    async def hang(*args: Any) -> None:
        await anyio.sleep_forever()

    getattr(server, style)(hang)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            await group.start(server.serve)
            memory = server.adapter
            assert isinstance(memory, MemoryAdapter)
            peer = await memory.connect()
            await server.drain(0.05)
            assert peer.closed is not None


async def test_leaving_the_block_drains() -> None:
    server, log = make(), list[str]()

    @server.on_close
    async def save(spark: Spark, close: Any) -> None:
        await anyio.lowlevel.checkpoint()
        log.append(f"saved {close.code}")

    memory = server.adapter
    assert isinstance(memory, MemoryAdapter)
    with anyio.fail_after(30):
        async with server, anyio.create_task_group() as group:

            async def serve(*, task_status: TaskStatus[Listener]) -> None:
                await memory.serve(server.gateway, task_status=task_status)

            await group.start(serve)
            await memory.connect()
            group.cancel_scope.cancel()
    assert log == ["saved 1012"]


async def test_it_can_be_cancelled_at_any_time_and_leaves_nothing() -> None:
    log: list[str] = []

    class Watcher:
        @hookimpl
        def unisock_stop(self) -> None:
            log.append(f"stopped, {len(server.hub)} left")

    server = make(plugins=[Watcher()])
    server.on_close(lambda spark, close: log.append("closed"))
    memory = server.adapter
    assert isinstance(memory, MemoryAdapter)
    before = len(anyio.get_running_tasks())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            await group.start(server.serve)
            await memory.connect()
            group.cancel_scope.cancel()
        with anyio.CancelScope() as scope:
            async with server:
                scope.cancel()  # on the way out, the first wait is cancelled
    assert len(anyio.get_running_tasks()) == before
    assert log == ["closed", "stopped, 0 left", "stopped, 0 left"]
    with pytest.raises(ConfigError, match="does not run"):
        _ = server.gateway


async def test_a_handlers_task_ends_before_the_plugins_stop() -> None:
    log: list[str] = []

    class Watcher:
        @hookimpl
        def unisock_stop(self) -> None:
            log.append("stop")

    server = make(plugins=[Watcher()])

    @server.session
    async def stay(spark: Spark) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            log.append("session ended")

    memory = server.adapter
    assert isinstance(memory, MemoryAdapter)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            await group.start(server.serve)
            await memory.connect()
            await settle()
            await server.drain(0)
    assert log == ["session ended", "stop"]
