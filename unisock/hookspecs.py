"""The hooks that a plugin may implement: for set-up and life cycle, never for single messages.

What is to run for each message is registered once, in `unisock_configure`, and compiled into the
pipeline of each endpoint.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import pluggy

from .abc import Runtime
from .errors import HandshakeRejected
from .handshake import Handshake
from .hub import Hub
from .messages import Close, Packet
from .pipeline import Transform
from .spark import Spark
from .stage import ChannelFinder

__all__ = ["Register", "hookimpl"]

hookspec = pluggy.HookspecMarker("unisock")
hookimpl = pluggy.HookimplMarker("unisock")
"""Marks a method of a plugin as the implementation of the hook with its name."""


class Register(ABC):
    """What a plugin can have done for each message."""

    @abstractmethod
    def incoming(self, transform: Transform) -> None:
        """Send every payload from a client through ``transform(spark, payload)``, after those
        registered before. It returns the payload to go on with, or `DROP`; it may be async, and the
        order of messages is kept all the same.
        """

    @abstractmethod
    def outgoing(self, transform: Transform) -> None:
        """Send every payload to a client through ``transform(spark, payload)``, likewise.

        A payload that it returns unchanged is still encoded once for all members of an audience.
        """

    @abstractmethod
    def packet(
        self,
        kind: type[Packet],
        handler: Callable[[Spark, Any], Any],
        *,
        at_once: bool = False,
        wanted: Callable[[Spark, Any], bool] = lambda spark, packet: True,
    ) -> None:
        """Have ``handler(spark, packet)`` called for every packet of this kind; it may be async.

        :param at_once: call it when the packet arrives, and not after the messages that wait for a
            busy handler: for answers, which that handler may be waiting for. Such a handler is a
            plain function.
        :param wanted: whether the handler has a use for this packet: where a message may be a
            packet or data, dialects ask

        Dialects look for packets of a kind only where somebody registered for it.

        :raises ConfigError: somebody else registered for it
        """

    @abstractmethod
    def channels(self, find: ChannelFinder) -> None:
        """Serve channels: ``find(name)`` gives the handlers of the channel with this name, or
        `None`. Dialects look for channels only where somebody serves them.
        """


@hookspec
def unisock_configure(register: Register) -> None:
    """The server is being built."""


@hookspec
def unisock_per_process() -> str | None:
    """Several processes are to serve one address: name what reaches the clients of one of them
    only, such as ``rooms``; or return `None`.
    """


@hookspec
def unisock_start(hub: Hub, runtime: Runtime) -> None:
    """The server starts; nobody is connected yet. Tasks are started with ``runtime.spawn``."""


@hookspec
def unisock_stop() -> None:
    """The server has stopped; everybody is gone."""


@hookspec
def unisock_open(spark: Spark) -> None:
    """A spark is there. Comes before the application's ``on_open``."""


@hookspec
def unisock_close(spark: Spark, close: Close) -> None:
    """A spark can no longer be reached: leave it out of every audience. Comes before ``on_close``,
    which may still ask what was known about it.
    """


@hookspec
def unisock_forget(spark: Spark) -> None:
    """The application is done with a spark, ``on_close`` included: drop all that is kept for it."""


@hookspec
def unisock_interrupt(spark: Spark, close: Close) -> None:
    """Its connection broke, and may be made anew: on a client that reconnects, and on a server that
    lets clients come back. Answers that were waited for do not come any more.
    """


@hookspec
def unisock_resume(spark: Spark) -> None:
    """Likewise: its connection is there again. What a client sends during this call goes ahead of
    all that waits.
    """


@hookspec
def unisock_error(spark: Spark, error: Exception) -> None:
    """A handler of the application raised, or the client sent what is no message."""


@hookspec
def unisock_refused(handshake: Handshake, rejection: HandshakeRejected) -> None:
    """A client was turned away: by a cap, its origin, or the application."""
