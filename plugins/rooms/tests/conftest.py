"""A server in memory, with rooms."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from unisock import Close, Server, Spark
from unisock.memory import MemoryAdapter, MemoryPeer
from unisock_rooms import Rooms


class House:
    """A running server with rooms, and what it saw."""

    def __init__(self, server: Server, adapter: MemoryAdapter, rooms: Rooms) -> None:
        self.server = server
        self.adapter = adapter
        self.rooms = rooms
        self.at_close: list[tuple[Spark, Any]] = []
        self._entered: list[Spark] = []
        server.on_open(self._entered.append)
        server.on_message(lambda spark, message: None)
        server.on_close(self._on_close)

    async def enter(self, target: str = "/ws") -> tuple[Spark, MemoryPeer]:
        """A new client: the server's end and its own."""
        peer = await self.adapter.connect(target)
        return self._entered.pop(), peer

    def _on_close(self, spark: Spark, close: Close) -> None:
        self.at_close.append((spark, self.rooms.of(spark)))


@asynccontextmanager
async def open_house(rooms: Rooms | None = None, **settings: Any) -> AsyncIterator[House]:
    rooms = rooms or Rooms()
    adapter = MemoryAdapter()
    settings.setdefault("endpoints", [{"path": "/ws"}])
    server = Server(plugins=[rooms], adapter=adapter, folder=None, **settings)
    house = House(server, adapter, rooms)
    async with anyio.create_task_group() as group:
        await group.start(server.serve)
        yield house
        group.cancel_scope.cancel()


@pytest.fixture(name="open_house")
def _open_house() -> Callable[..., AbstractAsyncContextManager[House]]:
    return open_house


@pytest.fixture
async def house(anyio_backend: str) -> AsyncIterator[House]:
    async with open_house() as house:
        yield house
