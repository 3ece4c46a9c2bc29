"""Many coarse timers on one clock, without I/O.

A server has one `Timers` for the heartbeats, close time-outs and session time-outs of all its
connections. Timers that fall due within the same `tick` share one heap entry, so 10,000 connections
cost 10,000 list slots and not 10,000 timers of an event loop.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable

__all__ = ["Timer", "Timers"]

log = logging.getLogger("unisock")


class Timer:
    """One pending call. `cancel` is constant time; the slot is freed when it falls due."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Never call. Does nothing if called or cancelled already."""
        self.call = None


class Timers:
    """Calls functions at or up to one `tick` after their time.

    :param clock: the present time in seconds; only differences count
    :param tick: the resolution in seconds
    :param wake: called when the next deadline has moved forward, so that whoever sleeps until
        `next_deadline` looks again
    """

    __slots__ = ("_clock", "_heap", "_slots", "_tick", "_wake")

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        tick: float = 0.05,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._tick = tick
        self._wake = wake
        self._slots: dict[int, list[Timer]] = {}
        self._heap: list[int] = []

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call ``call()`` after ``delay`` seconds. It must not raise or block."""
        timer = Timer(call)
        slot = int((self._clock() + delay) / self._tick) + 1
        timers = self._slots.get(slot)
        if timers is None:
            self._slots[slot] = [timer]
            heapq.heappush(self._heap, slot)
            if self._heap[0] == slot:
                self._wake()
        else:
            timers.append(timer)
        return timer

    @property
    def now(self) -> float:
        """The present time on the clock."""
        return self._clock()

    @property
    def next_deadline(self) -> float | None:
        """When `advance` has something to do next, on the clock; `None` when nothing is pending."""
        return self._heap[0] * self._tick if self._heap else None

    @property
    def pending(self) -> int:
        """How many calls are to come. It counts them."""
        return sum(timer.call is not None for timers in self._slots.values() for timer in timers)

    def advance(self) -> None:
        """Call all that has fallen due, in the order of the slots."""
        now = self._clock()
        while self._heap and self._heap[0] * self._tick <= now:
            for timer in self._slots.pop(heapq.heappop(self._heap)):
                call, timer.call = timer.call, None
                if call is not None:
                    try:
                        call()
                    except Exception:  # one connection's fault is not the others'
                        log.exception("exception in a timer: %r", call)
