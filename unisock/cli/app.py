"""The commands by name, and what an exit code means."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from ..errors import ConfigError, UnisockError
from ..registry import installed, look_up
from .output import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_USAGE, Context, complain

__all__ = ["run", "unisock"]

COMMANDS = {
    "serve": "Serve an application.",
    "demo": "Serve a chat, to see unisock at work.",
    "check": "Show the settings in force, or what a proxy gets wrong.",
    "adapters": "List the installed adapters and what they can do.",
    "connect": "Talk to a WebSocket, at a terminal or in a pipe.",
    "bench": "Measure throughput and latency of a WebSocket that echoes.",
    "new": "Write a new adapter or plugin that works.",
}
"""Each command with its line in the list, so that the list needs no command imported."""


class Commands(click.Group):
    """Imports a command when it is asked for.

    Packages add commands by the entry-point group ``unisock.commands``: a function that is given
    `target.load`, and returns a `click.Command`.
    """

    context_class = Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *[name for name in installed("command") if name not in COMMANDS]]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module = import_module(f".{cmd_name.replace('-', '_')}", __package__)
            command: click.Command = module.command
        elif cmd_name in installed("command"):
            from .target import load  # and with it the server

            command = look_up("command", cmd_name)(load)
            command.context_class = Context
        else:
            return None
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            close = difflib.get_close_matches(args[0], known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there is: {', '.join(known)}"
            ctx.fail(f"no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [*COMMANDS.items()]
        for name in self.list_commands(ctx)[len(COMMANDS) :]:
            try:
                command = self.get_command(ctx, name)
                rows.append((name, command.get_short_help_str(60) if command else ""))
            except ConfigError as error:
                rows.append((name, f"Broken: {error}"))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  unisock demo --adapter tornado
  unisock serve app:server --port 8001
  unisock check app:server
  unisock adapters --json
  unisock new plugin tally

\b
Exit codes:
  0    all went well
  1    it failed: the application raised, a part is broken
  2    it was not asked for rightly: wrong usage, wrong configuration
  130  interrupted before it began to serve
""",
)
@click.version_option(package_name="unisock", message="%(prog)s %(version)s")
def unisock() -> None:
    """Write a real-time application once; choose by configuration who owns the socket."""


def run(arguments: Sequence[str] | None = None) -> None:
    """Run a command; whatever happens becomes an exit code, and one line on standard error."""
    try:
        code = unisock.main(
            None if arguments is None else [*arguments], "unisock", standalone_mode=False
        )
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except ConfigError as error:
        complain(str(error))
        code = EXIT_USAGE
    except UnisockError as error:
        complain(str(error))
        code = EXIT_FAILURE
    except (click.Abort, KeyboardInterrupt):
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read has seen enough. Python would complain once more while it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_FAILURE
    raise SystemExit(code if isinstance(code, int) else 0)
