"""The options by which commands change settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import click

from ..config import from_text, merge
from ..errors import ConfigError
from ..launch import overrides
from ..server import Server

__all__ = ["Options", "apply", "as_arguments", "server_options", "workers_option"]

Options: TypeAlias = Mapping[str, Any]
"""What `server_options` gave, by name; `None` where nothing was given."""
Function: TypeAlias = Callable[..., None]

_OPTIONS = (
    click.option("--adapter", metavar="NAME", help="Who owns the socket; see `unisock adapters`."),
    click.option("--backend", type=click.Choice(["asyncio", "trio"]), help="The event loop."),
    click.option("--host", help="The name or address to listen on."),
    click.option(
        "--port", type=click.IntRange(0, 65535), help="The port to listen on; 0 takes a free one."
    ),
    click.option("--unix", metavar="PATH", help="Listen on this Unix socket instead."),
    click.option(
        "--set",
        "assignments",
        metavar="KEY=VALUE",
        multiple=True,
        help="Any other setting, by its path: --set limits.message_bytes=4096.",
    ),
)


workers_option = click.option(
    "--workers", metavar="N", help="Processes that share the port; auto for one for each CPU."
)
"""For commands that can serve with several processes."""


def server_options(command: Function) -> Function:
    """Give a command the options that `apply` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def apply(server: Server, options: Options) -> None:
    """Put what the command line says above all other settings.

    :raises click.UsageError: a ``--set`` is no assignment
    """
    named = overrides({key: value for key, value in options.items() if key != "assignments"})
    if named:
        server.override("command line", named)
    assigned: dict[str, Any] = {}
    for assignment in options.get("assignments", ()):
        key, equals, text = assignment.partition("=")
        path = [part.strip() for part in key.split(".")]
        if not equals or not all(path):
            raise click.UsageError(
                f"--set {assignment}: write it as KEY=VALUE, such as limits.message_bytes=4096"
            )
        try:
            merge(assigned, from_text(path, text))
        except ConfigError as error:
            raise ConfigError(f"--set {key}: {error}", key=error.key) from error
    if assigned:
        server.override("command line, --set", assigned)


def as_arguments(options: Options) -> list[str]:
    """The options as they were typed, for a process that is to be started with the same."""
    arguments: list[str] = []
    for name, value in options.items():
        if name == "assignments":
            arguments += [f"--set={assignment}" for assignment in value]
        elif value is not None:
            arguments.append(f"--{name}={value}")
    return arguments
