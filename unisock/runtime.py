"""The tasks and timers of a running server."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from .abc import Runtime
from .errors import ConfigError
from .timers import Timers

__all__ = ["TaskRuntime"]

log = logging.getLogger("unisock")


class TaskRuntime(Runtime):
    """A `Runtime` on an anyio task group, which is there while `run` runs."""

    def __init__(self) -> None:
        self.timers = Timers(time.monotonic, wake=self._wake)
        self._group: TaskGroup | None = None
        self._changed: anyio.Event | None = None

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        if self._group is None:
            raise ConfigError("the server does not run: use `async with server:` or `serve()`")
        self._group.start_soon(_guarded, function, args)

    def start(self, group: TaskGroup) -> None:
        """Run timers and tasks in this group from now on, until it is cancelled."""
        self._group = group
        group.start_soon(self._run_timers)

    def stop(self) -> None:
        """Take no more tasks; the group is about to end."""
        self._group = None

    async def _run_timers(self) -> None:
        timers = self.timers
        while True:
            self._changed = anyio.Event()
            deadline = timers.next_deadline
            delay = float("inf") if deadline is None else deadline - timers.now
            if delay > 0:
                with anyio.move_on_after(delay):
                    await self._changed.wait()
            else:
                await anyio.lowlevel.checkpoint()
            timers.advance()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()


async def _guarded(function: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
    """One task's failure is not the server's."""
    try:
        await function(*args)
    except Exception:
        log.exception("exception in a task of %r", function)
