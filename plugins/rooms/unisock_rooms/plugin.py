"""The plugin: what an application calls."""

from __future__ import annotations

from typing import TypeVar

from unisock import ConfigError, Hub, LimitExceeded, Spark, hookimpl

from .directory import Directories, Directory
from .events import Events, OnMember, OnRoom
from .names import check_length, check_name
from .patterns import Pattern
from .scope import Scope

__all__ = ["Rooms"]

OnMemberT = TypeVar("OnMemberT", bound=OnMember)
OnRoomT = TypeVar("OnRoomT", bound=OnRoom)


class Rooms(Scope):
    """Named groups of the sparks of one server.

    A room exists while somebody is in it. Each channel has rooms of its own: a spark joins those of
    its channel, ``rooms["lobby"]`` is a room of the connections themselves, and
    ``rooms.within("news")["lobby"]`` is one of the channel ``news``. With ``shared`` there is one
    room of a name for all, whatever channel they are on.

    As a collection, this is the names of the rooms that exist: ``len(rooms)``,
    ``"lobby" in rooms``, ``for name in rooms``.

    A name is any `str` but the empty one, of at most ``limits.room_name_bytes``, without control
    characters, line separators and lone surrogates. Everything else is a name like any other:
    ``"0"``, ``"__proto__"``, ``"user:*"``.

    :param max_rooms: how many rooms may exist
    :param max_patterns: how many different patterns sparks may listen to; a message to a room that
        was not sent to lately is compared with each
    :param shared: whether the sparks of channels join the rooms of the connections
    :raises ConfigError: one of the numbers is no whole number above 0
    """

    def __init__(
        self, *, max_rooms: int = 1_000_000, max_patterns: int = 256, shared: bool = False
    ) -> None:
        self._max_rooms = _positive("max_rooms", max_rooms)
        self._max_patterns = _positive("max_patterns", max_patterns)
        self._shared = shared
        self._directories = Directories()
        super().__init__("", self._directories.of(""))
        self._events = Events()
        self._gone: dict[Spark, frozenset[str]] = {}
        self._hub: Hub | None = None

    # Coming and going.

    def join(self, spark: Spark, name: str) -> bool:
        """Put a spark into a room; returns whether it was not in it before.

        :raises TypeError: the name is no `str`
        :raises ValueError: no room can be called that
        :raises ConnectionClosed: the spark is gone
        :raises LimitExceeded: over ``rooms_per_spark``, ``room_name_bytes`` or ``max_rooms``
        :raises ConfigError: the spark is not one of this plugin's server
        """
        name = check_name(name)
        self._check_spark(spark)
        directory = self._directories.of(self._channel(spark))
        rooms = directory.rooms
        if rooms.has(spark, name):
            return False
        check_length(name, "room_name_bytes", spark.limits.room_name_bytes)
        self._check_count(spark, directory)
        if name not in rooms.groups and self._directories.tally.rooms >= self._max_rooms:
            raise LimitExceeded("max_rooms", self._max_rooms)
        rooms.add(spark, name)
        self._directories.settle(self._channel(spark), directory)
        self._events.joined(spark, name)
        return True

    def leave(self, spark: Spark, name: str) -> bool:
        """Take a spark out of a room; returns whether it was in it.

        :raises TypeError: the name is no `str`
        :raises ValueError: no room can be called that
        """
        name = check_name(name)
        directory = self._directories.of(self._channel(spark))
        left = directory.rooms.remove(spark, name)
        if left:
            self._events.left(spark, (name,), directory.rooms.groups, self._channel(spark))
            self._directories.settle(self._channel(spark), directory)
        return left

    def leave_all(self, spark: Spark) -> frozenset[str]:
        """Take a spark out of all rooms, and let it listen to no pattern; returns the rooms."""
        directory = self._directories.of(self._channel(spark))
        directory.ignore_all(spark)
        names = directory.rooms.remove_all(spark)
        self._events.left(spark, names, directory.rooms.groups, self._channel(spark))
        self._directories.settle(self._channel(spark), directory)
        return frozenset(names)

    def of(self, spark: Spark) -> frozenset[str]:
        """The rooms that a spark is in. In ``on_close``: those it was in when it closed."""
        return self._gone.get(spark) or self._directories.of(self._channel(spark)).rooms.of(spark)

    def within(self, channel: str) -> Scope:
        """The rooms of a channel."""
        return Scope(channel, self._directories.of(channel))

    # Listening to rooms by pattern.

    def join_pattern(self, spark: Spark, pattern: str) -> bool:
        """Let a spark hear every room that matches, those of the future included; returns whether
        it did not listen to this pattern before.

        It is in the audience of these rooms then, but it does not keep them in existence, no event
        tells of it, and `of` leaves it out. A pattern counts as a room for ``rooms_per_spark``.

        :raises TypeError: the pattern is no `str`
        :raises ValueError: no room's name could be like that
        :raises ConnectionClosed: the spark is gone
        :raises LimitExceeded: the pattern has more than 256 bytes or 8 wildcards, or over
            ``rooms_per_spark``, ``room_name_bytes`` or ``max_patterns``
        :raises ConfigError: the spark is not one of this plugin's server
        """
        compiled = Pattern(pattern)
        self._check_spark(spark)
        directory = self._directories.of(self._channel(spark))
        listeners = directory.listeners
        if listeners.has(spark, compiled.text):
            return False
        check_length(compiled.text, "room_name_bytes", spark.limits.room_name_bytes)
        self._check_count(spark, directory)
        if compiled.text not in listeners.groups and len(listeners.groups) >= self._max_patterns:
            raise LimitExceeded("max_patterns", self._max_patterns)
        directory.listen(spark, compiled)
        self._directories.settle(self._channel(spark), directory)
        return True

    def leave_pattern(self, spark: Spark, pattern: str) -> bool:
        """Let a spark listen to a pattern no more; returns whether it did.

        :raises TypeError: the pattern is no `str`
        :raises ValueError: no room's name could be like that
        """
        directory = self._directories.of(self._channel(spark))
        ignored = directory.ignore(spark, check_name(pattern, "a pattern of room names"))
        self._directories.settle(self._channel(spark), directory)
        return ignored

    def patterns_of(self, spark: Spark) -> frozenset[str]:
        """The patterns that a spark listens to; none, once it is closed."""
        return self._directories.of(self._channel(spark)).listeners.of(spark)

    # Events.

    def on_join(self, function: OnMemberT) -> OnMemberT:
        """``on_join(spark, name)``, a plain ``def``: a spark has joined a room.

        There may be several. An exception is logged and costs nobody else anything.
        """
        self._events.on_joined(function)
        return function

    def on_leave(self, function: OnMemberT) -> OnMemberT:
        """``on_leave(spark, name)``, likewise: a spark has left a room, or is gone.

        When a client goes, this comes before the application's ``on_close``.
        """
        self._events.on_left(function)
        return function

    def on_empty(self, function: OnRoomT) -> OnRoomT:
        """``on_empty(name, channel)``, likewise: the last spark has left a room, which exists no
        more; ``channel`` is ``""`` where it was on none.
        """
        self._events.on_emptied(function)
        return function

    # Hooks.

    @hookimpl
    def unisock_per_process(self) -> str:
        """A room has the sparks of one process."""
        return "rooms"

    @hookimpl
    def unisock_start(self, hub: Hub) -> None:
        """Serve the server with this hub.

        :raises ConfigError: another one that runs has this object
        """
        if self._hub is not None and self._hub is not hub:
            raise ConfigError(
                "this Rooms object serves another server: make one for each, Rooms()", key="plugins"
            )
        self._hub = hub

    @hookimpl
    def unisock_stop(self) -> None:
        """Forget everybody."""
        self._hub = None
        self._directories.clear()
        self._gone.clear()

    @hookimpl
    def unisock_close(self, spark: Spark) -> None:
        """A spark is gone: it is in no audience any more, and `of` knows where it was."""
        names = self._directories.of(self._channel(spark)).rooms.of(spark)
        if names:
            self._gone[spark] = names
        self.leave_all(spark)

    @hookimpl
    def unisock_forget(self, spark: Spark) -> None:
        """Nobody asks for this spark any more."""
        self._gone.pop(spark, None)

    def _channel(self, spark: Spark) -> str:
        """The channel whose rooms a spark joins."""
        return "" if self._shared else spark.channel

    # Checks.

    def _check_spark(self, spark: object) -> None:
        if not isinstance(spark, Spark):
            raise TypeError(f"a Spark is wanted, not {type(spark).__name__}: {spark!r:.80}")
        if spark.closed is not None:
            raise spark.closed.error()
        if self._hub is None:
            raise ConfigError(
                "this Rooms object belongs to no running server: Server(plugins=[rooms])",
                key="plugins",
            )
        if not self._hub.knows(spark):
            raise ConfigError(
                f"{spark!r} is a client of another server than this Rooms object", key="plugins"
            )

    def _check_count(self, spark: Spark, directory: Directory) -> None:
        most = spark.limits.rooms_per_spark
        if directory.rooms.count(spark) + directory.listeners.count(spark) >= most:
            raise LimitExceeded("rooms_per_spark", most)


def _positive(name: str, value: object) -> int:
    if type(value) is not int or value <= 0:
        raise ConfigError(
            f"options.rooms.{name} is a whole number above 0, not {value!r}",
            key=f"options.rooms.{name}",
        )
    return value
