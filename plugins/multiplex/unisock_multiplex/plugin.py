"""The plugin: whose channel is whose, and who is on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from unisock import (
    Audience,
    ChannelHandlers,
    ConfigError,
    Register,
    Spark,
    UnisockError,
    hookimpl,
)

__all__ = ["Multiplex"]


class Multiplex:
    """Splits connections into channels, each with a spark of its own.

    On plain endpoints it speaks the frames of primus-multiplex: ``[type, id, channel, payload]``.

    As a mapping, it has an `Audience` for each channel: ``await news.send(…)`` for
    ``news = multiplex["news"]``.
    """

    def __init__(self) -> None:
        self._exact: dict[str, ChannelHandlers] = {}
        self._prefixes: dict[str, ChannelHandlers] = {}
        self._members: dict[str, dict[Spark, None]] = {}

    def channel(self, name: str) -> ChannelHandlers:
        """A channel that clients may begin, for the application to give its functions to.

        :param name: with a ``*`` at its end, all channels whose names begin with what stands before
            it, and which have no handlers of their own; ``spark.channel`` tells them apart
        :raises ConfigError: it has no name
        """
        if not name:
            raise ConfigError("a channel has a name: multiplex.channel('news')", key="multiplex")
        if name.endswith("*"):
            return self._prefixes.setdefault(name[:-1], ChannelHandlers())
        return self._exact.setdefault(name, ChannelHandlers())

    def join(self, spark: Spark, name: str, auth: object = None) -> Spark:
        """Begin a channel on this spark's connection: what a client does.

        Where this side has given the channel no ``on_message``, messages wait for `Spark.receive`.
        When a client reconnects, its channels are begun again.

        :param auth: what the other side's ``authorize`` handler finds in ``channel.auth``
        :returns: the spark of the channel; to leave it, close that
        :raises ValueError: no channel can be called that
        :raises LimitExceeded: over ``channels_per_connection`` or ``channel_name_bytes``
        :raises ConnectionClosed: the connection is closed
        :raises EncodeError: ``auth`` has no form in the codec
        :raises UnisockError: there are no channels on this connection
        """
        if spark.opener is None:
            raise UnisockError(
                f"{spark!r} has no channels: they need the json or msgpack codec, or the dialect "
                "websocket-multiplex, and cannot be had on a channel"
            )
        return cast("Spark", spark.opener.open(name, auth))

    def __getitem__(self, name: str) -> Audience:
        """Everyone on the channel with this name, read anew at each send."""
        return _Members(self._members, name)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        """The names of the channels that somebody is on."""
        return iter([*self._members])

    def __len__(self) -> int:
        return len(self._members)

    def __bool__(self) -> bool:
        """Always true: no channels yet is still a plugin."""
        return True

    # From the core.

    @hookimpl
    def unisock_configure(self, register: Register) -> None:
        register.channels(self._find)

    @hookimpl
    def unisock_per_process(self) -> str:
        return "channels as audiences"

    @hookimpl
    def unisock_open(self, spark: Spark) -> None:
        if spark.channel:
            self._members.setdefault(spark.channel, {})[spark] = None

    @hookimpl
    def unisock_close(self, spark: Spark) -> None:
        members = self._members.get(spark.channel)
        if members is not None:
            members.pop(spark, None)
            if not members:
                del self._members[spark.channel]

    def _find(self, name: str) -> ChannelHandlers | None:
        handlers = self._exact.get(name)
        if handlers is None and self._prefixes:
            fitting = [prefix for prefix in self._prefixes if name.startswith(prefix)]
            if fitting:
                handlers = self._prefixes[max(fitting, key=len)]
        return handlers


class _Members(Audience):
    """Everyone on a channel."""

    __slots__ = ("_members", "name")

    def __init__(self, members: dict[str, dict[Spark, None]], name: str) -> None:
        self._members = members
        self.name = name

    def __iter__(self) -> Iterator[Spark]:
        return iter([*self._members.get(self.name, ())])

    def __contains__(self, recipient: object) -> bool:
        return recipient in self._members.get(self.name, ())

    def __len__(self) -> int:
        return len(self._members.get(self.name, ()))

    def __repr__(self) -> str:
        return f"<Channel {self.name!r} of {len(self)}>"
