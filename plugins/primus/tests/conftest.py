"""A server in memory with Primus endpoints, and clients of it: raw ones, and ours."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import anyio
import pytest

from unisock import Handshake, Server, Spark, connect
from unisock.client import Client
from unisock.memory import MemoryAdapter, MemoryPeer
from unisock.memory_client import MemoryConnector
from unisock.testing.running import task_group
from unisock_emitter import Emitter
from unisock_multiplex import Multiplex
from unisock_rooms import Rooms

PATIENCE = 40


class House:
    """A server that echoes, with events and channels, and what its handlers saw.

    :param echoes: or it only listens
    :param options: of the endpoint ``/primus``
    """

    def __init__(
        self,
        *,
        echoes: bool = True,
        plugins: bool = True,
        codec: str = "json",
        options: Any = None,
        **settings: Any,
    ) -> None:
        self.events = Emitter()
        self.multiplex = Multiplex()
        self.rooms = Rooms()
        self.adapter = MemoryAdapter()
        self.server = Server(
            adapter=self.adapter,
            folder=None,
            plugins=[self.events, self.multiplex, self.rooms] if plugins else [],
            **settings,
        )
        self.codec = codec
        self.endpoint = self.server.endpoint(
            "/primus", dialect="primus", codec=codec, options=options or {}
        )
        self.seen: list[Any] = []
        self.errors: list[Exception] = []
        self.closes: list[Any] = []
        self.sparks: list[Spark] = []
        self.server.on_open(self.sparks.append)
        self.server.on_error(lambda spark, error: self.errors.append(error))
        self.server.on_close(lambda spark, close: self.closes.append(close))

        @self.server.on_message
        async def echo(spark: Spark, payload: object) -> None:
            self.seen.append(payload)
            if echoes:
                await spark.send(payload)

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
        """One of ours."""
        return connect(
            "primus+http://memory",
            connector=MemoryConnector(self.adapter),
            plugins=plugins,
            codec=self.codec,
            **options,
        )


class Raw:
    """A client that writes its messages by hand."""

    def __init__(self, peer: MemoryPeer) -> None:
        self.peer = peer

    async def send(self, payload: object) -> None:
        await self.peer.send(json.dumps(payload))

    async def receive(self) -> Any:
        return json.loads(await self.peer.receive())

    async def ask(self, payload: object) -> Any:
        await self.send(payload)
        return await self.receive()


Open: TypeAlias = Callable[..., AbstractAsyncContextManager[Raw]]


@pytest.fixture
def opened(anyio_backend: str) -> Open:
    """A running server, and a client of it."""

    @asynccontextmanager
    async def opened(house: House, target: str = "/primus?_primuscb=x") -> AsyncGenerator[Raw]:
        async with task_group() as group:
            with anyio.fail_after(PATIENCE):
                await group.start(house.server.serve)
                yield Raw(await house.adapter.connect(target))
            group.cancel_scope.cancel()

    return opened


@pytest.fixture
def refusing() -> House:
    """A server that lets nobody in."""
    house = House(plugins=False)

    @house.endpoint.authorize
    def refuse(handshake: Handshake) -> bool:
        return False

    return house
