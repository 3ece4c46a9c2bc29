"""A server in memory with channels, and clients of it: raw ones, and ours."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import anyio
import pytest

from unisock import Server, Spark, connect
from unisock.client import Client
from unisock.memory import MemoryAdapter, MemoryPeer
from unisock.memory_client import MemoryConnector
from unisock_emitter import Emitter
from unisock_multiplex import Multiplex
from unisock_rooms import Rooms

PATIENCE = 40


class House:
    """A server with channels, rooms and events, and what its handlers saw."""

    def __init__(self, **settings: Any) -> None:
        self.multiplex = Multiplex()
        self.rooms = Rooms()
        self.events = Emitter()
        self.adapter = MemoryAdapter()
        self.server = Server(
            adapter=self.adapter,
            folder=None,
            plugins=[self.multiplex, self.rooms, self.events],
            **settings,
        )
        self.seen: list[Any] = []
        self.errors: list[Exception] = []
        self.closes: list[Any] = []
        self.sparks: list[Spark] = []
        self.server.on_message(lambda spark, payload: self.seen.append(("data", payload)))
        self.server.on_error(lambda spark, error: self.errors.append(error))

    def channel(self, name: str) -> Any:
        """A channel that echoes, and is watched."""
        channel = self.multiplex.channel(name)
        channel.on_open(self.sparks.append)
        channel.on_error(lambda spark, error: self.errors.append(error))
        channel.on_close(lambda spark, close: self.closes.append((spark.channel, close)))

        @channel.on_message
        async def echo(spark: Spark, payload: object) -> None:
            self.seen.append((spark.channel, payload))
            await spark.send(payload)

        return channel

    def client(self, *plugins: object, **options: Any) -> Client:
        return connect(
            "ws://memory/ws",
            connector=MemoryConnector(self.adapter),
            plugins=plugins,
            **options,
        )


class Raw:
    """A client that writes its frames by hand."""

    def __init__(self, peer: MemoryPeer) -> None:
        self.peer = peer

    async def send(self, *frame: object) -> None:
        await self.peer.send(json.dumps(frame))

    async def receive(self) -> Any:
        return json.loads(await self.peer.receive())

    async def ask(self, *frame: object) -> Any:
        await self.send(*frame)
        return await self.receive()


Open: TypeAlias = Callable[[House], AbstractAsyncContextManager[Raw]]


@pytest.fixture
def opened(anyio_backend: str) -> Open:
    @asynccontextmanager
    async def opened(house: House) -> AsyncGenerator[Raw]:
        async with anyio.create_task_group() as group:
            with anyio.fail_after(PATIENCE):
                await group.start(house.server.serve)
                yield Raw(await house.adapter.connect("/ws"))
            group.cancel_scope.cancel()

    return opened
