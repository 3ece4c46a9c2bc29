"""What a measurement has to come to, and whether it did."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Bound", "Comparison", "Goal", "compare", "within"]


@dataclass(frozen=True)
class Goal:
    """A side of ours costs at most so many times as much as another."""

    than: str
    at_most: float
    ours: str = "unisock"


@dataclass(frozen=True)
class Bound:
    """A side of ours costs at most so much, in the row's unit.

    :ivar stretch: it would be good, but is not promised
    """

    at_most: float
    ours: str = "unisock"
    stretch: bool = False


@dataclass(frozen=True)
class Comparison:
    """How many times as much a side of ours costs.

    :ivar ratio: the median of the ratios within each round
    :ivar low: their first quartile
    :ivar high: their third quartile
    """

    than: str
    ratio: float
    low: float
    high: float
    goal: Goal | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; `None` without one. As precise as goals are written."""
        return None if self.goal is None else within(self.ratio, self.goal.at_most)


def compare(
    than: str, ours: Sequence[float], theirs: Sequence[float], goal: Goal | None = None
) -> Comparison | None:
    """Compare what two sides cost in each round, as far as both took part; `None` if never."""
    ratios = sorted(
        our / their for our, their in zip(ours, theirs, strict=False) if their > 0 and our >= 0
    )
    if not ratios:
        return None
    if len(ratios) < 3:
        low, high = ratios[0], ratios[-1]
    else:
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Comparison(than, statistics.median(ratios), low, high, goal)


def within(value: float, at_most: float) -> bool:
    """Whether a value is no more than that, at three digits: 0.4504 is not more than 0.45."""
    return float(f"{value:.3g}") <= float(f"{at_most:.3g}")
