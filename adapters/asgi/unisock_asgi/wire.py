"""What ASGI leaves out, and a host may offer in ``scope["extensions"]["unisock"]``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import anyio

from unisock import Close
from unisock.limits import Limits

from .scope import Scope

__all__ = ["EXTENSION", "FrameWire", "Wire", "wire_of"]

EXTENSION = "unisock"


class Wire(ABC):
    """The connection under a request.

    Without one, all that an application can do is to return, and to hope.

    :ivar gone: set when the connection is closed, or broken
    :ivar fault: why the host itself closed a WebSocket; `None` if it did not
    """

    def __init__(self) -> None:
        self.gone = anyio.Event()
        self.fault: Close | None = None

    @abstractmethod
    def cut(self) -> None:
        """Close it at once, whatever is unsent."""

    @abstractmethod
    def bound(self, limits: Limits) -> None:
        """Hold the client of a WebSocket to these limits, before a message is put together."""


class FrameWire(Wire):
    """One that takes frames of a WebSocket (RFC 6455 section 5.2), past the host's ``send``: that
    makes a task wait for each message.
    """

    @abstractmethod
    def write(self, frame: bytes) -> None:
        """Write a frame, with what else is written in this turn of the event loop."""

    @abstractmethod
    def flush(self) -> None:
        """Write what was gathered."""

    @abstractmethod
    def tell(self, congested: Callable[[], None], relieved: Callable[[], None]) -> None:
        """Say by these from now on when its buffer is full, and when it has room again."""


def wire_of(scope: Scope) -> Wire | None:
    """The connection, where the host offers it."""
    extensions: dict[str, object] = scope.get("extensions") or {}
    wire = extensions.get(EXTENSION)
    return wire if isinstance(wire, Wire) else None
