"""Going through the endpoints of a site."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import msgspec

from ...runtime import TaskRuntime
from .findings import HOST, Finding
from .probe import Probe
from .protocols import PROBES, detect
from .target import Target
from .visitor import Failure, Visitor

__all__ = ["Outcome", "Plan", "attempt"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be tried, and how."""

    targets: tuple[Target, ...]
    headers: tuple[tuple[str, str], ...] = ()
    tls: ssl.SSLContext | None = None
    timeout: float = 10.0
    """Seconds for each response."""
    idle: float = 0.0
    """Seconds for which a session is held; 0 for not at all."""


class Outcome(msgspec.Struct, kw_only=True):
    """What was found out about one endpoint."""

    url: str
    protocol: str = ""
    server: str = ""
    """What the site's responses say of who made them."""
    findings: list[Finding] = []


async def attempt(plan: Plan, tell: Callable[[Outcome], None]) -> Sequence[Outcome]:
    """Try each endpoint; sessions are held at the end, all at once.

    :param tell: called with each outcome, as soon as it is known
    """
    runtime = TaskRuntime()
    async with runtime.running():
        trials = [_Trial(plan, target, runtime) for target in plan.targets]
        for trial in trials:
            await trial.run()
            if not plan.idle:
                tell(trial.outcome)
        if plan.idle:
            async with anyio.create_task_group() as holding:
                for trial in trials:
                    holding.start_soon(trial.hold)
            for trial in trials:
                tell(trial.outcome)
    return [trial.outcome for trial in trials]


class _Trial:
    """One endpoint."""

    def __init__(self, plan: Plan, target: Target, runtime: TaskRuntime) -> None:
        self._plan = plan
        self._target = target
        self._runtime = runtime
        self._page = True
        self._probe: type[Probe] | None = None
        self.outcome = Outcome(url=str(target), protocol=target.protocol or "")

    async def run(self) -> None:
        """Find out what can be found out at once."""
        outcome = self.outcome
        try:
            if not outcome.protocol:
                async with self._visitor(page=False) as visitor:
                    outcome.protocol = await detect(self._target, visitor)
            self._probe = PROBES.get(outcome.protocol)
            if self._probe is None:
                told = f"nobody knows how to try it; known are {', '.join(PROBES)}"
                outcome.findings.append(Finding(check="protocol", state="unknown", told=told))
                return
            await self._find_out(self._probe)
            stranger = next((each for each in outcome.findings if each.nginx == HOST), None)
            if stranger is not None:
                # Pages are turned away at the door. Scripts see what else is wrong.
                self._page = False
                outcome.findings = [msgspec.structs.replace(stranger, check="origin")]
                await self._find_out(self._probe)
        except Failure as failure:
            told = f"{self._target.base} gives no answer: {failure}"
            outcome.findings.append(Finding(check="http", state="broken", told=told))
            self._probe = None

    async def _find_out(self, probe: type[Probe]) -> None:
        async with self._visitor(page=self._page) as visitor:
            async for finding in probe(self._target, visitor).findings():
                self.outcome.findings.append(finding)
                self.outcome.server = visitor.server

    async def hold(self) -> None:
        """Hold a session."""
        if self._probe is None:
            return
        works = frozenset(each.check for each in self.outcome.findings if each.state == "ok")
        async with self._visitor(page=self._page) as visitor:
            probe = self._probe(self._target, visitor)
            self.outcome.findings.append(await probe.idle_finding(self._plan.idle, works))

    @asynccontextmanager
    async def _visitor(self, *, page: bool) -> AsyncGenerator[Visitor]:
        plan = self._plan
        visitor = Visitor(
            self._target,
            self._runtime,
            page=page,
            headers=plan.headers,
            tls=plan.tls,
            timeout=plan.timeout,
        )
        try:
            yield visitor
        finally:
            with anyio.CancelScope(shield=True):
                await visitor.aclose()
