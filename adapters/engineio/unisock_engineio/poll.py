"""A poll of a client."""

from __future__ import annotations

from collections.abc import Callable

from unisock import Message

__all__ = ["Poll"]


class Poll:
    """A request that waits for something to be sent.

    :ivar packets: what it is to be answered with
    """

    __slots__ = ("_ready", "packets", "size")

    def __init__(self) -> None:
        self.packets: list[Message] = []
        self.size = 0
        self._ready: Callable[[], None] | None = None

    def add(self, packet: Message) -> None:
        """Answer with this packet too."""
        self.packets.append(packet)
        self.size += len(packet)
        ready, self._ready = self._ready, None
        if ready is not None:
            ready()

    def wait(self, ready: Callable[[], None]) -> None:
        """Call ``ready`` when there is something."""
        if self.packets:
            ready()
        else:
            self._ready = ready
