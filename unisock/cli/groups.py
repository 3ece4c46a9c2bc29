"""Commands with so many options that their help needs headings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from .output import Command

__all__ = ["GroupedCommand", "Options", "group"]

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


class GroupedOption(click.Option):
    """An option that stands below a heading."""

    def __init__(self, *arguments: Any, heading: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.heading = heading


class GroupedCommand(Command):
    """Lists its options below their headings, in the order in which these first come."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        others: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None or not isinstance(parameter, click.Option):
                continue
            if isinstance(parameter, GroupedOption):
                groups.setdefault(parameter.heading, []).append(record)
            else:
                others.append(record)
        for heading, records in (*groups.items(), ("Other options", others)):
            with formatter.section(heading):
                formatter.write_dl(records)


class Options:
    """Options below one heading: ``@Options("TLS").add("--ca", …)``.

    :param heading: stands above them in the help
    :ivar options: each as a decorator
    """

    def __init__(self, heading: str) -> None:
        self.heading = heading
        self.options: list[Decorator] = []

    def add(self, *names: str, **attributes: Any) -> Options:
        """One more, declared as for `click.option`."""
        self.options.append(
            click.option(*names, cls=GroupedOption, heading=self.heading, **attributes)
        )
        return self


def group(*groups: Options) -> Decorator:
    """Give a command all options of these groups."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        for options in reversed(groups):
            for option in reversed(options.options):
                function = option(function)
        return function

    return decorate
