"""Telling the application what happens in rooms."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from unisock import Spark
from unisock.pipeline import is_async

__all__ = ["Events", "OnMember", "OnRoom"]

OnMember: TypeAlias = Callable[[Spark, str], object]
"""``function(spark, name)``"""
OnRoom: TypeAlias = Callable[[str, str], object]
"""``function(name, channel)``"""

log = logging.getLogger("unisock.rooms")


class Events:
    """Calls the application's functions, in the order in which things happened.

    A function may itself join and leave: what that causes is told after it to all, so that no
    function hears of two events the wrong way round.
    """

    def __init__(self) -> None:
        self._joined: list[OnMember] = []
        self._left: list[OnMember] = []
        self._emptied: list[OnRoom] = []
        self._waiting: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._telling = False

    def on_joined(self, function: OnMember) -> None:
        """Register ``function(spark, name)``."""
        self._joined.append(_plain(function, "on_join"))

    def on_left(self, function: OnMember) -> None:
        """Register ``function(spark, name)``."""
        self._left.append(_plain(function, "on_leave"))

    def on_emptied(self, function: OnRoom) -> None:
        """Register ``function(name, channel)``."""
        self._emptied.append(_plain(function, "on_empty"))

    def joined(self, spark: Spark, name: str) -> None:
        """A spark has joined a room."""
        if self._joined:
            self._add(self._joined, spark, name)
            self._tell()

    def left(self, spark: Spark, names: Iterable[str], rooms: Iterable[str], channel: str) -> None:
        """A spark has left some rooms.

        :param rooms: those that exist now
        :param channel: whose rooms they are
        """
        if not self._left and not self._emptied:
            return
        for name in names:
            self._add(self._left, spark, name)
            if name not in rooms:
                self._add(self._emptied, name, channel)
        self._tell()

    def _add(self, functions: Iterable[Callable[..., object]], *args: object) -> None:
        self._waiting.extend((function, args) for function in functions)

    def _tell(self) -> None:
        if self._telling:
            return
        self._telling = True
        try:
            while self._waiting:
                function, args = self._waiting.popleft()
                try:
                    function(*args)
                except Exception:
                    log.exception("exception in %s%r", _name(function), args)
        finally:
            # Not empty only after what is no Exception, such as KeyboardInterrupt.
            self._waiting.clear()
            self._telling = False


def _plain(function: Any, decorator: str) -> Any:
    if not callable(function):
        raise TypeError(f"@rooms.{decorator} goes on a function, without parentheses")
    if is_async(function):
        raise TypeError(
            f"@rooms.{decorator} takes a plain def, and {_name(function)} is async: "
            "send with send_nowait() in it"
        )
    return function


def _name(function: object) -> str:
    return getattr(function, "__qualname__", repr(function))
