"""The picture of a run: throughput and latency over time, and how latencies are spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, exp, floor, log, log10

from .canvas import Canvas, Colour, Point
from .histogram import BUCKETS, RESOLUTION, SHORTEST, Histogram
from .running import Moment
from .summary import PERCENTILES, Summary

__all__ = ["HEIGHT", "WIDTH", "draw", "show_time"]

WIDTH, HEIGHT = 960, 734
LEFT, RIGHT = 78.0, WIDTH - 70.0
BARS = 120
ROW = 13
WORDS = 30.0
"""Room that the words of the last mark need to the right of the last bar, beyond the margin."""


def draw(canvas: Canvas, summary: Summary, moments: Sequence[Moment], latency: Histogram) -> None:
    """Draw all of it."""
    canvas.box((0, 0), (WIDTH, HEIGHT), "paper")
    _head(canvas, summary)
    end = max((moment.at for moment in moments), default=1.0)
    time = Scale(0, end, LEFT, RIGHT)
    _throughput(canvas, moments, time, Frame(132, 274))
    _over_time(canvas, moments, time, Frame(340, 466))
    _spread(canvas, latency, Frame(594, 690))


class Frame:
    """The upper and lower edge of a chart."""

    def __init__(self, top: float, bottom: float) -> None:
        self.top = top
        self.bottom = bottom


class Scale:
    """From values to places, in a straight line."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high = low, max(high, low + 1e-12)
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, about: int) -> list[float]:
        """Round values on it, about so many."""
        rough = (self.high - self.low) / about
        power = 10.0 ** floor(log10(rough))
        step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough * 0.999)
        first = ceil(self.low / step - 1e-9)
        return [each * step for each in range(first, floor(self.high / step + 1e-9) + 1)]


def _head(canvas: Canvas, summary: Summary) -> None:
    pace = (
        f"{summary.rate:g} messages a second planned"
        if summary.rate
        else (f"{summary.depth} under way on each")
    )
    canvas.text((LEFT, 36), summary.url, size=17, bold=True)
    canvas.text(
        (LEFT, 58),
        f"{summary.opened} connections · {pace} · {summary.size} bytes · {summary.seconds:g} s",
        "dim",
        size=13,
    )
    facts = [f"{summary.messages_per_second:,.0f} messages/s"]
    facts += [
        f"{name} {show_time(summary.latency[name] / 1e3)}"
        for name in ("p50", "p99", "max")
        if name in summary.latency
    ]
    canvas.text((LEFT, 82), " · ".join(facts), size=14)


def _throughput(canvas: Canvas, moments: Sequence[Moment], time: Scale, frame: Frame) -> None:
    rates: list[Point] = []
    before = Moment(0.0, 0, 0.0, 0.0)
    for moment in moments:
        if moment.at > before.at:
            rate = (moment.answered - before.answered) / (moment.at - before.at)
            rates += [(before.at, rate), (moment.at, rate)]
        before = moment
    top = max((rate for _, rate in rates), default=1.0) or 1.0
    value = Scale(0, top * 1.05, frame.bottom, frame.top)
    _grid(canvas, "Messages a second", time, value, frame, lambda rate: f"{rate:,.0f}")
    points = [(time(at), value(rate)) for at, rate in rates]
    if points:
        corners = [(points[-1][0], frame.bottom), (points[0][0], frame.bottom)]
        canvas.area([*points, *corners], "first")
        canvas.line(points, "first", 1.6)


