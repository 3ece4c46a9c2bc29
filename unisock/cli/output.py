"""What commands print: for eyes on a terminal, plain for everything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

import click

__all__ = [
    "EXIT_FAILURE",
    "EXIT_INTERRUPTED",
    "EXIT_USAGE",
    "Command",
    "Context",
    "complain",
    "on_terminal",
    "paint",
    "say",
    "warn",
    "write_rows",
]

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def on_terminal(stream: TextIO) -> bool:
    """Whether a person looks at it."""
    return stream.isatty()


def paint(text: str, stream: TextIO, *, colour: str | None = None, bold: bool = False) -> str:
    """Text in colour where it is seen and wanted; see https://no-color.org."""
    if not on_terminal(stream) or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return click.style(text, fg=colour, bold=bold)


def say(text: str, *, colour: str | None = None) -> None:
    """A remark, on standard error: standard output is for what was asked for."""
    mark = paint("unisock", sys.stderr, colour=colour or "green", bold=True)
    click.echo(f"{mark}: {text}", err=True, color=True)


def warn(text: str) -> None:
    """Something that is allowed, and may not be meant."""
    mark = paint("warning", sys.stderr, colour="yellow", bold=True)
    click.echo(f"{mark}: {text}", err=True, color=True)


def complain(text: str) -> None:
    """Why it ends."""
    say(text, colour="red")


def write_rows(rows: Iterable[Sequence[str]]) -> None:
    """Rows for programs: a line each, cells with a tab between."""
    for row in rows:
        click.echo("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))


class HeadedFormatter(click.HelpFormatter):
    """Help with headings that stand out."""

    def write_heading(self, heading: str) -> None:
        self.write(paint(f"{heading}:", sys.stdout, bold=True) + "\n")

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, paint("Usage:", sys.stdout, bold=True) + " ")


class Context(click.Context):
    """Has such help."""

    formatter_class = HeadedFormatter


class Command(click.Command):
    """A command with such help."""

    context_class = Context
