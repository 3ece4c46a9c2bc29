"""The way of a message through the application, compiled once for each endpoint."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from .abc import Runtime
from .config import Endpoint
from .errors import ConfigError
from .limits import Limits, Overflow
from .messages import Close, Packet

__all__ = ["DROP", "Handler", "Handlers", "Pipeline", "Transform", "awaited", "is_async"]

Handler: TypeAlias = Callable[..., Any]
Transform: TypeAlias = Callable[[Any, Any], Any]
"""``transform(spark, payload)`` returns the payload to go on with, or `DROP`; may be async."""


class _Drop:
    def __repr__(self) -> str:
        return "DROP"


DROP: Final = _Drop()
"""What a transform returns to swallow a message."""


class Handlers:
    """The application's functions for one endpoint, or for all that have none of their own."""

    def __init__(self) -> None:
        self.functions: dict[str, Handler] = {}

    def set(self, name: str, function: Handler) -> None:
        """Register a handler.

        :raises ConfigError: there is one already, or a session and a message handler exclude each
            other
        """
        if name in self.functions:
            raise ConfigError(
                f"{name}: there is already {_name(self.functions[name])}(); call the one from the "
                f"other, or give {_name(function)}() to another endpoint",
                key=name,
            )
        pair = {"message": "session", "session": "message"}.get(name)
        if pair in self.functions:
            raise ConfigError(
                "an endpoint has either on_message or a session: a session reads its messages "
                "itself, with `async for message in spark`",
                key=name,
            )
        self.functions[name] = function

    def over(self, defaults: Handlers) -> dict[str, Handler]:
        """These handlers, completed by the server's own."""
        merged = {**defaults.functions, **self.functions}
        if "session" in self.functions:
            merged.pop("message", None)
        elif "message" in self.functions:
            merged.pop("session", None)
        return merged


class Pipeline:
    """What happens to a spark and its messages at one endpoint.

    :ivar deliver: ``deliver(spark, payload)``: the whole way of a payload, if none of it is async
    :ivar direct: ``direct(spark, payload)``: the same if the handler is async, and there is nothing
        before it
    :ivar incoming: transforms for what arrives, in order
    :ivar final: where what arrives ends: the message handler, or the inbox of a session
    :ivar inbox: whether messages wait in the spark's inbox for `receive`
    :ivar outgoing: transforms for what is sent, in order
    :ivar overflow: what happens to a message for a client whose outbox is full
    :ivar packets: who consumes which other kind of packet
    :ivar at_once: kinds that do not wait for a busy handler
    :ivar wanted: ``wanted(spark, packet)`` by kind: whether its consumer has a use for one
    :ivar dropped: told how many messages to a client were dropped before they reached its outbox
    :ivar leave: called when a spark can no longer be reached, before its close handler
    :ivar forget: called after its close handler
    :ivar interrupted: called when a client's connection broke and is being made anew
    :ivar resumed: called when it is there again
    """

    __slots__ = (
        "at_once",
        "deliver",
        "direct",
        "dropped",
        "endpoint",
        "final",
        "forget",
        "inbox",
        "incoming",
        "interrupted",
        "leave",
        "limits",
        "on_close",
        "on_error",
        "on_open",
        "outgoing",
        "outgoing_async",
        "overflow",
        "packets",
        "resumed",
        "runtime",
        "session",
        "wanted",
    )

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        limits: Limits,
        overflow: Overflow = Overflow.DISCONNECT,
        runtime: Runtime,
        handlers: Mapping[str, Handler],
        final: Handler,
        inbox: bool = False,
        incoming: Sequence[Transform] = (),
        outgoing: Sequence[Transform] = (),
        packets: Mapping[type[Packet], Handler] | None = None,
        at_once: Collection[type[Packet]] = (),
        wanted: Mapping[type[Packet], Callable[[Any, Any], bool]] | None = None,
        dropped: Callable[[int], None] = lambda messages: None,
        leave: Callable[[Any, Close], None] = lambda spark, close: None,
        forget: Callable[[Any], None] = lambda spark: None,
        interrupted: Callable[[Any, Close], None] = lambda spark, close: None,
        resumed: Callable[[Any], None] = lambda spark: None,
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self.overflow = overflow
        self.runtime = runtime
        self.on_open = handlers.get("open")
        self.on_close = handlers.get("close")
        self.on_error = handlers.get("error")
        self.session = handlers.get("session")
        self.final = final
        self.inbox = inbox
        self.incoming = tuple(incoming)
        self.outgoing = tuple(outgoing)
        self.outgoing_async = any(map(is_async, self.outgoing))
        self.packets = dict(packets or {})
        self.at_once = frozenset(at_once)
        self.wanted = dict(wanted or {})
        self.dropped = dropped
        self.leave = leave
        self.forget = forget
        self.interrupted = interrupted
        self.resumed = resumed
        self.deliver = self._compile()
        self.direct = final if is_async(final) and not self.incoming else None

    def _compile(self) -> Handler | None:
        final, incoming = self.final, self.incoming
        if any(map(is_async, (*incoming, final))):
            return None
        if not incoming:
            return final

        def deliver(spark: Any, payload: Any) -> Any:
            for transform in incoming:
                payload = transform(spark, payload)
                if payload is DROP:
                    return None
            return final(spark, payload)

        return deliver

    async def run(self, spark: Any, payload: Any) -> None:
        """The whole way of a payload, where something on it is async."""
        payload = await self.transform(self.incoming, spark, payload)
        if payload is not DROP:
            await awaited(self.final(spark, payload))

    @staticmethod
    async def transform(transforms: Sequence[Transform], spark: Any, payload: Any) -> Any:
        """The payload after all transforms, or `DROP`."""
        for transform in transforms:
            payload = await awaited(transform(spark, payload))
            if payload is DROP:
                break
        return payload


async def awaited(result: Any) -> Any:
    """The result of a function that may be async."""
    return await result if inspect.isawaitable(result) else result


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling it gives something to await."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    )


def _name(function: Handler) -> str:
    return getattr(function, "__qualname__", repr(function))
