"""Writes that wait for the end of a turn of the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["TurnEnd", "Writer"]


class Writer(Protocol):
    """Whoever gathers what is sent."""

    def flush(self) -> None:
        """Write it. Never raises."""


class TurnEnd:
    """Flushes those that have gathered something when a turn ends, by one callback for all.

    :param call_soon: the loop's
    """

    __slots__ = ("_call_soon", "_dirty")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._dirty: list[Writer] = []

    def flush_soon(self, writer: Writer) -> None:
        """Call ``writer.flush()`` when this turn of the loop is over."""
        if not self._dirty:
            self._call_soon(self._flush)
        self._dirty.append(writer)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for writer in dirty:
            writer.flush()
