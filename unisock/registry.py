"""Looking parts up by name: entry points, loaded only when asked for."""

from __future__ import annotations

import difflib
import os
import sys
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

from .errors import ConfigError, NotInstalled

__all__ = ["Kind", "installed", "is_there", "look_up", "offer"]

Kind: TypeAlias = Literal[
    "adapter", "protocol", "dialect", "codec", "plugin", "connector", "command"
]
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
    return tuple(sorted(_points(_packages())[kind]))


def is_there(kind: Kind, name: str) -> bool:
    """Whether `look_up` would find it: offered by this program, or installed."""
    return (kind, name) in _offered or name in installed(kind)


def look_up(kind: Kind, name: str) -> Any:
    """The class that an installed package offers under this name.

    :raises NotInstalled: no package offers it; says what is there and what to type
    :raises ConfigError: the package that offers it cannot be imported
    """
    if (kind, name) in _offered:
        return _offered[kind, name]
    point = _points(_packages())[kind].get(name)
    if point is not None:
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


def _packages() -> tuple[tuple[str, int], ...]:
    """The folders that packages are installed in, each with when it last changed."""
    found: list[tuple[str, int]] = []
    for folder in sys.path:
        try:
            found.append((folder, os.stat(folder or ".").st_mtime_ns))
        except OSError:
            continue
    return tuple(found)


@lru_cache(maxsize=1)
def _points(_: tuple[tuple[str, int], ...]) -> dict[str, dict[str, Any]]:
    """The entry points of ours, by kind and name. To read them opens a file of each installed
    package, which takes longer than all else that a server does to start: so they are read again
    only when packages have come or gone.
    """
    from importlib.metadata import entry_points  # and with it half of `email`

    every = entry_points()
    return {
        # The first on the path counts, as it does for `import`.
        kind: {p.name: p for p in reversed([*every.select(group=f"unisock.{kind}s")])}
        for kind in get_args(Kind)
    }
