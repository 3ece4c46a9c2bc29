"""Tables of what was measured: for a terminal, and as Markdown."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from .goals import Bound, Comparison, Goal, compare, within
from .rows import Part, Row
from .running import Measured, Outcome
from .sides import LIMIT, Side

__all__ = ["Line", "Score", "lines", "markdown", "score", "table"]

TOO_BUSY = 0.9
"""Where the load was busy for more of the time, the server may have been faster than it."""
MANY = 4
"""Rounds from which on quartiles say something."""


@dataclass(frozen=True)
class Line:
    """One side of a row, in words.

    :ivar verdicts: of ours: comparisons and bounds, each with whether its goal is met
    :ivar busy: of the load's core; marked where it was too much
    """

    row: str
    side: str
    ours: bool
    cost: str
    beside: str
    verdicts: tuple[tuple[str, bool | None], ...]
    load_us: str
    busy: str
    failure: str = ""


@dataclass(frozen=True)
class Score:
    """How many goals were met, and which were not."""

    met: int
    missed: tuple[str, ...]


def lines(part: Part, results: Sequence[Measured]) -> Iterator[Line]:
    """All lines of a table."""
    for result in results:
        for side, outcome in result.outcomes.items():
            yield _line(part, result, side, outcome)


def score(part: Part, results: Sequence[Measured]) -> Score:
    """The goals of a table."""
    met, missed = 0, list[str]()
    for line in lines(part, results):
        for text, good in line.verdicts:
            if good is False:
                missed.append(f"{part.name}: {line.row}, {line.side}: {text}")
            met += good is True
    return Score(met, tuple(missed))


def _line(part: Part, result: Measured, side: Side, outcome: Outcome) -> Line:
    row, samples = result.row, outcome.samples
    if outcome.failure or not samples:
        return Line(row.name, side.name, side.ours, "–", "", (), "", "", outcome.failure)
    loads = [one.load_us for one in samples if one.load_us is not None]
    busy = [one.busy for one in samples if one.busy is not None]
    beside = [one.beside for one in samples if one.beside is not None]
    return Line(
        row.name,
        side.name,
        side.ours,
        f"{digits(statistics.median(one.cost for one in samples))} {row.unit}",
        f"{statistics.median(beside):,.0f}" if beside else "",
        tuple(_verdicts(result, side)) if side.ours else (),
        f"{digits(statistics.median(loads))} µs" if loads else "",
        _busy(statistics.median(busy)) if busy else "",
    )


def _busy(part: float) -> str:
    return f"{part:.0%}" + (" ⚠" if part > TOO_BUSY else "")


def _verdicts(result: Measured, side: Side) -> Iterator[tuple[str, bool | None]]:
    costs = [one.cost for one in result.outcomes[side].samples]
    for goal in result.row.goals:
        if isinstance(goal, Bound) and goal.ours == side.name:
            good = within(statistics.median(costs), goal.at_most)
            words = "stretch: " if goal.stretch else ""
            text = f"{words}at most {goal.at_most:g} {result.row.unit}"
            yield text, None if goal.stretch and not good else good
    for comparison in _comparisons(result, side, costs):
        words = _words(comparison, len(costs))
        if comparison.met is False:
            words += _out_of_reach(result, comparison)
        yield words, comparison.met


def _out_of_reach(result: Measured, missed: Comparison) -> str:
    """What the server in C comes to, where that is more than the goal, too."""
    costs = {
        side.name: [one.cost for one in outcome.samples]
        for side, outcome in result.outcomes.items()
    }
    limit = compare(missed.than, costs.get(LIMIT.name, []), costs[missed.than], missed.goal)
    if limit is None or limit.met or missed.than == LIMIT.name:
        return ""
    return f"; {LIMIT.name}: {limit.ratio:.3g}"


def _comparisons(result: Measured, side: Side, costs: Sequence[float]) -> Iterator[Comparison]:
    goals = {
        goal.than: goal
        for goal in result.row.goals
        if isinstance(goal, Goal) and goal.ours == side.name
    }
    for other, outcome in result.outcomes.items():
        variant = other.ours or side.path is not None  # of interest only beside the usual way
        if other is side or (variant and other.name not in goals):
            continue
        theirs = [one.cost for one in outcome.samples]
        found = compare(other.name, costs, theirs, goals.get(other.name))
        if found is not None:
            yield found


def _words(found: Comparison, rounds: int) -> str:
    spread = f" ({found.low:.3g}–{found.high:.3g})" if rounds >= MANY else ""
    goal = f", at most {_fraction(found.goal.at_most)}" if found.goal else ""
    return f"{found.ratio:.3g}{spread} × {found.than}{goal}"


def _fraction(value: float) -> str:
    """As the goals are written: 1/18, 0.45."""
    return f"1/{1 / value:.0f} ({value:.3g})" if value < 0.2 else f"{value:g}"


def digits(value: float) -> str:
    """Three digits, at most three after the point."""
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.0995 else f"{value:.3f}"


def table(part: Part, results: Sequence[Measured]) -> Table:
    """For a terminal."""
    drawn = Table(title=part.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("")
    drawn.add_column("", no_wrap=True)
    for heading in (part.cost, part.beside):
        drawn.add_column(heading, justify="right", no_wrap=True)
    drawn.add_column("compared, and the goal", no_wrap=True)
    loaded = any(line.load_us for line in lines(part, results))
    for heading in ("load", "busy") if loaded else ():
        drawn.add_column(heading, justify="right", no_wrap=True)
    before: Row | None = None
    for result in results:
        for line in lines(part, [result]):
            if result.row is not before and before is not None:
                drawn.add_section()
            drawn.add_row(
                line.row if result.row is not before else "",
                Text(line.side, "bold" if line.ours else ""),
                line.cost,
                line.beside,
                _coloured(line),
                *_of_the_load(line, loaded),
            )
            before = result.row
    return drawn


def _of_the_load(line: Line, shown: bool) -> tuple[Text, ...]:
    if not shown:
        return ()
    return Text(line.load_us), Text(line.busy, "yellow" if "⚠" in line.busy else "dim")


def _coloured(line: Line) -> Text:
    if line.failure:
        return Text(line.failure.partition("\n")[0], "red")
    drawn = Text()
    for number, (text, good) in enumerate(line.verdicts):
        drawn.append("\n" if number else "")
        drawn.append(_marked(text, good), {True: "green", False: "red", None: ""}[good])
    return drawn


def _marked(text: str, good: bool | None) -> str:
    return text + {True: " ✓", False: " ✗", None: ""}[good]


def markdown(part: Part, results: Sequence[Measured]) -> str:
    """For the documentation."""
    loaded = any(line.load_us for line in lines(part, results))
    headings = ["", "", part.cost, part.beside, "compared, and the goal"]
    if loaded:
        headings += ["load", "busy"]
    drawn = [_cells(headings), "|---|---|--:|--:|---|" + ("--:|--:|" if loaded else "")]
    before = ""
    for line in lines(part, results):
        verdicts = "<br>".join(_marked(text, good) for text, good in line.verdicts)
        cells = [
            line.row if line.row != before else "",
            f"**{line.side}**" if line.ours else line.side,
            line.cost,
            line.beside,
            line.failure.partition("\n")[0] or verdicts,
        ]
        drawn.append(_cells([*cells, line.load_us, line.busy] if loaded else cells))
        before = line.row
    return "\n".join(drawn)


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
