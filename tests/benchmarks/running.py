"""Rounds: each side of each row once in every round, in random order."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType

from .load import Load, LoadError
from .rows import Part, Row
from .servers.pauses import ENVIRONMENT
from .sides import Missing, Process, Side
from .workloads import Place, Sample

__all__ = ["Effort", "Measured", "Outcome", "Servers", "count", "measure"]


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    :ivar seconds: of each measurement
    :ivar first: seconds that a server is warmed up, before it is measured at some work for the
        first time
    :ivar many: as many connections as there may be at a time
    """

    rounds: int
    seconds: float
    first: float
    many: int


@dataclass
class Outcome:
    """What came of a side in a row.

    :ivar samples: one for each round, until it failed
    :ivar failure: why there are no more
    :ivar missing: the side cannot run here
    """

    samples: list[Sample] = field(default_factory=list)
    failure: str = ""
    missing: bool = False


Step = Callable[[str], None]


class Servers(AbstractContextManager["Servers"]):
    """The servers that run. A side is started when it is first asked for."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, ...], Process] = {}
        self._warm: set[tuple[object, ...]] = set()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._running.values():
            process.stop()
        self._running.clear()

    def get(self, side: Side) -> Process:
        """The server of this side.

        :raises Missing: it cannot be started here
        :raises LoadError: it does not start
        """
        process = self._running.get(side.command)
        if process is None:
            process = self._running[side.command] = Process(side)
        return process

    def drop(self, side: Side) -> None:
        """Stop a server that does not do what it should."""
        process = self._running.pop(side.command, None)
        if process is not None:
            process.stop()

    def is_new_to(self, process: Process, *what: object) -> bool:
        """Whether a server does this for the first time."""
        known = (process.pid, *what) in self._warm
        self._warm.add((process.pid, *what))
        return not known


@dataclass(frozen=True)
class Measured:
    """What came of the sides of a row."""

    row: Row
    outcomes: dict[Side, Outcome]


def measure(part: Part, effort: Effort, load: Load, step: Step) -> list[Measured]:
    """Measure all rows of a part.

    :param step: is told of each measurement before it begins
    """
    results = [Measured(row, {side: Outcome() for side in row.sides}) for row in part.rows]
    with Servers() as servers:
        for number in range(effort.rounds):
            for result in results:
                row = result.row
                if number >= _rounds(row, effort):
                    continue
                for side in random.sample(row.sides, len(row.sides)):
                    step(f"{row.name}: {side.name}")
                    if not result.outcomes[side].failure:
                        _once(row, side, result.outcomes[side], servers, effort, load)
    return results


def count(part: Part, effort: Effort) -> int:
    """How often `measure` will call `step`."""
    return sum(len(row.sides) * _rounds(row, effort) for row in part.rows)


def _rounds(row: Row, effort: Effort) -> int:
    return effort.rounds if row.rounds is None else min(row.rounds, effort.rounds)


def _once(
    row: Row, side: Side, outcome: Outcome, servers: Servers, effort: Effort, load: Load
) -> None:
    process: Process | None = None
    try:
        if row.fresh:
            process = Process(side, {ENVIRONMENT: "1"} if row.watched else None)
        else:
            process = servers.get(side)
        first = servers.is_new_to(process, row.work, side.path)
        warmup = effort.first if first else min(0.05, effort.first)
        wire = side.wire or row.wire
        place = Place(process, wire, side.path, load, effort.seconds, warmup, effort.many)
        outcome.samples.append(row.work(place))
    except Missing as missing:
        outcome.failure, outcome.missing = str(missing), True
    except (LoadError, OSError) as error:
        words = process.last_words if process is not None else ""
        outcome.failure = f"{error}\n{words}".strip()
        servers.drop(side)
    finally:
        if row.fresh and process is not None:
            process.stop()
