"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, cast

from rich.box import ROUNDED
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

__all__ = ["show_parts", "show_settings"]


class Shown(Protocol):
    """A part, as `show_parts` needs it."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def package(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def capabilities(self) -> dict[str, Any]: ...
    @property
    def error(self) -> str | None: ...


def _table(*headings: str) -> Table:
    table = Table(box=ROUNDED, border_style="dim", header_style="bold", pad_edge=True)
    for heading in headings:
        table.add_column(heading)
    return table


def show_parts(parts: Sequence[Shown]) -> None:
    """Adapters side by side, capability by capability; then all else; then what is broken."""
    console = Console(highlight=False)
    adapters = [part for part in parts if part.kind == "adapter" and not part.error]
    names = dict.fromkeys(name for part in adapters for name in part.capabilities)
    table = _table("capability")
    for part in adapters:
        table.add_column(part.name, justify="center", header_style="bold cyan")
    for name in names:
        table.add_row(
            name.replace("_", " "), *(_cell(part.capabilities.get(name)) for part in adapters)
        )
    console.print(table)
    others = _table("kind", "name", "package", "what it is")
    for part in parts:
        if not part.error:
            package = f"{part.package} [dim]{part.version}[/]"
            others.add_row(
                part.kind, f"[cyan]{escape(part.name)}[/]", package, escape(part.summary)
            )
    console.print(others)
    for part in parts:
        if part.error:
            console.print(f"[bold red]broken[/] {part.kind} [cyan]{escape(part.name)}[/]")
            console.print(Padding(escape(part.error), (0, 0, 0, 2)))


def _cell(value: object) -> str:
    if value is True:
        return "[green]✓[/]"
    names = cast("Sequence[str]", value) if isinstance(value, Sequence) else ()
    return escape("\n".join(names)) or "[dim]–[/]"


def show_settings(rows: Iterable[tuple[str, str, str]]) -> None:
    """Settings with their values and where they were set."""
    table = _table("setting", "value", "set by")
    for key, value, source in rows:
        default = source == "default"
        style = "dim" if default else ""
        name = escape(key) if default else f"[cyan]{escape(key)}[/]"
        table.add_row(name, escape(value), escape(source), style=style)
    Console(highlight=False).print(table)
