"""The parts that every message passes: in C, where they are built, or in Python."""

from __future__ import annotations

from importlib import metadata
from typing import NamedTuple

from unisock.errors import ConfigError

from .ear import Ear
from .outlet import Outlet

__all__ = ["Parts", "choose_parts"]


class Parts(NamedTuple):
    """Two classes that belong together.

    :ivar native: they are in C
    """

    ear: type[Ear]
    outlet: type[Outlet]
    native: bool


def _built() -> Parts | None:
    try:
        from .native import PICOWS
        from .native import Ear as EarInC
        from .native import Outlet as OutletInC
    except ImportError:
        return None
    if metadata.version("picows") != PICOWS:
        return None
    return Parts(EarInC, OutletInC, True)


IN_C = _built()
IN_PYTHON = Parts(Ear, Outlet, False)


def choose_parts(wanted: bool | None) -> Parts:
    """The parts to use.

    :param wanted: in C; `None` if that does not matter
    :raises ConfigError: they are wanted in C, and not built
    """
    if wanted is False:
        return IN_PYTHON
    if IN_C is not None:
        return IN_C
    if wanted:
        raise ConfigError(
            "options.picows.native: the parts in C are not built, for want of a C compiler or of "
            "Python's headers, or they are for another version of picows. Install both, then try: "
            "pip install --force-reinstall --no-deps --no-binary unisock-picows unisock-picows",
            key="options.picows.native",
        )
    return IN_PYTHON
