"""A server in memory that speaks Socket.IO over plain WebSockets, and its clients."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import anyio
import pytest

from unisock import Close, Server, Spark, connect
from unisock.client import Client
from unisock.gateway import ServerGateway
from unisock.memory import MemoryAdapter, MemoryPeer
from unisock.memory_client import MemoryConnector
from unisock.timers import Timers
from unisock_emitter import Emitter
from unisock_multiplex import Multiplex
from unisock_rooms import Rooms

PATIENCE = 40


class House:
    """A server with the namespaces ``/`` and ``/chat``, and what its handlers saw.

    :ivar sparks: those that came, in order
    :ivar closes: how sparks ended, in order, with their namespaces
    """

    def __init__(
        self, options: dict[str, Any] | None = None, *, recovery: Any = None, **endpoint: Any
    ) -> None:
        options = dict(options or {})
        if recovery is not None:
            options["recovery"] = recovery
        self.now = 0.0
        self.multiplex = Multiplex()
        self.rooms = Rooms()
        self.events = Emitter()
        self.adapter = MemoryAdapter()
        self.server = Server(
            adapter=self.adapter,
            folder=None,
            plugins=[self.multiplex, self.rooms, self.events],
            endpoints=[{"path": "/ws", "dialect": "socketio", "options": options, **endpoint}],
        )
        self.seen: list[Any] = []
        self.errors: list[Exception] = []
        self.closes: list[tuple[str, Close]] = []
        self.sparks: list[Spark] = []
        self.news = anyio.Event()
        self.gateway: ServerGateway
        self.chat = self.multiplex.channel("/chat")
        for place in (self.server, self.chat):
            self.watch(place)

    def watch(self, place: Any) -> None:
        """Note what happens to an endpoint or a channel."""
        place.on_open(lambda spark: self._note(self.sparks, spark))
        place.on_message(lambda spark, payload: self._note(self.seen, payload))
        place.on_error(lambda spark, error: self._note(self.errors, error))
        place.on_close(lambda spark, close: self._note(self.closes, (spark.channel, close)))

    def _note(self, where: list[Any], what: Any) -> None:
        where.append(what)
        news, self.news = self.news, anyio.Event()
        news.set()

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until it is so."""
        while not true():
            await self.news.wait()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[House]:
        """Let it run."""
        async with anyio.create_task_group() as group:
            with anyio.fail_after(PATIENCE):
                await group.start(self.server.serve)
                self.gateway = self.server.gateway
                yield self
            group.cancel_scope.cancel()

    def pass_time(self, seconds: float) -> None:
        """Let the clock run, if it was stopped with `stop_clock`."""
        self.now += seconds
        self.gateway.runtime.timers.advance()

    def stop_clock(self) -> None:
        """Time passes in `pass_time` only."""
        runtime: Any = self.gateway.runtime
        runtime.timers = Timers(lambda: self.now)

    async def peer(self, target: str = "/ws") -> Raw:
        """A client that writes its packets by hand."""
        return Raw(await self.adapter.connect(target))

    async def inside(self, namespace: str = "/", auth: object = None) -> Raw:
        """Such a client, in a namespace; there is a spark."""
        raw = await self.peer()
        await raw.enter(namespace, auth)
        return raw

    def client(self, **options: Any) -> Client:
        """Our own client."""
        return connect(
            "ws://memory/ws",
            dialect="socketio",
            connector=MemoryConnector(self.adapter),
            **options,
        )


class Raw:
    """A client that writes its packets by hand.

    :ivar told: what the server said when it let this client in
    """

    def __init__(self, peer: MemoryPeer) -> None:
        self.peer = peer
        self.told: dict[str, Any] = {}

    async def send(self, *messages: str | bytes) -> None:
        for message in messages:
            await self.peer.send(message)

    async def receive(self) -> Any:
        return await self.peer.receive()

    async def ask(self, *messages: str | bytes) -> Any:
        await self.send(*messages)
        return await self.receive()

    async def enter(self, namespace: str = "/", auth: object = None) -> dict[str, Any]:
        where = "" if namespace == "/" else f"{namespace},"
        payload = "" if auth is None else json.dumps(auth)
        answer = await self.ask(f"0{where}{payload}")
        assert answer.startswith(f"0{where}{{"), answer
        self.told = json.loads(answer[1 + len(where) :])
        return self.told


Run: TypeAlias = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def run(anyio_backend: str) -> Run:
    """``async with run(recovery=True) as house``: a server that runs."""

    def run(house: House | None = None, **settings: Any) -> AbstractAsyncContextManager[House]:
        return (house or House(**settings)).running()

    return run
