"""What the tests of a protocol stand on: its servers, its clients, the wire between them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Literal

import anyio
import msgspec
import pytest

from ...abc import Adapter, Protocol
from ...capabilities import Capabilities
from ...client import Client, connect
from ...errors import ConnectionClosed
from ...messages import Message
from ...registry import look_up
from ...server import Server
from ...spark import Spark
from ..conformance.base import Watch, backend_fixture, eventually
from ..relay import Relay
from ..running import Running, serving

__all__ = ["ProtocolTests", "Way", "read_to_the_end"]

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""To be given to clients that will not need it: to load the system's authorities takes longer than
most of the tests."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way for a client to come, and what it cannot do. Some limits are the transport's nature;
    whatever is not denied here is tested.
    """

    options: Mapping[str, Any] = {}
    """What makes the connector take it: further options of `connect`."""
    transport: str = ""
    """What `Spark.transport` says on the server; the way's name unless given."""
    endpoint: Mapping[str, Any] = {}
    """Further options of the endpoint."""
    upgrades: bool = False
    """The session begins with another transport, and moves to this one a little later."""
    two_way: bool = True
    """The client can send."""
    close_to_client: bool = True
    """The server's close code and reason reach the client."""
    close_to_server: bool = True
    """The client's close code and reason reach the server, and a client that vanishes is told from
    one that leaves."""
    heartbeat: Literal["protocol", "host", "none"] = "host"
    """Who asks a silent client whether it lives: the protocol itself; the host, if it has the
    capability ``ping``; or nobody, since the transport has no answer to that."""


class ProtocolTests:
    """The base of all parts of the suite.

    :cvar protocol: the protocol's name
    :cvar host: the adapter that carries it: its name, or its class
    :cvar scheme: what the URL of a client begins with, such as ``sockjs+http``; ``ws`` for a
        WebSocket
    :cvar ways: how clients can come, by name
    :cvar options: options of the endpoint
    :cvar quick: those with which it takes a second at most until an idle connection gets its third
        heartbeat, and until a client is given up that does not come back
    :cvar many: how many messages are a long row: fewer, where each takes a request of its own
    :cvar host_options: the table ``[options.NAME]`` for the host
    :cvar backends: where to test, if not on every backend that the host's capabilities name
    :cvar patience: the seconds after which a test gives up, for what should come at once
    """

    pytestmark = pytest.mark.anyio

    protocol: ClassVar[str]
    host: ClassVar[str | type[Adapter]]
    scheme: ClassVar[str]
    ways: ClassVar[Mapping[str, Way]]
    options: ClassVar[Mapping[str, Any]] = {}
    quick: ClassVar[Mapping[str, Any]] = {}
    many: ClassVar[int] = 1000
    host_options: ClassVar[Mapping[str, Any]] = {}
    backends: ClassVar[Sequence[Any] | None] = None
    patience: ClassVar[float] = 40.0

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if hasattr(cls, "host") and hasattr(cls, "ways"):
            backends = cls.backends or cls.make_host().capabilities.backends
            setattr(cls, "anyio_backend", backend_fixture(backends))  # noqa: B010
            setattr(cls, "way", _way_fixture(cls.ways))  # noqa: B010

    @classmethod
    def make_host(cls) -> Adapter:
        """A new adapter."""
        kind: type[Adapter] = (
            look_up("adapter", cls.host) if isinstance(cls.host, str) else cls.host
        )
        return kind(dict(cls.host_options))

    @property
    def capabilities(self) -> Capabilities:
        """What the host says it can do."""
        return self.make_host().capabilities

    def needs(self, *capabilities: str) -> None:
        """Skip the test if the host, or the protocol, lacks one of these."""
        for name in capabilities:
            able = self.binary if name == "binary" else getattr(self.capabilities, name)
            if not able:
                pytest.skip(f"capability: {name}")

    def needs_way(self, way: Way, *abilities: str) -> None:
        """Skip the test if clients who come this way lack one of these."""
        for name in abilities:
            if not getattr(way, name):
                pytest.skip(f"capability: {name}")

    @property
    def binary(self) -> bool:
        """Whether messages may be `bytes`."""
        kind: type[Protocol] = look_up("protocol", self.protocol)
        return kind.binary

    def server(self, way: Way | None = None, **settings: Any) -> Server:
        """A server with one endpoint, ``/here``, for raw messages.

        :param options: further options of the endpoint
        """
        own: Mapping[str, Any] = {} if way is None else way.endpoint
        endpoint = {
            "path": "/here",
            "codec": "raw",
            "protocol": self.protocol,
            "options": {**self.options, **own, **settings.pop("options", {})},
            **settings.pop("endpoint", {}),
        }
        return Server(adapter=self.make_host(), folder=None, endpoints=[endpoint], **settings)

    def attentive_server(self, way: Way, **settings: Any) -> Server:
        """A server that soon finds out who is gone, also where nothing was under way that broke:
        between two polls.
        """
        heartbeat = {"interval": 0.5, "timeout": 2.0}
        return self.server(way, heartbeat=heartbeat, options=dict(self.quick), **settings)

    @asynccontextmanager
    async def serving(self, server: Server) -> AsyncGenerator[Running]:
        """Run a server, for `patience` seconds at most."""
        with anyio.fail_after(self.patience):
            async with serving(server) as running:
                yield running

    @asynccontextmanager
    async def client(self, running: Running, way: Way, **more: Any) -> AsyncGenerator[Spark]:
        """A client that has come this way: see `make_client`."""
        async with self.make_client(running, way, **more) as spark:
            if way.upgrades:
                both = [spark, *running.hub]
                await eventually(lambda: all(end.transport == way.transport for end in both))
            yield spark

    def make_client(
        self,
        running: Running,
        way: Way,
        *,
        path: str = "/here",
        relay: Relay | None = None,
        limits: Mapping[str, float] | None = None,
        **more: Any,
    ) -> Client:
        """A client that comes this way, and does not come back.

        :param relay: what lies between
        """
        place = running.place if relay is None else relay.place
        return connect(
            f"{self.scheme}://{place.authority}{path}",
            codec="raw",
            reconnect=False,
            proxy=False,
            tls=_NO_TLS,
            limits={"close_seconds": 0.5, **(limits or {})},
            **way.options,
            **more,
        )

    def echo(self, server: Server) -> Watch:
        """Have a server send back what it gets."""
        watch = Watch(server)

        async def echo(spark: Spark, message: Message) -> None:
            await spark.send(message)

        server.on_message(echo)
        return watch


async def read_to_the_end(spark: Spark) -> tuple[list[Any], ConnectionClosed]:
    """All messages that come still, and how the session ended."""
    received: list[Any] = []
    try:
        while True:
            received.append(await spark.receive())
    except ConnectionClosed as closed:
        return received, closed


def _way_fixture(ways: Mapping[str, Way]) -> Any:
    """The fixture ``way``, with one test run for each; their names become their transports."""
    named = [
        msgspec.structs.replace(way, transport=way.transport or name) for name, way in ways.items()
    ]

    @pytest.fixture(params=named, ids=[*ways])
    def way(self: object, request: pytest.FixtureRequest) -> Way:
        chosen: Way = request.param
        return chosen

    return way
