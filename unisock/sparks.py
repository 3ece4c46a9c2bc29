"""The life of all sparks of a server, or of a client."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import anyio

from .abc import Runtime
from .config import Endpoint
from .hub import Hub
from .limits import Limits, Overflow
from .messages import Close, printable
from .pipeline import Handler, Pipeline
from .plugins import Plugins, Registered
from .spark import Spark

__all__ = ["Sparks"]

log = logging.getLogger("unisock")


class Sparks:
    """Tells hub and plugins of sparks that come and go, and makes their pipelines.

    :param registered: the application's own transforms, which come before the plugins'
    :ivar registered: those of the plugins, too
    :ivar dropped: messages that were dropped so far
    """

    def __init__(
        self, hub: Hub, plugins: Plugins, registered: Registered, runtime: Runtime
    ) -> None:
        self.hub = hub
        self.plugins = plugins
        self.runtime = runtime
        self.registered = everything = Registered()
        everything.incoming_transforms += registered.incoming_transforms
        everything.outgoing_transforms += registered.outgoing_transforms
        plugins.hook.unisock_configure(register=everything)
        self.dropped = 0
        self._count = 0
        self._empty: anyio.Event | None = None

    def pipeline(
        self,
        endpoint: Endpoint,
        *,
        limits: Limits,
        overflow: Overflow,
        handlers: Mapping[str, Handler],
        inbox: bool = False,
    ) -> Pipeline:
        """A pipeline that ends in these handlers.

        :param inbox: messages that no handler takes wait for `Spark.receive`; else they are ignored
        """
        inbox = "session" in handlers or (inbox and "message" not in handlers)
        registered = self.registered
        return Pipeline(
            endpoint=endpoint,
            limits=limits,
            overflow=overflow,
            runtime=self.runtime,
            handlers={**handlers, "error": self._with_hook(handlers.get("error"))},
            final=Spark.arrive if inbox else handlers.get("message", _ignore),
            inbox=inbox,
            incoming=registered.incoming_transforms,
            outgoing=registered.outgoing_transforms,
            packets=registered.packets,
            at_once=registered.at_once,
            wanted=registered.wanted,
            dropped=self.count_dropped,
            leave=self.leave,
            forget=self.forget,
            interrupted=self.interrupted,
            resumed=self.resumed,
        )

    def enter(self, spark: Spark) -> None:
        """A new spark, before its open handler."""
        self._count += 1
        self.hub.add(spark)
        log.debug("%r: open", spark)
        self.plugins.tell("unisock_open", spark=spark)

    def interrupted(self, spark: Spark, close: Close) -> None:
        """A client's spark, while its connection is being made anew."""
        self.plugins.tell("unisock_interrupt", spark=spark, close=close)

    def resumed(self, spark: Spark) -> None:
        """A client's spark, when its connection is there again."""
        self.plugins.tell("unisock_resume", spark=spark)

    def leave(self, spark: Spark, close: Close) -> None:
        """A spark that cannot be reached any more, before its close handler."""
        self.hub.remove(spark)
        log.debug("%r: %s", spark, printable(close.reason) or "closed")
        self.plugins.tell("unisock_close", spark=spark, close=close)

    def forget(self, spark: Spark) -> None:
        """A spark whose close handler has ended."""
        self.plugins.tell("unisock_forget", spark=spark)
        self._count -= 1
        if not self._count and self._empty is not None:
            self._empty.set()

    def count_dropped(self, messages: int) -> None:
        """Messages were dropped."""
        self.dropped += messages

    async def wait_empty(self) -> None:
        """Wait until every spark is forgotten."""
        while self._count:
            if self._empty is None or self._empty.is_set():
                self._empty = anyio.Event()
            await self._empty.wait()

    def _with_hook(self, on_error: Handler | None) -> Handler:
        """The application's error handler, after the plugins' hook."""

        def handle(spark: Spark, error: Exception) -> Any:
            self.plugins.tell("unisock_error", spark=spark, error=error)
            return on_error(spark, error) if on_error is not None else None

        return handle


def _ignore(spark: Spark, payload: object) -> None:
    """For endpoints that only send."""
