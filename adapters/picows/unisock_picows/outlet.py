"""What a connection sends, until it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from unisock.framing import WebSocketFraming
from unisock.messages import Message

from .turn import Turn

__all__ = ["FRAMING", "LARGE", "MANY", "Outlet"]

# One object for all connections of all servers: they share frames.
FRAMING = WebSocketFraming()

MANY = 64
"""Frames that are gathered at most before they are written."""
LARGE = 2048
"""Bytes of a frame for which nothing more is gathered; characters of a message that is not copied
behind its head."""


class Outlet:
    """Gathers what is sent while frames of one read are being handled: it leaves in one write. What
    is sent at another time leaves at once, as long as it is little: see `Turn`.

    `unisock_picows.native.Outlet` is this in C.

    :ivar gathering: frames of one read are being handled
    :ivar batch: what was sent meanwhile
    :ivar turn: the present turn of the event loop
    :ivar transport: takes large messages
    :ivar put_out: its ``write``
    """

    __slots__ = ("_spoke", "batch", "gathering", "put_out", "transport", "turn")

    def __init__(self, transport: asyncio.Transport, turn: Turn) -> None:
        self.transport = transport
        self.put_out: Callable[[bytes], None] = transport.write
        self.turn = turn
        self.gathering = False
        self.batch: list[bytes] = []
        # The last turn in which something was written at once.
        self._spoke: object | None = None

    def write(self, message: Message) -> None:
        """Send a message.

        :raises EncodeError: there is no UTF-8 for it
        """
        if len(message) <= LARGE:
            self.transmit(FRAMING.frame(message))
        else:
            parts = FRAMING.parts(message)
            self.flush()
            self.transport.writelines(parts)

    def transmit(self, frame: Any) -> None:
        """Send a frame."""
        batch = self.batch
        if not self.gathering:
            turn = self.turn
            mark = turn.mark
            if not batch and (mark is None or not (turn.whole or self._spoke is mark)):
                self._spoke = mark
                if mark is None:
                    turn.count()
                self.put_out(frame)
                return
            if not batch:
                turn.flush_later(self)
        batch.append(frame)
        if len(frame) > LARGE or len(batch) >= MANY:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        batch = self.batch
        if batch:
            data = batch[0] if len(batch) == 1 else b"".join(batch)
            batch.clear()
            self.put_out(data)
