"""What was found out, for eyes, for scripts, and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click
import msgspec

from ..output import on_terminal, paint, write_rows
from .findings import Finding, Place
from .trying import Outcome

__all__ = ["as_json", "lines_to_add", "show", "show_lines"]

_MARKS = {"ok": ("✓", "green"), "broken": ("✗", "red"), "unknown": ("?", "yellow")}
_HEADINGS: dict[Place, str] = {
    "location": "in the location",
    "server": "in the server block",
    "upstream": "in the upstream block",
}


def show(outcome: Outcome) -> None:
    """One endpoint: in a pipe, a row for each check."""
    if not on_terminal(sys.stdout):
        write_rows(
            (outcome.url, outcome.protocol, each.check, each.state, each.told, " ".join(each.nginx))
            for each in outcome.findings
        )
        return
    behind = f", behind {outcome.server}" if outcome.server else ""
    heading = paint(outcome.url, sys.stdout, bold=True)
    click.echo(f"{heading}  {outcome.protocol}{behind}", color=True)
    for finding in outcome.findings:
        click.echo(f"  {_line(finding)}", color=True)


def _line(finding: Finding) -> str:
    mark, colour = _MARKS[finding.state]
    return f"{paint(mark, sys.stdout, colour=colour)} {finding.check:<14} {finding.told}"


def lines_to_add(outcomes: Sequence[Outcome]) -> dict[Place, list[str]]:
    """All lines that something needs, by the block that they go into; each once."""
    lines: dict[Place, dict[str, None]] = {}
    for outcome in outcomes:
        for finding in outcome.findings:
            if finding.nginx:
                lines.setdefault(finding.place, {}).update(dict.fromkeys(finding.nginx))
    return {place: [*some] for place, some in lines.items()}


def show_lines(lines: dict[Place, list[str]]) -> None:
    """What is to be written into nginx' configuration; rows in a pipe have it already."""
    if not on_terminal(sys.stdout):
        return
    for place, some in lines.items():
        click.echo(f"\n{paint('add to nginx', sys.stdout, bold=True)}, {_HEADINGS[place]}:")
        for line in some:
            click.echo(f"    {paint(line, sys.stdout, colour='cyan')}", color=True)


def as_json(outcomes: Sequence[Outcome]) -> str:
    """All of it, for programs."""
    told = {"endpoints": outcomes, "nginx": lines_to_add(outcomes)}
    return json.dumps(msgspec.to_builtins(told), indent=2, ensure_ascii=False)