def _over_time(canvas: Canvas, moments: Sequence[Moment], time: Scale, frame: Frame) -> None:
    heard = [moment for moment in moments if moment.slow]
    top = max((moment.slow for moment in heard), default=0.001)
    value = Scale(0, top * 1.05, frame.bottom, frame.top)
    _grid(canvas, "Latency over time", time, value, frame, show_time)
    ends: list[tuple[float, str, Colour]] = []
    lines: tuple[tuple[str, Colour, list[float]], ...] = (
        ("p99", "second", [moment.slow for moment in heard]),
        ("p50", "first", [moment.median for moment in heard]),
    )
    for name, colour, values in lines:
        points = [
            (time(moment.at), value(each)) for moment, each in zip(heard, values, strict=True)
        ]
        if points:
            canvas.line(points, colour, 1.6)
            ends.append((points[-1][1], name, colour))
    lowest = frame.bottom + 4
    for height, name, colour in sorted(ends, reverse=True):  # from below, none over another
        lowest = min(height + 4, lowest)
        canvas.text((RIGHT + 8, lowest), name, colour, bold=True)
        lowest -= 14


def _grid(
    canvas: Canvas,
    title: str,
    time: Scale,
    value: Scale,
    frame: Frame,
    show: Callable[[float], str],
) -> None:
    canvas.text((LEFT, frame.top - 12), title, size=13, bold=True)
    for tick in value.ticks(4):
        canvas.line([(LEFT, value(tick)), (RIGHT, value(tick))], "grid")
        canvas.text((LEFT - 8, value(tick) + 4), show(tick), "dim", size=11, anchor="end")
    for tick in time.ticks(8):
        canvas.text((time(tick), frame.bottom + 18), f"{tick:g} s", "dim", size=11, anchor="middle")


def _spread(canvas: Canvas, latency: Histogram, frame: Frame) -> None:
    """Latencies on a logarithmic scale, and the percentiles as marks."""
    canvas.text((LEFT, frame.top - 72), "How latencies are spread", size=13, bold=True)
    canvas.line([(LEFT, frame.bottom), (RIGHT, frame.bottom)], "grid")
    if not latency.count:
        return
    low = log(max(latency.shortest, SHORTEST)) - 0.05
    high = log(max(latency.longest, SHORTEST)) + 0.05
    scale = Scale(low, high, LEFT, RIGHT - WORDS)
    heights = [0] * BARS
    for bucket in range(BUCKETS):
        if latency.counts[bucket]:
            at = (bucket + 0.5) / RESOLUTION + log(SHORTEST)
            heights[min(BARS - 1, max(0, int((at - low) / (high - low) * BARS)))] += latency.counts[
                bucket
            ]
    width = (RIGHT - WORDS - LEFT) / BARS
    value = Scale(0, max(heights), frame.bottom, frame.top)
    for number, height in enumerate(heights):
        if height:
            top = min(value(height), frame.bottom - 1)
            corner = (LEFT + number * width + 0.5, top)
            canvas.box(corner, (width - 1, frame.bottom - top), "first")
    last = LEFT - 100
    for seconds in round_times(exp(low), exp(high)):
        if scale(log(seconds)) - last > 50:
            last = scale(log(seconds))
            canvas.text(
                (last, frame.bottom + 18), show_time(seconds), "dim", size=11, anchor="middle"
            )
    _marks(canvas, latency, scale, frame)


def _marks(canvas: Canvas, latency: Histogram, scale: Scale, frame: Frame) -> None:
    """The percentiles, in rows that go down to the right: so no line crosses words."""
    for row, (name, percent) in enumerate(PERCENTILES.items()):
        seconds = latency.percentile(percent)
        at = scale(log(max(seconds, SHORTEST)))
        height = frame.top - 8 - ROW * (len(PERCENTILES) - 1 - row)
        canvas.line([(at, frame.bottom), (at, height - 9)], "second", 1.2)
        canvas.text((at + 4, height), f"{name} {show_time(seconds)}", "second", size=11)


def round_times(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two durations."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    found = [each * 10.0**power for power in powers for each in (1, 2, 5)]
    return [each for each in found if low <= each <= high]


def show_time(seconds: float) -> str:
    """A duration with three digits: ``431 µs``, ``1.24 ms``, ``2.5 s``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size * 0.9995:
            return f"{_three(seconds / size)} {unit}"
    return f"{_three(seconds / 1e-6)} µs" if seconds else "0"


def _three(value: float) -> str:
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.3g}"
