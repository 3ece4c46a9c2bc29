"""What has to end when the server ends."""

from __future__ import annotations

from collections.abc import Callable

from unisock.abc import Gateway

__all__ = ["HIGH_WATER", "LOW_WATER", "Live"]

HIGH_WATER = 65_536
"""Bytes that may wait for ``await send(…)`` before the writer is told."""
LOW_WATER = 16_384
"""The writer may go on when no more than this is left."""


class Live:
    """The exchanges and WebSockets of one run of a server.

    :ivar closed: the run is over
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.closed = False
        self._ends: set[Callable[[], None]] = set()

    def add(self, end: Callable[[], None]) -> None:
        """Call this at the end."""
        self._ends.add(end)

    def discard(self, end: Callable[[], None]) -> None:
        """It has ended by itself."""
        self._ends.discard(end)

    def close(self) -> None:
        """End everything at once."""
        self.closed = True
        for end in [*self._ends]:
            end()
