"""Writes that are gathered over one turn of the event loop."""

from __future__ import annotations

import asyncio

from unisock.turn import Writer

__all__ = ["Turn"]

AT_ONCE = 16
"""Frames that are written one by one before a turn is looked at as a whole: to do so costs another
round of the loop, and a lone answer is not to pay for it."""


class Turn:
    """The present turn of the event loop, as far as writes to its connections go.

    With one message under way, each frame is written at once. When there are many, the first frame
    for a connection is, and what follows it within the turn is gathered; and when a read has
    brought several messages, so that each will get several answers, all is gathered, for another
    turn: the tasks that those messages have started run in the next one.

    :ivar busy: a read of this turn has brought several messages
    :ivar mark: of the turn that is gathered; `None` when none is
    :ivar whole: even the first frame for a connection is gathered
    """

    __slots__ = ("_at_once", "_dirty", "_loop", "busy", "mark", "whole")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._at_once = AT_ONCE
        self._dirty: list[Writer] = []
        self.busy = False
        self.mark: object | None = None
        self.whole = False

    def count(self) -> None:
        """A frame is written at once, outside of any read of its connection's."""
        self._at_once -= 1
        if not self._at_once:
            self._begin()

    def gather(self) -> None:
        """Several messages have come at once: gather all in this turn, and in the next."""
        self.busy = self.whole = True
        if self.mark is None:
            self._begin()

    def flush_later(self, writer: Writer) -> None:
        """Flush it when the turn is over."""
        self._dirty.append(writer)
        if self.mark is None:
            self._begin()

    def _begin(self) -> None:
        self.mark = object()
        self._loop.call_soon(self._end)

    def _end(self) -> None:
        dirty, self._dirty = self._dirty, []
        if self.busy:
            self.busy = False
            self._begin()
        else:
            self.mark = None
            self.whole = False
            self._at_once = AT_ONCE
        for writer in dirty:
            writer.flush()
