"""The tasks and timers of a running server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from math import inf
from typing import cast

import anyio
from anyio.abc import TaskGroup

from .abc import Runtime
from .errors import ConfigError
from .timers import Timers

__all__ = ["TaskRuntime", "running_backend", "task_group"]

log = logging.getLogger("unisock")

HELD_UP = 1.0
"""Seconds by which timers are late when the loop itself stood still."""


class TaskRuntime(Runtime):
    """A `Runtime` on an anyio task group, which is there while `running` is entered."""

    def __init__(self) -> None:
        self.timers = Timers(time.monotonic, wake=self._wake)
        self._group: TaskGroup | None = None
        self._changed: anyio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[asyncio.Task[None], anyio.CancelScope | asyncio.Task[None]] = {}
        self._stopped = False

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        if self._loop is None or self._stopped:
            self._start_soon(function, args)
        else:
            # On asyncio, a task group starts tasks from within tasks only, and takes ten times as
            # long as the loop itself, which does it from any callback.
            task = self._loop.create_task(self._run_scoped(function, args))
            self._tasks[task] = task

    def spawn_light(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        if self._loop is None or self._stopped:
            self._start_soon(function, args)
        else:
            task = self._loop.create_task(self._run_task(function, args))
            self._tasks[task] = task

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[TaskGroup]:
        """Run timers and tasks in a group, and cancel what is left of them at the end of the block.
        Each has begun by then: what was put into its hands is put back.
        """
        try:
            async with task_group() as group:
                self._group = group
                group.start_soon(self._run_timers)
                if running_backend() == "asyncio":
                    self._loop = asyncio.get_running_loop()
                yield group
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._end_tasks()
            self._stopped = True

    def _start_soon(
        self, function: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        if self._stopped:
            log.debug("%r is not run: the server has stopped", function)
        elif self._group is not None:
            self._group.start_soon(_guarded, function, args)
        else:
            raise ConfigError("the server does not run: use `async with server:` or `serve()`")

    async def _run_scoped(
        self, function: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        with anyio.CancelScope() as scope:
            self._tasks[cast("asyncio.Task[None]", asyncio.current_task())] = scope
            await self._run_task(function, args)

    async def _run_task(
        self, function: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        try:
            await function(*args)
        except Exception:
            log.exception("exception in a task of %r", function)
        finally:
            # A callback for the end of each task would take as long as the task; and to find out
            # which loop runs takes a system call.
            del self._tasks[cast("asyncio.Task[None]", asyncio.current_task(self._loop))]

    async def _end_tasks(self) -> None:
        """Cancel the loop's own tasks."""
        while self._tasks:
            await asyncio.sleep(0)  # one that is cancelled before its first step cleans up nothing
            for end in self._tasks.values():
                end.cancel()
            if self._tasks:
                await asyncio.wait([*self._tasks])

    async def _run_timers(self) -> None:
        timers = self.timers
        while True:
            self._changed = anyio.Event()
            deadline = timers.next_deadline
            delay = inf if deadline is None else deadline - timers.now
            if delay > 0:
                with anyio.move_on_after(delay):
                    await self._changed.wait()
            else:
                await anyio.lowlevel.checkpoint()
            if timers.now - (timers.next_deadline or inf) > HELD_UP:
                # A handler that blocked, or a machine that slept: what has arrived meanwhile is
                # read before anybody is found silent.
                log.warning("the event loop stood still for over %g seconds", HELD_UP)
                await anyio.sleep(HELD_UP)
            timers.advance()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()


def running_backend() -> str:
    """The event loop that the caller runs on: ``asyncio`` or ``trio``."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "trio"
    return "asyncio"


@contextlib.asynccontextmanager
async def task_group() -> AsyncGenerator[TaskGroup]:
    """A task group whose single error comes out as itself, not as a group."""
    try:
        async with anyio.create_task_group() as group:
            yield group
        return
    except BaseExceptionGroup as errors:
        single, *others = errors.exceptions
        if others:
            raise
    raise single  # out here, it keeps its own cause


async def _guarded(function: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
    """One task's failure is not the server's."""
    try:
        await function(*args)
    except Exception:
        log.exception("exception in a task of %r", function)
