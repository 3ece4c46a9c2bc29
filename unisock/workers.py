"""Several processes that serve one address: the parent that starts and minds them.

A worker is the same program, started again with the same arguments; `unisock.worker` is its side.
The parent has no part in serving. It holds the address, so that nobody else takes it while workers
come and go, and a socket to each worker: orders go down, and its end tells a worker that the parent
is gone.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import anyio
from anyio.abc import Process, TaskGroup, TaskStatus

from .errors import ConfigError
from .sockets import SharedPorts
from .worker import DRAIN, READY, STOP, describe_inheritance

__all__ = ["Failed", "Overseer", "count"]

STEADY_SECONDS = 10.0
"""A worker that lives that long is not held responsible for those before it."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
GIVE_UP = 5
"""Deaths in a row, each soon after the start, after which the parent ends if nobody serves."""
REST_SECONDS = 5.0
"""Until the next attempt, when the system did not let us start a process."""
STOP_SECONDS = 5.0
"""For a worker that is to stop at once, until it is killed."""

QUOTA = Path("/sys/fs/cgroup/cpu.max")

log = logging.getLogger("unisock")


class Failed(Exception):
    """The server cannot be kept up.

    :ivar code: the exit code
    """

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


def count(workers: int | Literal["auto"], quota: Path = QUOTA) -> int:
    """How many processes the setting means; ``auto`` is one for each CPU that this process may use.

    :param quota: where Linux says how much time a container has on its CPUs (cgroup v2)
    """
    if workers != "auto":
        return workers
    if sys.platform == "linux":
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    try:
        most, period = quota.read_text().split()
        return max(1, min(cpus, math.ceil(int(most) / int(period))))
    except (OSError, ValueError):  # there is none, or it says "max"
        return cpus


