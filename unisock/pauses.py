"""Short pauses for garbage collection, in a process that is a server's own."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["sparing_survivors"]

OLDEST = 2
"""The generation of a full collection."""
OFTEN = 3
"""Full collections come after so many of the middle generation: each has little to look at."""


@contextmanager
def sparing_survivors() -> Generator[None]:
    """What has survived a full collection is not looked at again (`gc.freeze`), meanwhile.

    A full collection looks at all that there is: with 10,000 connections it stops the event loop
    for a tenth of a second. What is frozen still goes when nothing refers to it, as connections
    do; but reference cycles that were frozen in use, and are dropped later, stay in memory.
    """

    def on_collection(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == OLDEST:
            gc.freeze()

    youngest, middle, oldest = gc.get_threshold()
    gc.set_threshold(youngest, middle, OFTEN)
    gc.collect()
    gc.freeze()
    gc.callbacks.append(on_collection)
    try:
        yield
    finally:
        gc.callbacks.remove(on_collection)
        gc.unfreeze()
        gc.set_threshold(youngest, middle, oldest)
