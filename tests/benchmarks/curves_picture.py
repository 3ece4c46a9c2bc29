"""The curves, drawn: on the left what an operation costs, on the right how many there are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from unisock.cli.load.canvas import Canvas, Colour
from unisock.cli.load.picture import Scale

from .curves import Curve, Point

__all__ = ["draw", "size"]

WIDTH, PANEL, GAP = 960, 168, 88
TOP, LEFT, RIGHT = 100.0, 64.0, 940.0
MIDDLE = 56.0
"""Between the two columns, for the numbers of the right one."""
COLOURS: tuple[Colour, ...] = ("first", "second", "dim")

Drawn = Sequence[tuple[Curve, Mapping[str, Sequence[Point]]]]


@dataclass(frozen=True)
class _Panel:
    left: float
    right: float
    top: float

    @property
    def bottom(self) -> float:
        return self.top + PANEL


def size(number: int) -> tuple[int, int]:
    """The width and height of a picture of so many curves."""
    return WIDTH, int(TOP) + number * (PANEL + GAP) - 20


def draw(canvas: Canvas, drawn: Drawn) -> None:
    """Draw all curves, one below the other. Both axes are logarithmic."""
    canvas.box((0, 0), (canvas.width, canvas.height), "paper")
    _legend(canvas, drawn)
    half = (RIGHT - LEFT - MIDDLE) / 2
    for number, (curve, found) in enumerate(drawn):
        top = TOP + number * (PANEL + GAP)
        title = f"{curve.grows[0].upper()}{curve.grows[1:]}"
        canvas.text((LEFT, top - 26), title, size=13, bold=True)
        costs = _Panel(LEFT, LEFT + half, top)
        rates = _Panel(RIGHT - half, RIGHT, top)
        _panel(canvas, costs, curve, found, f"µs for each {curve.each}", lambda p: p.cost)
        _panel(canvas, rates, curve, found, _plural(curve.each) + " a second", lambda p: p.rate)


def _plural(word: str) -> str:
    return {"echo": "echoes", "delivery": "deliveries"}[word]


def _legend(canvas: Canvas, drawn: Drawn) -> None:
    names = list(dict.fromkeys(name for _, found in drawn for name in found))
    canvas.text((LEFT, 34), "How cost grows", size=17, bold=True)
    at = RIGHT - 120.0 * len(names)
    for name, colour in zip(names, COLOURS, strict=False):
        canvas.line([(at, 30), (at + 22, 30)], colour, 2.4)
        canvas.text((at + 28, 34), name, colour, bold=True)
        at += 120


def _panel(
    canvas: Canvas,
    panel: _Panel,
    curve: Curve,
    found: Mapping[str, Sequence[Point]],
    unit: str,
    read: Callable[[Point], float],
) -> None:
    values = [read(point) for known in found.values() for point in known if read(point) > 0]
    if not values:
        return
    low, high = _span(min(values), max(values))
    across = Scale(log10(min(curve.sizes)), log10(max(curve.sizes)), panel.left, panel.right)
    up = Scale(log10(low), log10(high), panel.bottom, panel.top)
    for tick in _ticks(low, high):
        height = up(log10(tick))
        canvas.line([(panel.left, height), (panel.right, height)], "grid")
        canvas.text((panel.left - 6, height + 4), _short(tick), "dim", size=11, anchor="end")
    for tick in curve.sizes:
        canvas.text(
            (across(log10(tick)), panel.bottom + 16),
            _bytes(tick) if curve.name == "bytes" else _short(tick),
            "dim",
            size=11,
            anchor="middle",
        )
    canvas.text((panel.left, panel.top - 8), unit, "dim", size=11)
    for known, colour in zip(found.values(), COLOURS, strict=False):
        line = [(across(log10(point.size)), up(log10(read(point)))) for point in known]
        canvas.line(line, colour, 2)
        for x, y in line:
            canvas.box((x - 2.5, y - 2.5), (5, 5), colour)


def _span(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis: at least a factor of ten, so that noise does not look like a bend."""
    middle = (low * high) ** 0.5
    return min(low / 1.25, middle / 10**0.5), max(high * 1.25, middle * 10**0.5)


def _ticks(low: float, high: float) -> Iterator[float]:
    steps = (1, 2, 5) if high / low < 50 else (1,)
    for power in range(floor(log10(low)), ceil(log10(high)) + 1):
        for step in steps:
            if low <= step * 10.0**power <= high:
                yield step * 10.0**power


def _short(value: float) -> str:
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"


def _bytes(value: int) -> str:
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= factor:
            return f"{value // factor} {unit}"
    return f"{value} B"
