"""What a run has measured, as numbers with names."""

from __future__ import annotations

import msgspec

from .histogram import Histogram
from .running import Run

__all__ = ["PERCENTILES", "Summary", "summarize"]

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}
BUSY = 0.9
"""The part of a core above which the load itself may be the limit."""
BEHIND = 0.01
"""The part of a plan above which it is worth a word that it was not kept."""
LATE = 0.001
"""Seconds behind the plan above which the load itself may be the limit."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in milliseconds, sizes in bytes."""

    url: str
    size: int
    rate: float | None
    """What was asked for; `None` in a closed loop."""
    depth: int
    connections: int
    """As asked for."""
    opened: int
    seconds: float
    messages: int
    """Echoes that came back."""
    messages_per_second: float
    megabytes_per_second: float
    """Of payload, in each direction; 10⁶ bytes."""
    latency: dict[str, float]
    connect: dict[str, float]
    errors: dict[str, int]
    """How often, by what happened."""
    warnings: list[str]
    interrupted: bool


def summarize(run: Run, url: str) -> Summary:
    """Sum a run up."""
    plan, load = run.plan, run.load
    latency = load.latency if load is not None else Histogram()
    answered = load.answered if load is not None else 0
    rate = answered / run.seconds if run.seconds else 0.0
    size = len(plan.message.encode() if isinstance(plan.message, str) else plan.message)
    return Summary(
        url=url,
        size=size,
        rate=plan.rate,
        depth=plan.depth,
        connections=plan.connections,
        opened=len(run.opened.connections),
        seconds=round(run.seconds, 3),
        messages=answered,
        messages_per_second=round(rate, 1),
        megabytes_per_second=round(rate * size / 1e6, 3),
        latency=_times(latency, ("min", *PERCENTILES, "max", "mean")),
        connect=_times(run.opened.seconds, ("p50", "p99")),
        errors=_errors(run),
        warnings=_warnings(run),
        interrupted=run.interrupted,
    )


def _times(histogram: Histogram, names: tuple[str, ...]) -> dict[str, float]:
    if not histogram.count:
        return {}
    exact = {"min": histogram.shortest, "max": histogram.longest, "mean": histogram.mean}
    return {
        name: round(
            (exact[name] if name in exact else histogram.percentile(PERCENTILES[name])) * 1e3, 4
        )
        for name in names
    }


def _errors(run: Run) -> dict[str, int]:
    errors: dict[str, int] = {**run.opened.failures, **run.lost}
    if run.load is not None and run.load.lost:
        errors["messages lost with their connection"] = run.load.lost
    if run.unanswered:
        errors["messages without an answer"] = run.unanswered
    if run.wrong is not None:
        errors[run.wrong] = 1
    return errors


def _warnings(run: Run) -> list[str]:
    load, warnings = run.load, list[str]()
    if load is None:
        return warnings
    if run.unsent > BEHIND * load.sent and not run.interrupted:
        warnings.append(
            f"{run.unsent} planned messages were not sent: the endpoint does not keep up with "
            f"--rate {run.plan.rate:g}, at {run.plan.depth} under way on each connection"
        )
    if run.plan.rate is None:
        if run.cpu > BUSY:
            warnings.append(
                f"this command used {run.cpu:.0%} of a core: it may be the limit, and not the "
                "endpoint"
            )
    elif load.late.count and load.late.percentile(99) > LATE:
        warnings.append(
            f"1 % of the messages left over {load.late.percentile(99) * 1e3:.1f} ms behind the "
            "plan, although there was room: this command may be the limit, and not the endpoint"
        )
    return warnings
