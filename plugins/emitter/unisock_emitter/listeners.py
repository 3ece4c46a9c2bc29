"""Who listens to which event, and what arguments they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

import msgspec

from unisock import ConfigError

from .errors import InvalidArguments

__all__ = ["RESERVED", "Listener", "Listeners", "check_name"]

RESERVED = frozenset(
    {
        "close",
        "connect",
        "connect_error",
        "data",
        "disconnect",
        "disconnecting",
        "end",
        "error",
        "newListener",
        "open",
        "reconnect",
        "removeListener",
    }
)
"""Names that some client library raises by itself: nobody else may, on either side."""

_FREE = (Any, object, inspect.Parameter.empty)


def check_name(name: str) -> None:
    """:raises ValueError: no event can have this name"""
    if not name:
        raise ValueError("an event has a name")
    if name in RESERVED:
        raise ValueError(f"{name!r} is reserved: client libraries raise it themselves")


class Listener:
    """A handler, with the types of its arguments.

    :param function: ``function(spark, *args)``; for a pattern, ``function(spark, name, *args)``
    :raises ConfigError: its signature is none that events can be handed to
    """

    def __init__(self, function: Callable[..., Any], *, with_name: bool) -> None:
        self.function = function
        self.with_name = with_name
        own = 2 if with_name else 1
        try:
            parameters = [*inspect.signature(function).parameters.values()]
            hints = get_type_hints(function, include_extras=True)
        except (NameError, TypeError, ValueError) as error:
            raise ConfigError(f"{_name(function)}: {error}", key="events") from error
        # Arguments that are checked: their places and types.
        self._types: list[tuple[int, Any]] = []
        self._most = self._required = 0
        self._rest: Any = None
        self._many = False
        for number, parameter in enumerate(parameters):
            annotation = hints.get(parameter.name, parameter.annotation)
            match parameter.kind:
                case parameter.VAR_POSITIONAL:
                    self._many, self._rest = True, annotation
                case parameter.POSITIONAL_ONLY | parameter.POSITIONAL_OR_KEYWORD:
                    if number >= own:
                        if annotation not in _FREE:
                            self._types.append((number - own, annotation))
                        self._most += 1
                        self._required += parameter.default is parameter.empty
                case parameter.KEYWORD_ONLY if parameter.default is parameter.empty:
                    raise ConfigError(
                        f"{_name(function)}: events have no keyword arguments; "
                        f"give {parameter.name} a default",
                        key="events",
                    )
                case _:
                    pass
        # With so many arguments, there is nothing to look at.
        self._as_they_are = -1 if self._types or self._many else self._most

    def bind(self, args: Sequence[Any]) -> Sequence[Any]:
        """The arguments as the handler wants them.

        :raises InvalidArguments: they are too few, too many, or of other types
        """
        if len(args) == self._as_they_are:
            return args
        bound, most = [*args], self._most
        if len(bound) < self._required or (len(bound) > most and not self._many):
            wanted = f"{self._required}" if self._required == most else f"{self._required}–{most}"
            if self._many:
                wanted = f"at least {self._required}"
            raise InvalidArguments(f"this event takes {wanted} arguments, not {len(bound)}")
        for place, kind in self._types:
            if place < len(bound) and type(bound[place]) is not kind:
                bound[place] = _convert(place + 1, bound[place], kind)
        if len(bound) > most and self._rest not in _FREE:
            bound[most:] = [
                _convert(number, argument, self._rest)
                for number, argument in enumerate(bound[most:], most + 1)
            ]
        return bound


class _Book:
    """Listeners by the name of their event; a name may end with ``*``."""

    def __init__(self) -> None:
        self.exact: dict[str, Listener] = {}
        self.prefixes: dict[str, Listener] = {}

    def find(self, name: str) -> Listener | None:
        listener = self.exact.get(name)
        if listener is None and self.prefixes and name not in RESERVED:
            fitting = [prefix for prefix in self.prefixes if name.startswith(prefix)]
            if fitting:
                listener = self.prefixes[max(fitting, key=len)]
        return listener


class Listeners:
    """Whose event is whose, on which channel."""

    def __init__(self) -> None:
        self._everywhere = _Book()
        self._on_channels: dict[str, _Book] = {}

    def add(self, name: str, function: Callable[..., Any], channel: str | None = None) -> None:
        """Listen to an event, or to all whose names begin with what stands before a ``*``.

        :param channel: only on the channel with this name, ``""`` for none; on all if `None`
        :raises ValueError: the name is reserved
        :raises ConfigError: somebody listens already, or the signature does not fit
        """
        pattern = name.endswith("*")
        if not pattern:
            check_name(name)
        book = self._everywhere
        if channel is not None:
            book = self._on_channels.setdefault(channel, _Book())
        listeners, key = (book.prefixes, name[:-1]) if pattern else (book.exact, name)
        if key in listeners:
            raise ConfigError(
                f"the event {name!r} is {_name(listeners[key].function)}()'s already", key="events"
            )
        listeners[key] = Listener(function, with_name=pattern)

    def has(self, name: str, channel: str = "") -> bool:
        """Whether somebody listens to this very event, and not only to a pattern."""
        book = self._on_channels.get(channel)
        return name in self._everywhere.exact or (book is not None and name in book.exact)

    def find(self, name: str, channel: str = "") -> Listener | None:
        """Whose event it is: that of its own name, else of the longest pattern that fits; first
        among the listeners of its channel, then among those of all.

        A reserved name is nobody's, so that no client can pretend that another came or went.
        """
        book = self._on_channels.get(channel)
        listener = book.find(name) if book is not None else None
        return listener or self._everywhere.find(name)


def _convert(number: int, argument: object, kind: Any) -> Any:
    try:
        return msgspec.convert(argument, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidArguments(f"argument {number}: {error}") from error


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))
