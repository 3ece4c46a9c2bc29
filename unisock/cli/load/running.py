"""A run from the first connection to the last echo."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import anyio
import msgspec

from ...abc import NOBODY, Connection
from ...dialing import Dialer, Options
from ...messages import Close, Message
from ...runtime import TaskRuntime, task_group
from .lanes import ClosedLoop, Lane, Load, OpenLoop
from .opening import NotAnEcho, Opened, open_connections

__all__ = ["Moment", "Plan", "Run", "Watcher"]

SPIN = 0.0015
"""Seconds before a planned message from which on the clock is watched: timers are that coarse."""
MOMENT = 0.1
"""Seconds between two looks at a load."""
SHORT = 0.02
"""Seconds since the last one after which a look says anything."""
MOMENTS = 600
"""Looks that are kept; beyond it, every second one goes."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured."""

    way: Options
    connections: int = 10
    depth: int = 1
    """Messages under way on each connection, at most."""
    message: Message = ""
    seconds: float | None = 5.0
    messages: int | None = None
    """How many in all; then `seconds` is `None`."""
    rate: float | None = None
    """Messages a second in all; `None` for as fast as they come back."""
    warmup: float = 0.5
    timeout: float = 10.0
    """Seconds for one connection, and for an answer."""


class Moment(msgspec.Struct, frozen=True):
    """A look at a load.

    :ivar at: seconds after its start
    :ivar answered: messages that had come back
    :ivar median: the latency of those since the last look, in seconds; 0 if there are none
    :ivar slow: their 99th percentile
    """

    at: float
    answered: int
    median: float
    slow: float


Watcher = Callable[[str, float, float], None]
"""``watcher(phase, done, rate)``: connecting, warming up or measuring; which part of that is done;
messages a second at this moment."""


