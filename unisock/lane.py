"""Steps that run one after another, in a task that lives only while there are any."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from .abc import Runtime

__all__ = ["Lane"]

Step: TypeAlias = Callable[[Any], Any]


class Lane:
    """An ordered queue of calls ``step(argument)``; what a step returns is awaited.

    :param failed: called with the exception of a step; what it returns is awaited too. The lane
        goes on with the next step.
    :param idle: called when the last step has ended
    """

    __slots__ = ("_failed", "_idle", "_runtime", "_steps", "running")

    def __init__(
        self,
        runtime: Runtime,
        failed: Callable[[Exception], Awaitable[None] | None],
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._runtime = runtime
        self._failed = failed
        self._idle = idle
        self._steps: deque[tuple[Step, Any]] = deque()
        self.running = False

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: Step, argument: Any = None) -> None:
        """Run ``step(argument)`` when all before it have ended."""
        self._steps.append((step, argument))
        if not self.running:
            self.running = True
            self._runtime.spawn(self._run)

    async def _run(self) -> None:
        steps = self._steps
        try:
            while steps:
                step, argument = steps.popleft()
                try:
                    result = step(argument)
                    if result is not None:
                        await result
                except Exception as error:
                    reported = self._failed(error)
                    if reported is not None:
                        await reported
                self._idle()
        finally:
            self.running = False
