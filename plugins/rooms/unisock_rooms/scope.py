"""The rooms of one channel, or those of the connections themselves."""

from __future__ import annotations

from collections.abc import Iterator

from unisock import Audience

from .directory import Directory
from .names import check_name
from .patterns import Pattern
from .room import AnyOf, Matching, Room

__all__ = ["Scope"]


class Scope:
    """Rooms by name. As a collection, it is the names of the rooms that exist: ``len(scope)``,
    ``"lobby" in scope``, ``for name in scope``.

    :ivar channel: the channel that they are on; ``""`` for the connections themselves
    """

    def __init__(self, channel: str, directory: Directory) -> None:
        self.channel = channel
        self._directory = directory

    def __getitem__(self, name: str) -> Room:
        """Everyone in a room, read anew at each send; nobody, as long as it does not exist.

        :raises TypeError: the name is no `str`
        :raises ValueError: no room can be called that
        """
        return Room(self._directory, check_name(name))

    def any(self, *names: str) -> Audience:
        """Everyone in any of these rooms, each spark once.

        :raises TypeError: a name is no `str`
        :raises ValueError: no room can be called that
        """
        return AnyOf(self._directory, tuple(map(check_name, names)))

    def matching(self, pattern: str) -> Audience:
        """Everyone in any of the rooms whose names match, each spark once.

        A ``*`` in the pattern stands for any text, ``:`` included; no other character is special.
        Each send goes through the names of all rooms.

        :raises TypeError: the pattern is no `str`
        :raises ValueError: no room's name could be like that
        :raises LimitExceeded: the pattern has more than 256 bytes or 8 wildcards
        """
        return Matching(self._directory, Pattern(pattern))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._directory.rooms.groups

    def __iter__(self) -> Iterator[str]:
        return iter([*self._directory.rooms.groups])

    def __len__(self) -> int:
        return len(self._directory.rooms.groups)

    def __bool__(self) -> bool:
        """Always true, rooms or not."""
        return True

    def __repr__(self) -> str:
        on = f" on {self.channel!r}" if self.channel else ""
        return f"<Rooms{on}: {len(self)}>"
