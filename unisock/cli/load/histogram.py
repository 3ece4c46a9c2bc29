"""Many durations in little memory, and the percentiles of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, inf, log

__all__ = ["Histogram"]

RESOLUTION = 200
"""Buckets for each factor e: a bucket is half a percent wide."""
SHORTEST = 1e-6
LONGEST = 3600.0
BUCKETS = int(log(LONGEST / SHORTEST) * RESOLUTION) + 1


class Histogram:
    """Counts durations in buckets whose width grows with the duration, from 1 µs to an hour.

    :ivar count: how many
    :ivar shortest: in seconds, exactly; infinite if there is none
    :ivar longest: the same; 0 if there is none
    """

    __slots__ = ("counts", "longest", "shortest", "total")

    def __init__(self, counts: Sequence[int] | None = None) -> None:
        self.counts = [0] * BUCKETS if counts is None else [*counts]
        self.shortest = inf
        self.longest = 0.0
        self.total = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """In seconds."""
        return self.total / (self.count or 1)

    def add(self, seconds: float) -> None:
        """One duration."""
        bucket = int(log(seconds / SHORTEST) * RESOLUTION) if seconds > SHORTEST else 0
        self.counts[bucket if bucket < BUCKETS else -1] += 1
        self.total += seconds
        if seconds > self.longest:
            self.longest = seconds
        if seconds < self.shortest:
            self.shortest = seconds

    def percentile(self, percent: float) -> float:
        """What so many percent did not exceed, by nearest rank, in seconds; within 0.3 %."""
        count = self.count
        rank = max(1, ceil(round(percent / 100 * count, 6)))
        if rank >= count:
            return self.longest
        seen = 0
        for bucket, number in enumerate(self.counts):
            seen += number
            if seen >= rank:
                return min(max(middle(bucket), self.shortest), self.longest)
        return self.longest

    def since(self, counts: Sequence[int]) -> Histogram:
        """What came after `counts` was copied; only its buckets are known, and no exact ends."""
        later = Histogram([now - then for now, then in zip(self.counts, counts, strict=True)])
        later.shortest, later.longest = self.shortest, self.longest
        return later


def middle(bucket: int) -> float:
    """The duration that a bucket stands for."""
    return SHORTEST * exp((bucket + 0.5) / RESOLUTION)