class _Worker:
    """One process.

    :ivar young: how many before it in a row have died soon after their start
    :ivar serves: whether it has begun to
    :ivar retired: it is to end, and another is there for it
    :ivar killed: it did not stop, and was made to
    """

    def __init__(self, number: int, young: int, process: Process, control: socket.socket) -> None:
        self.number = number
        self.young = young
        self.process = process
        self.begun = anyio.current_time()
        self.serves = False
        self.retired = False
        self.killed = False
        self._control = control

    @property
    def name(self) -> str:
        return f"worker {self.number} (process {self.process.pid})"

    @property
    def end(self) -> str:
        """How it ended."""
        code = self.process.returncode or 0
        if code < 0:
            names = {one.value: one.name for one in signal.Signals}
            return f"was killed by {names.get(-code, f'signal {-code}')}"
        return f"ended with exit code {code}"

    async def ready(self) -> bool:
        """Whether it serves, as soon as that is known."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch_end, group.cancel_scope)
            await anyio.wait_readable(self._control)
            group.cancel_scope.cancel()
        try:
            self.serves = self._control.recv(1) == READY
        except OSError:
            self.serves = False
        return self.serves

    def order(self, what: bytes) -> None:
        """Have it do this; one that does not listen yet has no clients, and is just ended."""
        with contextlib.suppress(OSError):  # it has ended
            if self.serves:
                self._control.send(what)
            else:
                self.process.terminate()

    def kill(self) -> None:
        """End it in any case."""
        self.killed = True
        with contextlib.suppress(OSError):
            self.process.kill()

    async def wait(self) -> None:
        """Until it has ended. Who does not wait any more has it drain, and waits for that."""
        try:
            await self.process.wait()
        finally:
            with contextlib.suppress(OSError):
                if self.process.returncode is None:
                    self.process.terminate()
            with anyio.CancelScope(shield=True):
                await self.process.wait()

    def close(self) -> None:
        """It has ended."""
        self._control.close()

    async def _watch_end(self, scope: anyio.CancelScope) -> None:
        await self.process.wait()
        scope.cancel()


class Overseer:
    """Starts workers, starts another for each that dies, and ends them all.

    :param workers: how many
    :param ports: where they serve
    :param announce: called when all of them do
    :param command: what a worker is; this program with its arguments unless given
    """

    def __init__(
        self,
        workers: int,
        ports: SharedPorts,
        announce: Callable[[], None],
        command: Sequence[str] | None = None,
    ) -> None:
        self._count = workers
        self._ports = ports
        self._announce = announce
        self._command = [sys.executable, *sys.orig_argv[1:]] if command is None else command
        self._workers: set[_Worker] = set()
        self._leaving = False
        self._renewing = True
        self._failure: Failed | None = None
        self._group: TaskGroup

    async def run(self) -> None:
        """Keep the workers up until SIGINT or SIGTERM, and let them drain; a second signal stops
        them at once. SIGHUP replaces one after the other.

        :raises Failed: they cannot be kept up
        """
        try:
            async with anyio.create_task_group() as self._group:
                await self._group.start(self._obey_signals)
                # One goes ahead: what is wrong with all of them is said once.
                await self._start(1)
                async with anyio.create_task_group() as others:
                    for number in range(2, self._count + 1):
                        others.start_soon(self._start, number)
                if not self._leaving:
                    self._renewing = False
                    self._announce()
        except BaseExceptionGroup as errors:
            failed = errors.subgroup(Failed)
            if failed is None:
                raise
            raise _first(failed) from None
        if self._failure is not None:
            raise self._failure

    async def _start(self, number: int) -> _Worker:
        """A worker that serves; or anyone, if all are to leave meanwhile.

        :raises Failed: it does not come to that
        """
        worker = await self._begin(number)
        if not worker.serves and not self._leaving:
            code = worker.process.returncode or 0
            hint = "" if code else "; this program has to serve when it is started once more"
            raise Failed(
                f"{worker.name} {worker.end} before it served{hint}", code if code > 0 else 1
            )
        return worker

    async def _begin(self, number: int, young: int = 0) -> _Worker:
        """A new worker, which serves; or has ended, if it could not.

        :raises Failed: the system does not let us start one
        """
        worker = await self._spawn(number, young)
        self._workers.add(worker)
        if self._leaving:  # since a moment ago
            worker.order(DRAIN)
        await self._group.start(self._mind, worker)
        return worker

    async def _spawn(self, number: int, young: int) -> _Worker:
        given: list[socket.socket] = []
        control, other = socket.socketpair()
        control.setblocking(False)
        try:
            given = [other, *self._ports.inherit()]
            process = await anyio.open_process(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=None,
                stderr=None,
                env={**os.environ, **describe_inheritance(number, given)},
                # A session of its own: Ctrl-C reaches the parent alone, who passes it on.
                start_new_session=True,
                pass_fds=[one.fileno() for one in given],
            )
        except (OSError, ConfigError) as error:
            control.close()
            raise Failed(f"worker {number} cannot be started: {error}", 1) from error
        except BaseException:
            control.close()
            raise
        finally:
            for one in (other, *given):
                one.close()
        return _Worker(number, young, process, control)

    async def _mind(self, worker: _Worker, *, task_status: TaskStatus[None]) -> None:
        """Wait until it serves, then until it ends, and then see to another."""
        try:
            serves = await worker.ready()
            if serves:
                if self._leaving:
                    worker.order(DRAIN)
                task_status.started()
        finally:
            await worker.wait()
            worker.close()
            self._workers.discard(worker)
        if self._leaving or worker.retired:
            self._account_for(worker)
        elif serves:
            self._group.start_soon(self._replace, worker)
        if not serves:
            task_status.started()

    async def _replace(self, dead: _Worker) -> None:
        """Start another for one that has died, as often as it takes."""
        while not self._leaving:
            lived = anyio.current_time() - dead.begun
            young = dead.young + 1 if lived < STEADY_SECONDS else 0
            if young >= GIVE_UP and not any(worker.serves for worker in self._workers):
                raise Failed(
                    f"{dead.name} {dead.end}: {young} in a row did so soon after their start, "
                    "and no other serves",
                    1,
                )
            pause = min(FIRST_PAUSE_SECONDS * 2**young / 2, LONGEST_PAUSE_SECONDS) if young else 0
            log.error("%s %s; another is started in %g s", dead.name, dead.end, pause)
            await anyio.sleep(pause)
            if self._at(dead.number):
                return  # SIGHUP was quicker
            dead = await self._begin_again(dead.number, young)
            if dead.serves:
                log.info("%s serves", dead.name)
            if dead.serves or dead.retired:
                return

    async def _begin_again(self, number: int, young: int) -> _Worker:
        """The same, however long it takes until the system lets us."""
        while True:
            try:
                return await self._begin(number, young)
            except Failed as failure:
                log.error("%s; tried again in %g s", failure, REST_SECONDS)
                await anyio.sleep(REST_SECONDS)

    async def _renew(self) -> None:
        """Start another for each, and let those that were there drain."""
        self._renewing = True
        try:
            for number in range(1, self._count + 1):
                fresh = await self._start(number)
                for worker in self._at(number):
                    if worker is not fresh:
                        worker.retired = True
                        worker.order(DRAIN)
            if not self._leaving:
                log.info("all %d workers are new", self._count)
        except Failed as failure:
            log.error("%s; those before it stay", failure)
        finally:
            self._renewing = False

    def _at(self, number: int) -> list[_Worker]:
        """Who is there with this number, and is to stay."""
        return [one for one in self._workers if one.number == number and not one.retired]

    # The end.

    async def _obey_signals(self, *, task_status: TaskStatus[None]) -> None:
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as after nohup
            numbers.append(signal.SIGHUP)
        on_terminal = os.isatty(2)
        with anyio.open_signal_receiver(*numbers) as signals:
            task_status.started()
            async for number in signals:
                # A terminal that was closed sends it too, and is one no more.
                renew = number == signal.SIGHUP and on_terminal == os.isatty(2)
                if self._leaving:
                    if not renew:
                        self._group.start_soon(self._stop)
                elif not renew:
                    self._drain(number)
                elif self._renewing:
                    log.info("SIGHUP: workers are being started already")
                else:
                    log.info("SIGHUP: replacing one worker after the other")
                    self._group.start_soon(self._renew)

    def _drain(self, number: signal.Signals) -> None:
        log.info("%s: draining; once more to stop at once", number.name)
        self._leaving = True
        for worker in self._workers:
            worker.order(DRAIN)
        self._leave_if_last()

    async def _stop(self) -> None:
        for worker in self._workers:
            worker.order(STOP)
        await anyio.sleep(STOP_SECONDS)
        for worker in self._workers:
            log.error("%s does not stop: it is killed", worker.name)
            worker.kill()

    def _account_for(self, worker: _Worker) -> None:
        """One has ended as it was told."""
        code = worker.process.returncode
        if code and worker.serves and not worker.killed:
            failure = Failed(f"{worker.name} {worker.end} while it drained", 1)
            log.error("%s", failure)
            if self._leaving:
                self._failure = failure
        self._leave_if_last()

    def _leave_if_last(self) -> None:
        if self._leaving and not self._workers:
            self._group.cancel_scope.cancel()


def _first(group: BaseExceptionGroup[Failed]) -> Failed:
    error = group.exceptions[0]
    return error if isinstance(error, Failed) else _first(error)