class Run:
    """One run, and what it has measured so far.

    :ivar opened: the connections
    :ivar load: what was measured; `None` before it began
    :ivar seconds: from the first message to the last echo
    :ivar moments: how it went
    :ivar cpu: which part of one core this process used while it measured
    :ivar unsent: planned messages that were not sent
    :ivar unanswered: messages that were not answered in time
    :ivar interrupted: whether the user had enough
    :ivar wrong: why it was no echo
    :ivar lost: how often a connection ended, by the reason
    """

    def __init__(self, plan: Plan, watcher: Watcher) -> None:
        self.plan = plan
        self.opened = Opened()
        self.load: Load | None = None
        self.moments: list[Moment] = []
        self.cpu = 0.0
        self.unsent = 0
        self.unanswered = 0
        self.interrupted = False
        self.wrong: str | None = None
        self.lost: Counter[str] = Counter()
        self._watch = watcher

    @property
    def seconds(self) -> float:
        return 0.0 if self.load is None else self.load.last - self.load.began

    @property
    def _open(self) -> list[Connection]:
        return [each for each in self.opened.connections if each.closing is None]

    async def measure(self) -> None:
        """Run it.

        :raises ConfigError: an option is wrong
        """
        runtime = TaskRuntime()
        async with runtime.running() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(self._listen, scope)
                await self._measure(runtime)
            await self._close()

    async def _listen(self, scope: anyio.CancelScope) -> None:
        """Ctrl-C ends the run, and not the process: what was measured is still to be shown."""
        with anyio.open_signal_receiver(signal.SIGINT) as signals:
            async for _ in signals:
                self.interrupted = True
                scope.cancel()

    async def _measure(self, runtime: TaskRuntime) -> None:
        plan, opened = self.plan, self.opened
        dialer = Dialer(plan.way)
        async with task_group() as group:
            group.start_soon(self._watch_connecting)
            try:
                await open_connections(
                    opened,
                    dialer,
                    runtime,
                    plan.message,
                    number=plan.connections,
                    timeout=plan.timeout,
                    redirects=plan.way.redirects,
                )
            except NotAnEcho as error:
                self.wrong = str(error)
            group.cancel_scope.cancel()
        if self.wrong is not None or not opened.connections:
            return
        if plan.warmup:
            await self._phase(self._load(None), plan.warmup, "warming up")
        if self.wrong is None and self._open:
            self.load = self._load(plan.messages)
            await self._phase(self.load, plan.seconds, "measuring")

    async def _watch_connecting(self) -> None:
        while True:
            done = len(self.opened.connections) + self.opened.failures.total()
            self._watch("connecting", done / self.plan.connections, 0.0)
            await anyio.sleep(MOMENT)

    def _load(self, messages: int | None) -> Load:
        plan, clock = self.plan, time.perf_counter
        if plan.rate is None:
            return ClosedLoop(plan.depth, messages, clock)
        return OpenLoop(plan.rate, plan.depth, messages, clock)

    # One phase.

    async def _phase(self, load: Load, seconds: float | None, name: str) -> None:
        """Send for so long, then wait for what is under way."""
        idle = anyio.Event()
        load.on_idle = idle.set
        for connection in self._open:
            connection.attach(Lane(connection, self.plan.message, load))
        cpu, looks = time.process_time(), Looks(load)
        if load is self.load:
            self.moments = looks.moments
        try:
            async with task_group() as group:
                group.start_soon(self._look_on, looks, load, seconds, name)
                with anyio.move_on_after(seconds):
                    load.begin()
                    if isinstance(load, OpenLoop):
                        group.start_soon(_keep_to, load)
                    if seconds is None:
                        await self._patiently(load, idle)
                    else:
                        await idle.wait()
                self.unsent = load.overdue if load.lanes else 0
                load.stop()
                await self._patiently(load, idle)
                group.cancel_scope.cancel()
        finally:
            looks.look(load.last)
            self.lost.update(load.lost_lanes)
            if load.wrong is None and not self.interrupted:
                self._abandon(load)
            self.cpu = (time.process_time() - cpu) / max(time.perf_counter() - load.began, 1e-9)
            if load.wrong is not None:
                self.wrong = f"this endpoint does not echo: {load.wrong}"

    def _abandon(self, load: Load) -> None:
        """Do without those that do not answer."""
        self.unanswered += load.under_way
        for lane in load.lanes:
            if lane.under_way:
                lane.abandon()

    async def _patiently(self, load: Load, idle: anyio.Event) -> None:
        """Wait for the end, as long as answers come."""
        while not idle.is_set():
            answered, under_way = load.answered, load.under_way
            with anyio.move_on_after(self.plan.timeout):
                await idle.wait()
            if under_way and load.answered == answered:
                return

    async def _look_on(self, looks: Looks, load: Load, seconds: float | None, name: str) -> None:
        pause = MOMENT
        while True:
            await anyio.sleep(pause)
            if not load.going:
                return
            rate = looks.look(load.clock())
            if len(looks.moments) > MOMENTS:
                del looks.moments[::2]
                pause *= 2
            total = self.plan.messages if seconds is None else None
            at = load.clock() - load.began
            done = load.answered / total if total else at / (seconds or at)
            self._watch(name, min(done, 1.0), rate)

    async def _close(self) -> None:
        """Say goodbye to all, and wait for it a moment."""
        with suppress(Exception), anyio.move_on_after(1.5):
            for connection in self.opened.connections:
                connection.attach(NOBODY)  # that they end now is no loss
                connection.close(Close())
            for connection in self.opened.connections:
                await connection.wait_closed()


class Looks:
    """Looks at a load from time to time."""

    def __init__(self, load: Load) -> None:
        self.moments: list[Moment] = []
        self._load = load
        self._last = Moment(0.0, 0, 0.0, 0.0)
        self._counts = [*load.latency.counts]

    def look(self, now: float) -> float:
        """Keep how it is now.

        :returns: messages a second since the last look
        """
        load, last = self._load, self._last
        fresh = load.latency.since(self._counts)
        self._counts = [*load.latency.counts]
        at = now - load.began
        if at - last.at < SHORT:
            return 0.0
        median, slow = (fresh.percentile(50), fresh.percentile(99)) if fresh.count else (0.0, 0.0)
        self._last = Moment(at, load.answered, median, slow)
        self.moments.append(self._last)
        return (load.answered - last.answered) / max(at - last.at, 1e-9)


async def _keep_to(load: OpenLoop) -> None:
    """Send each message when it is planned."""
    while load.going:
        load.pump()
        wait = load.planned - load.clock() - SPIN
        await anyio.sleep(max(wait, 0.0))
