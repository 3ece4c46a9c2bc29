"""Steps that run one after another, in a task that lives only while there are any."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from unisock.abc import Runtime
from unisock.lane import Lane
from unisock.pipeline import awaited

pytestmark = pytest.mark.anyio


class Tasks(Runtime):
    group: TaskGroup

    def __init__(self) -> None:
        self.spawned = 0

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        self.spawned += 1
        self.group.start_soon(awaited, function(*args))


async def run(build: Callable[[Lane], None], **options: Any) -> Tasks:
    tasks = Tasks()
    async with anyio.create_task_group() as tasks.group:
        build(Lane(tasks.spawn, options.pop("failed", lambda error: None), **options))
    return tasks


async def test_steps_run_in_order_one_at_a_time() -> None:
    log: list[str] = []

    async def step(name: str) -> None:
        log.append(f"{name} begins")
        await anyio.lowlevel.checkpoint()
        log.append(f"{name} ends")

    def build(lane: Lane) -> None:
        lane.add(step, "a")
        lane.add(log.append, "sync")
        lane.add(step, "b")
        assert len(lane) == 3
        assert lane.running

    tasks = await run(build)
    assert log == ["a begins", "a ends", "sync", "b begins", "b ends"]
    assert tasks.spawned == 1


async def test_a_step_may_add_steps() -> None:
    log: list[int] = []

    def build(lane: Lane) -> None:
        def countdown(number: int) -> None:
            log.append(number)
            if number:
                lane.add(countdown, number - 1)

        lane.add(countdown, 3)

    assert (await run(build)).spawned == 1
    assert log == [3, 2, 1, 0]


async def test_an_exception_is_told_and_the_lane_goes_on() -> None:
    log: list[Any] = []

    async def fail(name: str) -> None:
        raise ValueError(name)

    def fail_at_once(name: str) -> None:
        raise KeyError(name)

    async def failed(error: Exception) -> None:
        await anyio.lowlevel.checkpoint()
        log.append(type(error))

    def build(lane: Lane) -> None:
        lane.add(fail, "x")
        lane.add(fail_at_once, "y")
        lane.add(log.append, "after")

    await run(build, failed=failed)
    assert log == [ValueError, KeyError, "after"]


async def test_it_is_told_when_few_steps_are_left() -> None:
    left: list[int] = []
    lanes: list[Lane] = []

    def build(lane: Lane) -> None:
        lanes.append(lane)
        for _ in range(5):
            lane.add(lambda: None)

    await run(build, idle=lambda: left.append(len(lanes[0])), low=2)
    assert left == [2, 0]


async def test_idle_lanes_own_no_task_and_wake_again() -> None:
    idle: list[int] = []
    lanes: list[Lane] = []
    tasks = Tasks()
    async with anyio.create_task_group() as tasks.group:
        lane = Lane(tasks.spawn, lambda error: None, lambda: idle.append(len(lanes[0])))
        lanes.append(lane)
        lane.add(idle.append, -1)
        lane.add(idle.append, -2)
        await anyio.wait_all_tasks_blocked()
        assert not lane.running
        lane.add(idle.append, -3)
    assert idle == [-1, -2, 0, -3, 0]
    assert tasks.spawned == 2
