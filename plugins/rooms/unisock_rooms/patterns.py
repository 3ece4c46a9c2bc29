"""Patterns of room names: ``*`` is any text, and everything else is itself."""

from __future__ import annotations

from collections.abc import Iterable

from unisock import LimitExceeded

from .names import check_length, check_name

__all__ = ["Pattern"]

MOST_BYTES = 256
MOST_WILDCARDS = 8


class Pattern:
    """A pattern such as ``user:*``.

    A ``*`` stands for any text, the empty one and ``:`` included. No other character is special.
    There is no regular expression behind it, so no pattern takes long: the time for one name grows
    with the length of the name only.

    :raises TypeError: it is no `str`
    :raises ValueError: no room's name could be like that: it is empty, or has control characters
    :raises LimitExceeded: it has more than 256 bytes (``pattern_bytes``) or 8 wildcards
        (``pattern_wildcards``)
    """

    __slots__ = ("_first", "_last", "_least", "_middle", "text")

    def __init__(self, text: str) -> None:
        self.text = check_name(text, "a pattern of room names")
        check_length(self.text, "pattern_bytes", MOST_BYTES)
        first, *rest = self.text.split("*")
        if len(rest) > MOST_WILDCARDS:
            raise LimitExceeded("pattern_wildcards", MOST_WILDCARDS)
        self._first = first
        # Without a wildcard: the name begins and ends with all of the text, and is as long.
        self._last = rest[-1] if rest else first
        self._middle = [part for part in rest[:-1] if part] if rest else None
        self._least = sum(map(len, (first, *rest)))

    def matches(self, name: str) -> bool:
        """Whether the pattern matches the whole name."""
        first, last, middle = self._first, self._last, self._middle
        if len(name) < self._least or not (name.startswith(first) and name.endswith(last)):
            return False
        if middle is None:
            return len(name) == self._least
        # The leftmost place for each part leaves most for the next, so there is no going back.
        place, end = len(first), len(name) - len(last)
        for part in middle:
            place = name.find(part, place, end)
            if place < 0:
                return False
            place += len(part)
        return True

    def among(self, names: Iterable[str]) -> list[str]:
        """Those of the names that match."""
        first, last = self._first, self._last
        near = [name for name in names if name.startswith(first) and name.endswith(last)]
        return [name for name in near if self.matches(name)]

    def __repr__(self) -> str:
        return f"<Pattern {self.text!r}>"
