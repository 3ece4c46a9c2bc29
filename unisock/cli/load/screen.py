"""How a run looks while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from rich.box import ROUNDED
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from .picture import show_time
from .summary import Summary

__all__ = ["ProgressBar", "rows", "show_summary"]


class ProgressBar:
    """Says on standard error how far a run is."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("[bold]{task.fields[rate]}[/]"),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,  # its thread would take time from the load
        )
        self._phase = ""
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def watch(self, phase: str, done: float, rate: float) -> None:
        """Take a step, as a `Watcher`."""
        if phase != self._phase or self._task is None:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._phase = phase
            self._task = self._progress.add_task(phase, total=1.0, rate="")
        words = f"{rate:,.0f} messages/s" if rate else ""
        self._progress.update(self._task, completed=done, rate=words)
        self._progress.refresh()


def show_summary(summary: Summary) -> None:
    """The table for a terminal."""
    table = Table(box=ROUNDED, border_style="dim", show_header=False, title_justify="left")
    table.title = escape(summary.url)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right")
    table.add_row("messages/s", f"[bold]{summary.messages_per_second:,.0f}[/]")
    table.add_row("MB/s each way", f"{summary.megabytes_per_second:,.2f}")
    table.add_row("messages", f"{summary.messages:,}", end_section=not summary.latency)
    for number, (name, value) in enumerate(summary.latency.items(), 1):
        last = number == len(summary.latency)
        table.add_row(f"latency {name}", show_time(value / 1e3), end_section=last)
    table.add_row("connections", f"{summary.opened} of {summary.connections}")
    for name, value in summary.connect.items():
        table.add_row(f"connect {name}", show_time(value / 1e3))
    errors = sum(summary.errors.values())
    table.add_row("errors", f"[bold red]{errors}[/]" if errors else "0")
    Console(highlight=False).print(table)


def rows(summary: Summary) -> Iterator[tuple[str, str, str]]:
    """The same for a pipe: name, value, unit."""
    yield "messages", str(summary.messages), ""
    yield "seconds", f"{summary.seconds:.3f}", "s"
    yield "throughput", f"{summary.messages_per_second:.1f}", "messages/s"
    yield "payload each way", f"{summary.megabytes_per_second:.3f}", "MB/s"
    for name, value in summary.latency.items():
        yield f"latency {name}", f"{value:.4f}", "ms"
    yield "connections", str(summary.opened), f"of {summary.connections}"
    for name, value in summary.connect.items():
        yield f"connect {name}", f"{value:.4f}", "ms"
    yield "errors", str(sum(summary.errors.values())), ""
