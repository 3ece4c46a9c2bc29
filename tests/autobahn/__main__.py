"""Runs Autobahn's fuzzing client against the echo example on each adapter: ``make autobahn``.

    python tests/autobahn --adapter tornado --cases '6.*' 7.1.1

The reports, with a page for each case, go to .tools/autobahn/reports. The exit code is 1 when a
case is not OK, INFORMATIONAL, or NON-STRICT with an explanation in docs/reference/autobahn.md.
"""

import argparse
import logging
import runpy
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import anyio
from client import ClientError, choose, fuzz, known
from report import BEHAVIORS, COMPRESSION, GROUPS, Case, ReportError, explained, faults, read
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from unisock import Server
from unisock.registry import look_up

ROOT = Path(__file__).resolve().parents[2]
ECHO = ROOT / "docs/examples/echo.py"
PAGE = ROOT / "docs/reference/autobahn.md"
REPORTS = ROOT / ".tools/autobahn/reports"

BACKENDS = ("asyncio", "trio")


@dataclass(frozen=True)
class Testee:
    """An adapter with its backend.

    :ivar library: the distribution that reads and writes its frames, or brings them to unisock
    """

    adapter: str
    backend: str
    library: str

    @property
    def title(self) -> str:
        """What it is called on the screen."""
        number = version(self.library)
        if self.library == self.adapter:
            return f"{self.adapter} {number}, {self.backend}"
        return f"{self.adapter} ({self.library} {number}), {self.backend}"

    @property
    def compression(self) -> bool:
        """Whether it can agree to permessage-deflate."""
        offered: bool = look_up("adapter", self.adapter).capabilities.compression
        return offered

    def among(self, cases: Sequence[str]) -> list[str]:
        """The cases that are about something it does."""
        return [
            case for case in cases if self.compression or int(case.split(".")[0]) not in COMPRESSION
        ]

    @property
    def settings(self) -> dict[str, object]:
        """Those of its server."""
        options = {self.adapter: {"compression": True}} if self.compression else {}
        return {
            "adapter": self.adapter,
            "backend": self.backend,
            "listen": {"port": 0},
            "limits": LIMITS,
            "heartbeat": {"interval": 0},  # on a busy machine, the client takes its time
            "options": options,
        }


TESTEES = [
    Testee("websockets", "asyncio", "websockets"),
    Testee("websockets", "trio", "websockets"),
    Testee("tornado", "asyncio", "tornado"),
    Testee("aiohttp", "asyncio", "aiohttp"),
    Testee("asgi", "asyncio", "uvicorn"),
    Testee("picows", "asyncio", "picows"),
]

LIMITS = {
    "message_bytes": 64 << 20,  # it sends 16 MiB
    "fragments": 1 << 17,  # it sends 4 MiB by 64 bytes, and an empty one behind them
}
FAULT, USAGE, INTERRUPTED = 1, 2, 130
STYLES = {"OK": "green", "INFORMATIONAL": "cyan", "NON-STRICT": "yellow", "FAILED": "bold red"}

console = Console(highlight=False)


