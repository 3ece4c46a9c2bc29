"""What the benchmarks make of measurements: ratios, goals, tables, pages, frames."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from unisock.cli.load.canvas import SvgCanvas
from unisock.frames import FrameReader, unmask

from . import curves, curves_picture, page
from .__main__ import chosen, parse
from .goals import Bound, Goal, compare, within
from .report import lines, markdown, score
from .rows import Part, Row, parts
from .running import Measured, Outcome
from .sides import LIMIT, ROOT, bare, unisock
from .wires import PLAIN, SOCKETIO, SOCKJS, frame, reply_size
from .workloads import Echo, Sample

OURS, THEIRS = unisock(), bare("picows")


def measured(
    ours: list[float], theirs: list[float], *goals: Goal | Bound, busy: float = 0.5
) -> tuple[Part, list[Measured]]:
    row = Row("echo", Echo(1), [OURS, THEIRS], goals)
    sides = ((OURS, ours), (THEIRS, theirs))
    outcomes = {
        side: Outcome([Sample(cost, 1000.0, 2.0, busy) for cost in costs]) for side, costs in sides
    }
    return Part("part", "A part", [row]), [Measured(row, outcomes)]


def test_a_ratio_is_the_median_within_rounds() -> None:
    # The second round was a slow one for both: medians of each side would say 10/10.
    found = compare("other", [5, 30, 10], [10, 60, 5])
    assert found is not None
    assert (found.ratio, found.low, found.high) == (0.5, 0.5, 1.25)


def test_rounds_that_only_one_side_took_part_in_do_not_count() -> None:
    found = compare("other", [5, 5, 1000], [10, 10])
    assert found is not None
    assert found.ratio == 0.5
    assert compare("other", [5], []) is None


@pytest.mark.parametrize(
    ("value", "at_most", "good"),
    [(0.4504, 0.45, True), (0.451, 0.45, False), (1 / 18, 1 / 18, True), (20.4, 20, False)],
)
def test_goals_are_as_precise_as_they_are_written(value: float, at_most: float, good: bool) -> None:
    assert within(value, at_most) is good


def test_goals_are_judged_and_shown() -> None:
    goals = [Goal(THEIRS.name, 0.5), Bound(3), Bound(2, stretch=True)]
    part, results = measured([4.0, 4.0], [10.0, 10.0], *goals)
    judged = score(part, results)
    assert judged.met == 1
    assert judged.missed == ("part: echo, unisock: at most 3 µs",)
    ours = markdown(part, results).splitlines()[2]
    assert "at most 3 µs ✗" in ours
    assert "0.4 × bare picows, at most 0.5 ✓" in ours
    assert ours.startswith("| echo | **unisock** | 4.00 µs | 1,000 |")


def test_a_goal_that_is_out_of_reach_says_so() -> None:
    for limit, told in ((6.0, "0.8 × bare picows, at most 0.5; C limit: 0.6 ✗"), (4.0, "0.5 ✗")):
        part, results = measured([8.0], [10.0], Goal(THEIRS.name, 0.5))
        results[0].outcomes[LIMIT] = Outcome([Sample(limit, 1000.0, 2.0, 0.5)])
        assert told in markdown(part, results).splitlines()[2]


def test_a_load_that_was_too_busy_is_marked() -> None:
    for busy, mark in ((0.89, False), (0.91, True)):
        found = [line.busy for line in lines(*measured([1.0], [1.0], busy=busy))]
        assert all(("⚠" in text) is mark for text in found)


def test_a_side_that_failed_says_why_and_is_compared_with_nobody() -> None:
    part, results = measured([1.0], [2.0], Goal(THEIRS.name, 1.0))
    results[0].outcomes[THEIRS] = Outcome(failure="the server has hung up\nTraceback")
    assert score(part, results) == score(part, [])
    assert markdown(part, results).splitlines()[3].count("the server has hung up |") == 1


def test_every_goal_is_about_sides_that_are_there() -> None:
    for part in parts():
        for row in part.rows:
            names = {side.name for side in row.sides}
            for goal in row.goals:
                assert goal.ours in names, row.name
                assert not isinstance(goal, Goal) or goal.than in names, row.name


def test_adapters_and_rows_can_be_chosen() -> None:
    options = parse(["--adapters", "tornado", "--no-node"])
    kinds = {side.kind for part in chosen(options) for row in part.rows for side in row.sides}
    assert "npm" not in kinds
    names = [row.name for part in chosen(options) if part.name == "adapters" for row in part.rows]
    assert names
    assert all(name.startswith("tornado: ") for name in names)
    assert [part.name for part in chosen(parse(["--rows", "16 KiB"]))] == ["websocket"]


def test_figures_replace_those_between_their_markers() -> None:
    text = "a\n<!-- bench: x -->\nold\n<!-- end -->\nb\n<!-- bench: y -->\n<!-- end -->\n"
    once = page.replace(text, "x", "new")
    assert once.startswith("a\n<!-- bench: x -->\n\nnew\n\n<!-- end -->\nb\n<!-- bench: y -->")
    assert page.replace(once, "x", "new") == once
    with pytest.raises(page.PageError, match="bench: z"):
        page.replace(text, "z", "new")


def test_the_page_has_a_place_for_all_figures() -> None:
    text = (ROOT / "docs" / "explanation" / "performance.md").read_text(encoding="utf-8")
    for name in ("machine", "core", "curves", *(part.name for part in parts())):
        page.replace(text, name, "")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_can_be_read(size: int) -> None:
    reader = FrameReader(1 << 20, 10, unmask)
    reader.feed(frame(b"x" * size))
    assert reader.next() == (1, "x" * size)
    assert reader.next() is None
    assert reply_size("x" * size) == len(frame(b"x" * size)) - 4


def test_wires_say_what_their_protocols_say() -> None:
    assert SOCKJS.message("/echo", 3) == frame(b'["xxx"]')
    assert SOCKJS.reply("/echo", 3) == reply_size('a["xxx"]')
    assert SOCKETIO.message("/broadcast", 3) == frame(b'42["spread","xxx"]')
    assert SOCKETIO.reply("/broadcast", 3) == reply_size('42["news","xxx"]')
    first, *_, last = PLAIN.visit(8000, "/async")
    assert first.send.startswith(b"GET /async HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n")
    assert last.send == frame(b"\x03\xe8", 8)


def test_curves_are_drawn(tmp_path: Path) -> None:
    drawn: list[tuple[curves.Curve, dict[str, list[curves.Point]]]] = []
    for curve in curves.curves(1000):
        samples = [Outcome([Sample(10.0 + n, 1000.0)]) for n in range(len(curve.sizes))]
        results = [
            Measured(row, dict.fromkeys(row.sides, outcome))
            for row, outcome in zip(curve.part.rows, samples, strict=True)
        ]
        drawn.append((curve, curves.points(curve, results)))
    canvas = SvgCanvas(*curves_picture.size(len(drawn)))
    curves_picture.draw(canvas, drawn)
    canvas.save(tmp_path / "curves.svg")
    picture = ElementTree.parse(tmp_path / "curves.svg")
    drawn_lines = [
        line
        for line in picture.iter("{http://www.w3.org/2000/svg}polyline")
        if line.get("stroke") != "var(--grid)"
    ]
    # Two panels for each curve, with a line for each side; and the legend.
    assert len(drawn_lines) == 2 * (3 + 3 + 2 + 1) + 3
    assert "| 100 | 12.0 | 1,000 | 12.0 | 1,000 |" in curves.markdown(*drawn[0])
