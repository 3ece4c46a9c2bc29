"""Compares unisock with what is beneath it and with its peers: ``make bench``."""

import argparse
import os
import resource
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace as changed

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from unisock.cli.load.canvas import SvgCanvas

from . import curves, curves_picture, page
from .core_costs import COSTS, judged
from .load import Load, LoadError
from .native import best_load
from .report import markdown, score, table
from .rows import ADAPTERS, EMULATED_ON, Part, parts
from .running import Effort, Measured, count, measure
from .sides import load_core, missing_node

CORE, CURVES = "core", "curves"
WIDTH = 150
"""Columns where there is no terminal to ask."""
NOISY = 0.1
"""The part of the cores above which others disturb a measurement."""
EPILOG = """\
examples:
  make bench ARGS=--quick
  make bench ARGS="--only websocket --rows broadcast --rounds 16"
  make bench ARGS="--only sockjs adapters --adapters picows tornado"
  make bench ARGS=--write

The server has one core and the load another. Costs are the server's CPU, of all its threads, for
an operation. Sides take turns, in random order within each round; a figure is the median over
rounds, and a ratio is the median of the ratios within each round, with its quartiles. Where the
load's core was over 90 % busy, the row is marked: the server may have been faster than the load.
"""


class Bench:
    """One run: what is asked for, and what has come of it so far."""

    def __init__(self, options: argparse.Namespace, effort: Effort, load: Load) -> None:
        self.effort = effort
        self.failures: list[str] = []
        self.missed: list[str] = []
        self.met = 0
        self.others: list[float] = []
        self._load = load
        self._options = options
        terminal = sys.stdout.isatty()
        self._console = Console(width=None if terminal else WIDTH)

    def run(self) -> None:
        if asked_for(self._options, CORE):
            self._core()
        for part in chosen(self._options):
            self._part(part)
        if asked_for(self._options, CURVES):
            self._curves()

    def record(self, name: str, figures: str) -> None:
        """Put figures into the documentation, if that is asked for.

        :raises page.PageError: it has no place for them
        """
        if self._options.write:
            text = page.replace(page.PAGE.read_text(encoding="utf-8"), name, figures)
            page.PAGE.write_text(text, encoding="utf-8")

    @property
    def noise(self) -> str:
        """How quiet the machine was."""
        if not self.others:
            return ""
        usual = statistics.median(self.others)
        often = sum(part > NOISY for part in self.others) / len(self.others)
        advice = " Measure again when it is quiet." if often > 0.5 else ""
        return (
            f"Others had {usual:.0%} of the two cores, and over {NOISY:.0%} in {often:.0%} of the "
            f"measurements.{advice}"
        )

    def close(self) -> int:
        """Say how it went; the exit code. A goal that is missed is no failure."""
        say = self._console.print
        if self.others:
            say(self.noise)
        say(f"{self.met} goals met, {len(self.missed)} missed")
        for text in self.missed:
            say(f"  [red]✗[/] {text}", highlight=False)
        for text in self.failures:
            say(f"[red]failed:[/] {text}", highlight=False)
        return 1 if self.failures else 0

    def _core(self) -> None:
        drawn = Table(title="The core alone, in process", title_justify="left")
        drawn.add_column("")
        drawn.add_column("µs", justify="right")
        drawn.add_column("goal", justify="right")
        rows = ["| | µs | at most |", "|---|--:|--:|"]
        for name, (_, most) in COSTS.items():
            seconds, good = judged(name)
            mark = "✓" if good else "✗"
            shown, goal = f"{seconds * 1e6:.2f}", f"{most * 1e6:g} {mark}"
            drawn.add_row(name, shown, f"[{'green' if good else 'red'}]{goal}[/]")
            rows.append(f"| {name} | {shown} | {goal} |")
            self.met += good
            if not good:
                self.missed.append(f"{name}: {shown} µs, at most {most * 1e6:g}")
        self._console.print(drawn)
        self.record(CORE, "\n".join(rows))

    def _part(self, part: Part) -> None:
        results = self._measure(part)
        self._console.print(table(part, results))
        self.record(part.name, markdown(part, results))
        judged = score(part, results)
        self.met += judged.met
        self.missed += judged.missed

    def _curves(self) -> None:
        drawn: list[tuple[curves.Curve, dict[str, list[curves.Point]]]] = []
        for curve in curves.curves(self.effort.many):
            results = self._measure(curve.part)
            self._console.print(table(curve.part, results))
            drawn.append((curve, curves.points(curve, results)))
        self.record(CURVES, "\n\n".join(curves.markdown(*each) for each in drawn))
        if self._options.write:
            canvas = SvgCanvas(*curves_picture.size(len(drawn)))
            curves_picture.draw(canvas, drawn)
            canvas.save(page.PICTURE)

    def _measure(self, part: Part) -> list[Measured]:
        with Progress(
            TextColumn("{task.fields[part]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            transient=True,
        ) as progress:
            task = progress.add_task("", total=count(part, self.effort), part=part.name)
            begun = 0

            def step(text: str) -> None:
                nonlocal begun
                progress.update(task, completed=begun, description=text)
                begun += 1

            results = measure(part, self.effort, self._load, step)
        for result in results:
            for side, outcome in result.outcomes.items():
                self.others += [one.others for one in outcome.samples if one.others is not None]
                if outcome.failure and not outcome.missing:
                    self.failures.append(f"{result.row.name}, {side.name}: {outcome.failure}")
        return results


def asked_for(options: argparse.Namespace, name: str) -> bool:
    """Whether a part is to be measured. Rows can be chosen only where there are any."""
    if name in (CORE, CURVES) and options.rows:
        return False
    return not options.only or name in options.only


def chosen(options: argparse.Namespace) -> list[Part]:
    """The tables, with the rows that are asked for."""
    adapters = options.adapters
    emulated = adapters or (("picows",) if options.quick else EMULATED_ON)
    found: list[Part] = []
    for part in parts(adapters, emulated):
        rows = [row for row in part.rows if options.rows.lower() in row.name.lower()]
        if options.no_node:
            rows = [
                changed(row, sides=[side for side in row.sides if side.kind != "npm"])
                for row in rows
            ]
        if rows and asked_for(options, part.name):
            found.append(changed(part, rows=rows))
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for; a mistake ends the program."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=…",
        description=(__doc__ or "").strip(),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [CORE, *(part.name for part in parts()), CURVES]
    add = parser.add_argument
    add("--quick", action="store_true", help="one short round: under three minutes in all")
    add("--only", nargs="+", choices=names, metavar="PART", help=f"of: {', '.join(names)}")
    add("--rows", default="", metavar="TEXT", help="only rows with this in their name")
    of = f"of: {', '.join(ADAPTERS)}"
    add("--adapters", nargs="+", choices=ADAPTERS, metavar="NAME", default=(), help=of)
    add("--rounds", type=int, metavar="N", help="8 by default")
    add("--seconds", type=float, metavar="S", help="of each measurement; 0.5 by default")
    add("--no-node", action="store_true", help="without npm's servers")
    add("--write", action="store_true", help="write the figures into docs/explanation")
    options = parser.parse_args(arguments)
    if (options.rounds or 1) < 1 or (options.seconds or 1) <= 0:
        parser.error("--rounds and --seconds must be more than 0")
    if options.write and options.rows:
        parser.error("--write writes whole tables: leave --rows out")
    return options


def effort_of(options: argparse.Namespace) -> Effort:
    """How much is to be measured."""
    usual = Effort(1, 0.2, 0.1, 1000) if options.quick else Effort(8, 0.5, 0.5, 10_000)
    return changed(
        usual,
        rounds=options.rounds or usual.rounds,
        seconds=options.seconds or usual.seconds,
    )


def allow_files(number: int) -> None:
    """Let this process, and those that it starts, open so many files.

    :raises LoadError: the system does not allow it
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, max(hard, number)))
        except (ValueError, OSError):
            raise LoadError(
                f"{number} files must be open at a time, and {hard} may; type: ulimit -n {number}"
            ) from None


def main() -> int:
    options = parse()
    if sys.platform != "linux":
        print("the benchmarks need Linux, for its epoll and its /proc", file=sys.stderr)
        return 2
    effort = effort_of(options)
    sides = [side for part in chosen(options) for row in part.rows for side in row.sides]
    if any(side.kind == "npm" for side in sides) and missing_node():
        print(f"{missing_node()}, or leave npm's servers out with --no-node", file=sys.stderr)
        return 2
    try:
        allow_files(effort.many + 1000)
        load = best_load()
        os.sched_setaffinity(0, load_core)
        bench = Bench(options, effort, load)
        print(f"{effort.rounds} rounds of {effort.seconds} s. {page.machine(load)}\n")
        bench.run()
        if not options.only:
            said = f"{page.machine(load)} {bench.noise}"
            bench.record("machine", f"`{page.command()}`: {said}")
        return bench.close()
    except (LoadError, page.PageError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
