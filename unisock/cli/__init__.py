"""The command line: ``unisock``. One file for each command, imported when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit.

    :param arguments: those of the process unless given
    """
    if not all(map(_is_installed, ("click", "prompt_toolkit", "rich", "watchfiles"))):
        sys.stderr.write(
            'unisock: the command line needs some more packages; type: pip install "unisock[cli]"\n'
        )
        raise SystemExit(2)
    from .app import run

    run(arguments)


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:
        return False
