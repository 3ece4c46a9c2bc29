"""A poll of a client."""

from __future__ import annotations

import anyio

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
        self._ready: anyio.Event | None = None

    def add(self, packet: Message) -> None:
        """Answer with this packet too."""
        self.packets.append(packet)
        self.size += len(packet)
        if self._ready is not None:
            self._ready.set()

    async def wait(self) -> None:
        """Wait until there is something."""
        if not self.packets:
            self._ready = anyio.Event()
            await self._ready.wait()
