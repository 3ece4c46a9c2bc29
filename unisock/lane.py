"""Steps that run one after another, in a task that lives only while there are any."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

__all__ = ["Lane"]

Step: TypeAlias = Callable[..., Any]


class Lane:
    """An ordered queue of calls ``step(*args)``; what a step returns is awaited.

    :param spawn: runs the lane's task: `Runtime.spawn`
    :param failed: called with the exception of a step; what it returns is awaited too. The lane
        goes on with the next step.
    :param idle: called when the last step has ended
    :param low: and when so many are left
    :ivar running: its task is there
    :ivar steps: what waits
    """

    __slots__ = ("_failed", "_idle", "_low", "_spawn", "running", "steps")

    def __init__(
        self,
        spawn: Callable[..., None],
        failed: Callable[[Exception], Awaitable[None] | None],
        idle: Callable[[], None] = lambda: None,
        low: int = 0,
    ) -> None:
        self._spawn = spawn
        self._failed = failed
        self._idle = idle
        self._low = low
        self.steps: deque[tuple[Step, tuple[Any, ...]]] = deque()
        self.running = False

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: Step, *args: Any) -> None:
        """Run ``step(*args)`` when all before it have ended."""
        self.steps.append((step, args))
        if not self.running:
            self.running = True
            self._spawn(self._run)

    async def _run(self) -> None:
        steps, low = self.steps, self._low
        try:
            while steps:
                step, args = steps.popleft()
                try:
                    result = step(*args)
                    if result is not None:
                        await result
                except Exception as error:
                    reported = self._failed(error)
                    if reported is not None:
                        await reported
                if not steps or len(steps) == low:
                    self._idle()
        finally:
            self.running = False
