"""Who is in which room, both ways, and who listens to which pattern."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakValueDictionary

from unisock import Spark

from .patterns import Pattern

__all__ = ["Directories", "Directory", "Group", "Memberships"]

FEW = 8
"""Names of a spark that are kept in a row: a dictionary is quicker to look into when there are
many, and larger than all the rest of a membership.
"""
REMEMBERED = 4096
"""Names of rooms whose listeners are remembered from one send to the next."""


class Group:
    """The sparks under one name."""

    __slots__ = ("name", "sparks")

    def __init__(self, name: str) -> None:
        self.name = name
        self.sparks: dict[Spark, None] = {}


class Tally:
    """How many rooms there are in all."""

    __slots__ = ("rooms",)

    def __init__(self) -> None:
        self.rooms = 0


class Memberships:
    """Sparks and the names that they are under. Each change takes constant time.

    :param tally: counts the names
    :ivar groups: by name; none is empty
    """

    __slots__ = ("_by_spark", "_tally", "groups")

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self.groups: dict[str, Group] = {}
        # Most sparks are in one room only. Then its group itself is the value.
        self._by_spark: dict[Spark, Group | tuple[Group, ...] | dict[str, Group]] = {}

    def has(self, spark: Spark, name: str) -> bool:
        """Whether the spark is under this name."""
        group = self.groups.get(name)
        return group is not None and spark in group.sparks

    def add(self, spark: Spark, name: str) -> None:
        """Put a spark under a name; it is not there yet."""
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group(name)
            self._tally.rooms += 1
        group.sparks[spark] = None
        known = self._by_spark.get(spark)
        if known is None:
            self._by_spark[spark] = group
        elif isinstance(known, Group):
            self._by_spark[spark] = (known, group)
        elif isinstance(known, dict):
            known[name] = group
        elif len(known) < FEW:
            self._by_spark[spark] = (*known, group)
        else:
            self._by_spark[spark] = {one.name: one for one in (*known, group)}

    def remove(self, spark: Spark, name: str) -> bool:
        """Take a spark from under a name; returns whether it was there."""
        if not self.has(spark, name):
            return False
        group, known = self.groups[name], self._by_spark[spark]
        if isinstance(known, Group) or len(known) == 1:
            del self._by_spark[spark]
        elif isinstance(known, dict):
            del known[name]
        else:
            rest = tuple([one for one in known if one is not group])
            self._by_spark[spark] = rest[0] if len(rest) == 1 else rest
        self._take_out(spark, group)
        return True

    def remove_all(self, spark: Spark) -> list[str]:
        """Take a spark from under all names; returns them."""
        groups = self._groups_of(spark)
        self._by_spark.pop(spark, None)
        for group in groups:
            self._take_out(spark, group)
        return [group.name for group in groups]

    def of(self, spark: Spark) -> frozenset[str]:
        """The names that a spark is under."""
        return frozenset([group.name for group in self._groups_of(spark)])

    def count(self, spark: Spark) -> int:
        """How many names a spark is under."""
        return len(self._groups_of(spark))

    def _groups_of(self, spark: Spark) -> Sequence[Group]:
        known = self._by_spark.get(spark)
        if known is None:
            return ()
        if isinstance(known, Group):
            return (known,)
        return known if isinstance(known, tuple) else [*known.values()]

    def clear(self) -> None:
        """Forget everybody."""
        self._tally.rooms -= len(self.groups)
        self.groups.clear()
        self._by_spark.clear()

    def _take_out(self, spark: Spark, group: Group) -> None:
        del group.sparks[spark]
        if not group.sparks:
            del self.groups[group.name]
            self._tally.rooms -= 1


class Directory:
    """The rooms of one channel, or of the connections themselves: what audiences look up.

    :ivar rooms: who is in which room
    :ivar listeners: who listens to which pattern
    """

    __slots__ = ("__weakref__", "_heard_by", "_patterns", "listeners", "rooms")

    def __init__(self, tally: Tally) -> None:
        self.rooms = Memberships(tally)
        self.listeners = Memberships(Tally())
        self._patterns: dict[str, Pattern] = {}
        # By a room's name: the groups of listeners whose pattern matches it.
        self._heard_by: dict[str, tuple[Group, ...]] = {}

    def listen(self, spark: Spark, pattern: Pattern) -> None:
        """Let a spark hear all rooms that match; it does not yet listen to this pattern."""
        self.listeners.add(spark, pattern.text)
        if pattern.text not in self._patterns:
            self._patterns[pattern.text] = pattern
            self._heard_by.clear()

    def ignore(self, spark: Spark, pattern: str) -> bool:
        """The opposite of `listen`; returns whether the spark did listen."""
        removed = self.listeners.remove(spark, pattern)
        self._drop_patterns([pattern])
        return removed

    def ignore_all(self, spark: Spark) -> None:
        """`ignore` all patterns."""
        self._drop_patterns(self.listeners.remove_all(spark))

    def clear(self) -> None:
        """Forget everybody."""
        self.rooms.clear()
        self.listeners.clear()
        self._patterns.clear()
        self._heard_by.clear()

    def audible(self, name: str) -> Sequence[Group]:
        """The groups that hear what is sent to this room: its own, and those that listen."""
        group = self.rooms.groups.get(name)
        heard_by = self._listening(name) if self._patterns else ()
        return heard_by if group is None else (group, *heard_by)

    def matching(self, pattern: Pattern) -> Sequence[Group]:
        """The groups that hear what is sent to the rooms that match."""
        rooms = self.rooms.groups
        names = pattern.among(rooms)
        groups = [rooms[name] for name in names]
        for text, other in self._patterns.items():
            if any(map(other.matches, names)):
                groups.append(self.listeners.groups[text])
        return groups

    @property
    def empty(self) -> bool:
        """Whether there is nobody."""
        return not self.rooms.groups and not self.listeners.groups

    def _listening(self, name: str) -> tuple[Group, ...]:
        found = self._heard_by.get(name)
        if found is None:
            groups = self.listeners.groups
            found = tuple(groups[text] for text, p in self._patterns.items() if p.matches(name))
            if len(self._heard_by) >= REMEMBERED:
                self._heard_by.clear()
            self._heard_by[name] = found
        return found

    def _drop_patterns(self, texts: Sequence[str]) -> None:
        for text in texts:
            if text in self._patterns and text not in self.listeners.groups:
                del self._patterns[text]
                self._heard_by.clear()


class Directories:
    """A directory for each channel that somebody is in a room of, or that somebody asks about.

    :ivar tally: how many rooms there are in all
    """

    __slots__ = ("_inhabited", "_known", "tally")

    def __init__(self) -> None:
        self.tally = Tally()
        self._inhabited: dict[str, Directory] = {}
        # Audiences hold on to their directory: as long as one does, it has to be the same.
        self._known: WeakValueDictionary[str, Directory] = WeakValueDictionary()

    def of(self, channel: str) -> Directory:
        """The directory of a channel; ``""`` for the connections themselves."""
        directory = self._known.get(channel)
        if directory is None:
            directory = self._known[channel] = Directory(self.tally)
        return directory

    def settle(self, channel: str, directory: Directory) -> None:
        """Keep a directory while there is anybody in it."""
        if directory.empty:
            self._inhabited.pop(channel, None)
        else:
            self._inhabited[channel] = directory

    def clear(self) -> None:
        """Forget everybody."""
        for directory in self._inhabited.values():
            directory.clear()
        self._inhabited.clear()
