"""How cost grows: one thing at a time is made larger, and all else stays."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .report import digits
from .rows import Part, Row
from .running import Measured
from .sides import LIMIT, Side, bare, unisock
from .workloads import Broadcast, Echo, Rooms, Workload

__all__ = ["Curve", "curves", "markdown", "points"]

ROUNDS = 3


@dataclass(frozen=True)
class Curve:
    """One thing that grows.

    :ivar name: for `--only`
    :ivar grows: what is on the horizontal axis
    :ivar each: what an operation is
    :ivar sizes: how large it gets
    :ivar part: a row for each of them
    """

    name: str
    grows: str
    each: str
    sizes: Sequence[int]
    part: Part


@dataclass(frozen=True)
class Point:
    """:ivar cost: microseconds of the server's CPU for an operation; ``rate``: how many a second"""

    size: int
    cost: float
    rate: float


def curves(many: int) -> list[Curve]:
    """All of them.

    :param many: as many connections as there may be at a time
    """
    numbers = [number for number in (1, 10, 100, 1000, 10_000) if number <= many]
    sizes = [16, 256, 4096, 65_536, 1_048_576]
    ours, theirs = unisock(), bare("picows")
    return [
        _curve(
            "connections",
            "connections, one message under way on each",
            "echo",
            {number: Echo(number) for number in numbers},
            [ours, theirs, LIMIT],
        ),
        _curve(
            "members",
            "members of a room that one sends to",
            "delivery",
            {number: Broadcast(number) for number in numbers},
            [ours, theirs, LIMIT],
        ),
        _curve(
            "bytes",
            "bytes of a message, 20 connections",
            "echo",
            {size: Echo(20, size=size) for size in sizes},
            [ours, theirs],
        ),
        _curve(
            "rooms",
            "rooms; 100 members talk in one, the others are silent",
            "delivery",
            {number: Rooms(number) for number in numbers},
            [ours],
        ),
    ]


def _curve(
    name: str, grows: str, each: str, works: Mapping[int, Workload], sides: Sequence[Side]
) -> Curve:
    rows = [Row(f"{name}: {size:,}", work, sides, rounds=ROUNDS) for size, work in works.items()]
    return Curve(name, grows, each, [*works], Part(name, grows, rows))


def points(curve: Curve, results: Sequence[Measured]) -> dict[str, list[Point]]:
    """The medians of each side, where it has any."""
    found: dict[str, list[Point]] = {}
    for size, result in zip(curve.sizes, results, strict=True):
        for side, outcome in result.outcomes.items():
            if outcome.samples:
                cost = statistics.median(sample.cost for sample in outcome.samples)
                rate = statistics.median(sample.beside or 0.0 for sample in outcome.samples)
                found.setdefault(side.name, []).append(Point(size, cost, rate))
    return found


def markdown(curve: Curve, found: dict[str, list[Point]]) -> str:
    """What the picture shows, in numbers."""
    head = [curve.grows]
    for name in found:
        head += [f"{name}: µs for each {curve.each}", "a second"]
    rows = [head, ["--:"] * len(head)]
    for size in curve.sizes:
        cells = [f"{size:,}"]
        for known in found.values():
            point = next((each for each in known if each.size == size), None)
            cells += ["–", "–"] if point is None else [digits(point.cost), f"{point.rate:,.0f}"]
        rows.append(cells)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
