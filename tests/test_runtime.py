"""Tasks and timers of a running server."""

import sys
import time

import anyio
import pytest

from unisock.errors import ConfigError
from unisock.runtime import HELD_UP, TaskRuntime, running_backend, task_group

pytestmark = pytest.mark.anyio


async def test_timers_go_off_and_a_sooner_one_wakes_the_sleeper() -> None:
    runtime = TaskRuntime()
    log: list[str] = []
    soon = anyio.Event()
    with anyio.fail_after(30):
        async with runtime.running():
            runtime.timers.call_later(1000, lambda: log.append("late"))
            await anyio.wait_all_tasks_blocked()
            runtime.timers.call_later(0.01, soon.set)
            await soon.wait()
    assert log == []


async def test_after_a_standstill_what_has_arrived_is_read_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runtime = TaskRuntime()
    log: list[str] = []
    send, receive = anyio.create_memory_object_stream[str](1)

    async def read() -> None:
        log.append(await receive.receive())
        await anyio.sleep(0.2)  # as a request that takes a few turns of the loop
        deadline.cancel()

    with anyio.fail_after(30):
        async with send, receive, runtime.running() as group:
            group.start_soon(read)
            deadline = runtime.timers.call_later(0.1, lambda: log.append("silent"))
            later = anyio.Event()
            runtime.timers.call_later(0.2, later.set)
            await anyio.wait_all_tasks_blocked()
            send.send_nowait("said in time")
            time.sleep(HELD_UP + 0.5)  # noqa: ASYNC251 - the fault itself
            await later.wait()
    assert log == ["said in time"]
    assert "stood still" in caplog.text


async def test_one_tasks_failure_is_not_the_servers(caplog: pytest.LogCaptureFixture) -> None:
    runtime = TaskRuntime()
    done: list[str] = []

    async def fail() -> None:
        raise ValueError("mine alone")

    async def work(name: str) -> None:
        await anyio.lowlevel.checkpoint()
        done.append(name)

    with anyio.fail_after(30):
        async with runtime.running():
            runtime.spawn(fail)
            runtime.spawn(work, "x")
            await anyio.wait_all_tasks_blocked()
    assert done == ["x"]
    assert "mine alone" in caplog.text


async def test_what_a_task_holds_is_released_however_late_it_was_spawned() -> None:
    runtime = TaskRuntime()
    released: list[str] = []

    async def hold(name: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            released.append(name)

    async def come_late() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            runtime.spawn(hold, "amid the end")

    with anyio.fail_after(30):
        async with runtime.running() as group:
            group.start_soon(come_late)
            await anyio.wait_all_tasks_blocked()
            runtime.spawn(hold, "just before")
    assert sorted(released) == ["amid the end", "just before"]


async def test_what_a_task_shields_comes_to_its_end() -> None:
    runtime = TaskRuntime()
    steps: list[str] = []

    async def put_back() -> None:
        try:
            with anyio.CancelScope(shield=True):
                for step in ("first", "second"):
                    await anyio.sleep(0.01)
                    steps.append(step)
            await anyio.sleep_forever()
        finally:
            steps.append("last")

    with anyio.fail_after(30):
        async with runtime.running():
            runtime.spawn(put_back)
            await anyio.wait_all_tasks_blocked()
    assert steps == ["first", "second", "last"]


async def test_when_all_is_over_no_task_is_taken() -> None:
    runtime = TaskRuntime()
    async with runtime.running():
        pass
    done: list[str] = []

    async def work() -> None:
        done.append("x")

    runtime.spawn(work)
    await anyio.wait_all_tasks_blocked()
    assert done == []


async def test_a_server_that_does_not_run_takes_no_tasks() -> None:
    with pytest.raises(ConfigError, match="async with server"):
        TaskRuntime().spawn(anyio.lowlevel.checkpoint)


async def test_a_single_error_comes_out_as_itself() -> None:
    async def fail() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("then") from error

    with pytest.raises(ValueError, match="then") as caught:
        async with task_group() as group:
            group.start_soon(fail)
    assert isinstance(caught.value.__cause__, KeyError)


async def test_two_errors_stay_together() -> None:
    async def fail() -> None:
        raise ValueError

    async def fail_twice() -> None:
        async with task_group() as group:
            group.start_soon(fail)
            group.start_soon(fail)

    with pytest.raises(BaseExceptionGroup):
        await fail_twice()


async def test_which_loop_runs(anyio_backend_name: str) -> None:
    assert running_backend() == anyio_backend_name
    assert anyio_backend_name in sys.modules
