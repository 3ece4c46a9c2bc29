"""Serving in a second process, which is started anew whenever the application's files change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path
from types import FrameType
from typing import Any

import watchfiles

from .output import complain, say

__all__ = ["keep_serving"]

CONFIGURATION = ("unisock.toml", "pyproject.toml")
LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 20.0
"""More than a server takes to drain, unless it is told to take longer."""


class _Sources(watchfiles.DefaultFilter):
    """The files whose change matters."""

    def __call__(self, change: watchfiles.Change, path: str) -> bool:
        relevant = path.endswith(".py") or os.path.basename(path) in CONFIGURATION
        return relevant and super().__call__(change, path)


def keep_serving(arguments: Sequence[str], folder: Path) -> None:
    """Run ``unisock`` with these arguments until SIGINT or SIGTERM.

    A process that ends by itself, for a syntax error say, is started again at the next change.

    :param folder: watched, with all folders in it; so is the working directory
    """
    folders = {folder, Path.cwd()}
    signal.signal(signal.SIGTERM, _interrupt)
    say(f"watching {', '.join(sorted(map(str, folders)))}")
    child = _start(arguments)
    try:
        ended = False
        changes: Any
        for changes in watchfiles.watch(
            *folders,
            watch_filter=_Sources(),
            rust_timeout=int(LOOK_SECONDS * 1000),
            yield_on_timeout=True,
        ):
            if changes:
                names = sorted({os.path.basename(path) for _, path in changes})
                say(f"{', '.join(names)} changed: starting anew")
                _stop(child)
                _forget(path for _, path in changes)
                child, ended = _start(arguments), False
            elif not ended and child.poll() is not None:
                ended = True
                complain(f"the server ended with {child.returncode}; waiting for a change")
    except KeyboardInterrupt:
        pass
    finally:
        _stop(child)


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "unisock", *arguments]
    if os.name == "nt":
        return subprocess.Popen(command)
    # In a group of its own, or Ctrl-C would reach it twice: from the terminal, and from here.
    return subprocess.Popen(command, process_group=0)


def _forget(paths: Iterable[str]) -> None:
    """Remove what Python has compiled of these: a file that changes twice within a second, and
    keeps its size, would be taken for what it was.
    """
    for path in paths:
        with suppress(OSError, NotImplementedError):
            os.unlink(cache_from_source(path))


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Let it drain; another Ctrl-C stops it at once."""
    if child.poll() is not None:
        return
    child.terminate()
    for _ in range(2):
        try:
            child.wait(PATIENCE_SECONDS)
            return
        except KeyboardInterrupt:
            child.terminate()
        except subprocess.TimeoutExpired:
            break
    child.kill()
    child.wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
