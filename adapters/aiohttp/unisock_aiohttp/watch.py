"""What happens to a connection while aiohttp's handler is at work on a request."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

__all__ = ["Observer", "Watch"]


class Observer(ABC):
    """Who is told."""

    __slots__ = ()

    @abstractmethod
    def on_lost(self) -> None:
        """The connection is gone."""

    @abstractmethod
    def on_full(self) -> None:
        """The transport's buffer is above its high-water mark."""

    @abstractmethod
    def on_room(self) -> None:
        """The transport's buffer has room again."""


class Watch(asyncio.Protocol):
    """Stands between a transport and aiohttp's protocol for the time of one exchange.

    aiohttp tells a handler that its client has gone by cancelling it, and that only if the
    application was started so; and of a full buffer by not coming back from a write.
    """

    def __init__(
        self, transport: asyncio.Transport, protocol: asyncio.Protocol, observer: Observer
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._observer = observer
        transport.set_protocol(self)

    def leave(self) -> None:
        """Step aside."""
        self._transport.set_protocol(self._protocol)

    def data_received(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()
        self._observer.on_full()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
        self._observer.on_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
        self._observer.on_lost()