class Complaints(logging.Handler):
    """Keeps what the server logs as an error: whatever a client sends is no reason for one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(f"the server logged: {self.format(record)}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make autobahn",
        usage="make autobahn ARGS='[--adapter NAME …] [--backend NAME …] [--cases CASE …]'",
    )
    names = dict.fromkeys(testee.adapter for testee in TESTEES)
    parser.add_argument("--adapter", nargs="+", choices=names, help="which to test; default: all")
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, help="default: all")
    usual = [group for group in GROUPS if group not in COMPRESSION]
    parser.add_argument(
        "--cases",
        nargs="+",
        default=[f"{group}.*" for group in usual],
        metavar="CASE",
        help=f"ids, or patterns such as 6.*; default: the groups {', '.join(map(str, usual))}. "
        "12.* and 13.* are about compression, and take half an hour for an adapter that has it",
    )
    options = parser.parse_args()
    testees = [
        testee
        for testee in TESTEES
        if testee.adapter in (options.adapter or names)
        and testee.backend in (options.backend or BACKENDS)
    ]
    if not testees:
        parser.error("none of these adapters runs on that backend")
    try:
        cases = choose(options.cases, known())
    except ClientError as error:
        parser.error(str(error))
    plan = {testee: own for testee in testees if (own := testee.among(cases))}
    if not plan:
        parser.error("all of these cases are about compression, which none of these adapters has")
    wrong = 0
    for testee, own in plan.items():
        try:
            wrong += anyio.run(test, testee, own, backend=testee.backend)
        except* (ClientError, ReportError) as group:
            wrong += 1
            for error in group.exceptions:
                shown = Text(f"{testee.title}: {error}", "bold red")
                console.print(shown, soft_wrap=True)
    if wrong:
        console.print(Text(f"{wrong} {'fault' if wrong == 1 else 'faults'}", "bold red"))
        return FAULT
    console.print(Text("no faults", "bold green"))
    return 0


async def test(testee: Testee, chosen: Sequence[str]) -> int:
    """Run the cases on one adapter, and show what came of it; the number of faults."""
    name = f"{testee.adapter}-{testee.backend}"
    folder = REPORTS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    title = testee.title
    server: Server = runpy.run_path(str(ECHO))["server"]
    server.override("autobahn", testee.settings)
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    try:
        async with anyio.create_task_group() as group:
            addresses = await group.start(server.serve)
            url = f"ws://127.0.0.1:{addresses[0].port}/echo"
            with Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            ) as progress:
                await fuzz(url, chosen, name, folder, shower(progress, title, len(chosen)))
            group.cancel_scope.cancel()
    finally:
        logging.getLogger().removeHandler(complaints)
    cases = read(folder, name)
    console.print(table(title, cases))
    for case in cases:
        if case.behavior in BEHAVIORS[1:]:
            about = f"{case.id} {case.behavior}: see {PAGE.relative_to(ROOT)}"
            console.print(Text(about, STYLES[case.behavior]))
    wrong = [*faults(cases, chosen, explained(PAGE.read_text(), testee.adapter)), *complaints.heard]
    for fault in wrong:
        console.print(Text(fault, "bold red"), soft_wrap=True)
    console.print(f"{folder / 'index.html'} shows each case\n", soft_wrap=True)
    return len(wrong)


def shower(progress: Progress, title: str, total: int) -> Callable[[str], None]:
    """What shows which case begins: in the bar on a terminal, else a line for each group."""
    task = progress.add_task(title, total=total)
    begun = Counter[str]()

    def step(case: str) -> None:
        group = case.partition(".")[0]
        begun[group] += 1
        if console.is_terminal:
            done = begun.total() - 1
            progress.update(task, completed=done, description=f"{title}: {case}")
        elif begun[group] == 1:
            console.print(f"{title}: group {group}")

    return step


def table(title: str, cases: Sequence[Case]) -> Table:
    """How many cases of each group behaved how."""
    drawn = Table(title=title, title_justify="left", show_footer=True)
    drawn.add_column("group", footer="all")
    columns = [*BEHAVIORS, "FAILED"]
    counts = {number: Counter[str]() for number in sorted({case.group for case in cases})}
    for case in cases:
        counts[case.group][case.behavior if case.behavior in BEHAVIORS else "FAILED"] += 1
    for name in columns:
        total = sum(count[name] for count in counts.values())
        drawn.add_column(name, cell(name, total), justify="right")
    drawn.add_column("seconds", f"{sum(c.seconds for c in cases):.1f}", justify="right")
    for number, count in counts.items():
        seconds = sum(case.seconds for case in cases if case.group == number)
        drawn.add_row(
            f"{number} {GROUPS.get(number, '')}",
            *(cell(name, count[name]) for name in columns),
            f"{seconds:.1f}",
        )
    return drawn


def cell(behavior: str, number: int) -> Text:
    """A number, coloured if there is any."""
    return Text(str(number), STYLES[behavior] if number else "dim")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except* KeyboardInterrupt:
        sys.exit(INTERRUPTED)
