"""Looking parts up by name: entry points, loaded only when asked for."""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points
from typing import Any, Literal, TypeAlias

from .errors import ConfigError, NotInstalled

__all__ = ["Kind", "installed", "look_up"]

Kind: TypeAlias = Literal["adapter", "protocol", "dialect", "codec", "plugin", "connector"]
"""The entry-point groups are ``unisock.adapters``, ``unisock.protocols``, and so on."""


def installed(kind: Kind) -> tuple[str, ...]:
    """The names that installed packages offer, sorted; nothing is imported."""
    return tuple(sorted({point.name for point in entry_points(group=f"unisock.{kind}s")}))


def look_up(kind: Kind, name: str) -> Any:
    """The class that an installed package offers under this name.

    :raises NotInstalled: no package offers it; says what is there and what to type
    :raises ConfigError: the package that offers it cannot be imported
    """
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
