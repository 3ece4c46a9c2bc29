"""What the tests of an adapter stand on: its servers, its clients, and how to wait."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import pytest

from ...abc import Adapter
from ...capabilities import Capabilities
from ...errors import ConnectionClosed
from ...messages import Close, Message
from ...registry import look_up
from ...server import Server
from ...spark import Spark
from ..peers import Peer, Refused
from ..running import Running, serving
from ..websocket import WebSocketPeer

__all__ = ["AdapterTests", "Watch", "backend_fixture", "eventually"]


class AdapterTests:
    """The base of all parts of the suite.

    :cvar adapter: the adapter's name, or its class
    :cvar options: the table ``[options.NAME]`` for it
    :cvar endpoint: further fields of the endpoint that the tests use, such as its protocol
    :cvar peer: the kind of client, if not what the endpoint wants: see `Running.connect`
    :cvar backends: where to test, if not on every backend that the capabilities name
    :cvar patience: the seconds after which a test gives up, for what should come at once
    """

    pytestmark = pytest.mark.anyio

    adapter: ClassVar[str | type[Adapter]]
    options: ClassVar[Mapping[str, Any]] = {}
    endpoint: ClassVar[Mapping[str, Any]] = {}
    peer: ClassVar[str | None] = None
    backends: ClassVar[Sequence[str] | None] = None
    patience: ClassVar[float] = 40.0

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if hasattr(cls, "adapter"):
            backends = cls.backends or cls.make_adapter().capabilities.backends
            setattr(cls, "anyio_backend", backend_fixture(backends))  # noqa: B010

    @classmethod
    def make_adapter(cls) -> Adapter:
        """A new adapter."""
        kind: type[Adapter] = (
            look_up("adapter", cls.adapter) if isinstance(cls.adapter, str) else cls.adapter
        )
        return kind(dict(cls.options))

    @property
    def capabilities(self) -> Capabilities:
        """What the adapter says it can do."""
        return self.make_adapter().capabilities

    def needs(self, *capabilities: str) -> None:
        """Skip the test if the adapter lacks one of these."""
        for name in capabilities:
            if not getattr(self.capabilities, name):
                pytest.skip(f"capability: {name}")

    def server(self, **settings: Any) -> Server:
        """A server with one endpoint, ``/ws``, for raw messages.

        It has so much patience with closing handshakes that one which fails is found out.
        """
        limits = {"close_seconds": 2 * self.patience, **settings.pop("limits", {})}
        endpoint = {"path": "/ws", "codec": "raw", **self.endpoint, **settings.pop("endpoint", {})}
        return Server(
            adapter=self.make_adapter(),
            folder=None,
            endpoints=[endpoint],
            limits=limits,
            **settings,
        )

    @asynccontextmanager
    async def serving(self, server: Server, **more: Any) -> AsyncGenerator[Running]:
        """Run a server, for `patience` seconds at most."""
        with anyio.fail_after(self.patience):
            async with serving(server, **more) as running:
                yield running

    async def connect(self, running: Running, path: str | None = None, **more: Any) -> Peer:
        """A new client of the adapter."""
        return await running.connect(path, kind=self.peer, **more)

    async def connect_wire(self, running: Running) -> WebSocketPeer:
        """A new client that can break the rules of RFC 6455; skips where there are no frames."""
        peer = await self.connect(running)
        if not peer.wire:
            await peer.drop()
            pytest.skip(f"capability: {type(peer).__name__} has no frames of its own")
        assert isinstance(peer, WebSocketPeer)
        return peer

    async def refusal(self, running: Running, **more: Any) -> Refused:
        """How the server turns a client away; fails if it does not."""
        with pytest.raises(Refused) as caught:
            await self.connect(running, **more)
        return caught.value

    def echo(self, server: Server) -> Watch:
        """Have a server send back what it gets."""
        watch = Watch(server)

        def echo(spark: Spark, message: Message) -> None:
            spark.send_nowait(message)

        server.on_message(echo)
        return watch


class Watch:
    """What a server's handlers saw.

    :ivar opened: the sparks, in the order in which they came
    :ivar closed: each spark that went, and how
    :ivar errors: what ``on_error`` was told
    """

    def __init__(self, server: Server) -> None:
        self.opened: list[Spark] = []
        self.closed: list[tuple[Spark, Close]] = []
        self.errors: list[Exception] = []
        self._changed = anyio.Event()
        server.on_open(self._on_open)
        server.on_close(self._on_close)
        server.on_error(self._on_error)

    def changed(self) -> None:
        """Have those who wait look again."""
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has happened that makes this true."""
        while not condition():
            await self._changed.wait()

    async def spark(self, number: int = 0) -> Spark:
        """The spark that came first, second, …, as soon as it has."""
        await self.until(lambda: len(self.opened) > number)
        return self.opened[number]

    async def end(self, number: int = 0) -> Close:
        """How the first, second, … spark went that did, as soon as it has."""
        await self.until(lambda: len(self.closed) > number)
        return self.closed[number][1]

    def _on_open(self, spark: Spark) -> None:
        self.opened.append(spark)
        self.changed()

    def _on_close(self, spark: Spark, close: Close) -> None:
        self.closed.append((spark, close))
        self.changed()

    def _on_error(self, spark: Spark, error: Exception) -> None:
        self.errors.append(error)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what tells nobody when it happens, such as the end of a driver's task."""
    while not condition():  # noqa: ASYNC110 - there is no event
        await anyio.sleep(0.005)


async def drained(peer: Peer) -> list[Message]:
    """All messages until the end of the connection."""
    messages: list[Message] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            messages.append(await peer.receive())
    return messages


def backend_fixture(backends: Sequence[str]) -> Any:
    """The fixture that anyio's pytest plugin asks for the backend, with one test run for each."""

    @pytest.fixture(params=backends)
    def anyio_backend(self: object, request: pytest.FixtureRequest) -> str:
        name: str = request.param
        return name

    return anyio_backend
