"""Looking parts up by name: entry points, loaded only when asked for."""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points
from typing import Any, Literal, TypeAlias

from .errors import ConfigError, NotInstalled

__all__ = ["Kind", "installed", "look_up", "offer"]

Kind: TypeAlias = Literal["adapter", "protocol", "dialect", "codec", "plugin", "connector"]
"""The entry-point groups are ``unisock.adapters``, ``unisock.protocols``, and so on."""


_offered: dict[tuple[Kind, str], Any] = {}


def offer(kind: Kind, name: str, part: Any) -> None:
    """Let a class of this program be found by a name, as if a package had installed it: a codec or
    a dialect of the application's own. It comes before an installed one of that name, and is not
    among those that are `installed`.

    :raises ConfigError: this program has given the name to another class
    """
    other = _offered.get((kind, name), part)
    if (other.__module__, other.__qualname__) != (part.__module__, part.__qualname__):
        raise ConfigError(
            f"the {kind} '{name}' is {other.__qualname__} of {other.__module__} already; give "
            f"{part.__qualname__} another name",
            key=kind,
        )
    _offered[kind, name] = part  # also a class that was defined anew, as notebooks do


def installed(kind: Kind) -> tuple[str, ...]:
    """The names that installed packages offer, sorted; nothing is imported."""
    return tuple(sorted({point.name for point in entry_points(group=f"unisock.{kind}s")}))


def look_up(kind: Kind, name: str) -> Any:
    """The class that an installed package offers under this name.

    :raises NotInstalled: no package offers it; says what is there and what to type
    :raises ConfigError: the package that offers it cannot be imported
    """
    if (kind, name) in _offered:
        return _offered[kind, name]
    for point in entry_points(group=f"unisock.{kind}s", name=name):
        try:
            return point.load()
        except Exception as error:  # whatever a module does while it is imported
            package = point.dist.name if point.dist is not None else point.value
            raise ConfigError(
                f"the {kind} '{name}' of {package} cannot be imported: "
                f"{type(error).__name__}: {error}",
                key=kind,
            ) from error
    names = installed(kind)
    close = difflib.get_close_matches(name, names, n=1)
    advice = f"Did you mean '{close[0]}'?" if close else f"Try: pip install unisock-{name.lower()}"
    raise NotInstalled(
        f"no {kind} '{name}' is installed; there is: {', '.join(names) or 'none'}. {advice}",
        kind=kind,
        name=name,
        installed=names,
    )
