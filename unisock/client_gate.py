"""A client as connectors and dialects see it: one way in, for one connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from .abc import Connection, Dialect, Gate, Greeting, Runtime
from .capabilities import Capabilities
from .config import Endpoint
from .handshake import Handshake
from .limits import Heartbeat, Limits, Overflow
from .pipeline import Handler, Pipeline
from .reconnecting import ReconnectingConnection
from .spark import Spark
from .sparks import Sparks
from .stage import SparkStage

__all__ = ["ClientGate"]


class ClientGate(Gate, SparkStage):
    """The one client's way in: what connectors bring goes to the `ReconnectingConnection`.

    :ivar spark: the client's spark, once there is one
    """

    limits: Limits
    runtime: Runtime

    def __init__(
        self,
        codec: str,
        connection: ReconnectingConnection,
        dialect: Dialect,
        sparks: Sparks,
        *,
        limits: Limits,
        overflow: Overflow,
        heartbeat: Heartbeat,
        handlers: Mapping[str, Handler],
        on_enter: Callable[[], None],
    ) -> None:
        self.endpoint = Endpoint(path="/", codec=codec)  # it has a path when there is a URL
        self.capabilities = Capabilities()

        def build(handlers: Mapping[str, Handler], inbox: bool) -> Pipeline:
            return sparks.pipeline(
                self.endpoint, limits=limits, overflow=overflow, handlers=handlers, inbox=inbox
            )

        super().__init__(
            build(handlers, True),
            entered=self._entered,
            finders=sparks.registered.finders,
            build=build,
            is_client=True,
        )
        self.origins = frozenset()
        self.overflow = overflow
        self.heartbeat = heartbeat
        self.connection = connection
        self.sparks = sparks
        self.spark: Spark | None = None
        self._dialect = dialect
        self._conversing = False
        self._greeting: Greeting | None = None
        self._on_enter = on_enter

    async def admit(self, handshake: Handshake) -> None:
        """A client lets its server in."""

    def open(self, connection: Connection) -> None:
        connection.handshake.headers.compact()
        connection.watch()
        greeting = self._greeting = self._dialect.greet(connection)
        if greeting is None:
            self._carry_on(connection)
        else:
            greeting.then(partial(self._carry_on, connection))
            connection.attach(greeting)

    async def greet(self) -> None:
        """Go through the dialect's handshake, if there is one, on the connection that was opened.

        :raises Exception: as `Greeting.run`
        """
        if self._greeting is not None:
            await self._greeting.run()

    def _carry_on(self, connection: Connection) -> None:
        handshake = connection.handshake
        self.connection.carry_on(connection)
        if not self._conversing and self.connection.closing is None:
            self._conversing = True
            self.endpoint = self.pipeline.endpoint = Endpoint(
                path=handshake.path.rstrip("/") or "/", codec=self.endpoint.codec
            )
            self.connection.attach(self._dialect.converse(self.connection, self))

    def left(self, connection: Connection) -> None: ...

    def count_dropped(self, messages: int) -> None:
        """They are among `ReconnectingConnection.unconfirmed`."""

    def _entered(self, spark: Spark) -> None:
        if not spark.channel:
            self.spark = spark
            self._on_enter()
        self.sparks.enter(spark)
