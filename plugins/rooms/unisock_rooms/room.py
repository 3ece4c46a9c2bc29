"""The audiences that rooms make."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from unisock import Audience, Spark

from .directory import Directory, Group
from .patterns import Pattern

__all__ = ["AnyOf", "Matching", "Room"]


class _Groups(Audience):
    """Everyone in some groups, each spark once."""

    __slots__ = ("_directory",)

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @abstractmethod
    def groups(self) -> Sequence[Group]:
        """The groups, as they are now."""

    def __iter__(self) -> Iterator[Spark]:
        return iter([*self._sparks()])

    def __contains__(self, recipient: object) -> bool:
        return isinstance(recipient, Spark) and any(
            recipient in group.sparks for group in self.groups()
        )

    def __len__(self) -> int:
        return len(self._sparks())

    def lookup(self) -> Callable[[Any], bool]:
        return self._sparks().__contains__

    def _sparks(self) -> dict[Spark, None]:
        groups = self.groups()
        if len(groups) == 1:
            return groups[0].sparks
        merged: dict[Spark, None] = {}
        for group in groups:
            merged.update(group.sparks)
        return merged


class Room(_Groups):
    """Everyone who hears a room: those in it, and those who listen to a pattern that matches it.

    It is live: whoever joins later is in it too, and a room that does not exist is empty until
    somebody joins.

    :ivar name: the room's name
    """

    __slots__ = ("name",)

    def __init__(self, directory: Directory, name: str) -> None:
        super().__init__(directory)
        self.name = name

    def groups(self) -> Sequence[Group]:
        return self._directory.audible(self.name)

    def __repr__(self) -> str:
        return f"<Room {self.name!r} of {len(self)}>"


class AnyOf(_Groups):
    """Everyone who hears any of some rooms."""

    __slots__ = ("names",)

    def __init__(self, directory: Directory, names: tuple[str, ...]) -> None:
        super().__init__(directory)
        self.names = names

    def groups(self) -> Sequence[Group]:
        return [group for name in self.names for group in self._directory.audible(name)]

    def __repr__(self) -> str:
        return f"<Rooms {', '.join(map(repr, self.names))} of {len(self)}>"


class Matching(_Groups):
    """Everyone who hears any of the rooms whose names match a pattern, at the time of asking."""

    __slots__ = ("pattern",)

    def __init__(self, directory: Directory, pattern: Pattern) -> None:
        super().__init__(directory)
        self.pattern = pattern

    def groups(self) -> Sequence[Group]:
        return self._directory.matching(self.pattern)

    def __repr__(self) -> str:
        return f"<Rooms like {self.pattern.text!r} of {len(self)}>"
