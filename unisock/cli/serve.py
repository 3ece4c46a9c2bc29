"""``unisock serve``"""

from __future__ import annotations

from typing import Any

import click

from .. import launch
from .options import apply, as_arguments, server_options, workers_option
from .output import Command
from .target import load_server, source_folder

__all__ = ["command"]


@click.command(
    "serve",
    cls=Command,
    epilog="""\b
Examples:
  unisock serve app:server
  unisock serve shop/live.py --adapter tornado --port 8001 --reload
  unisock serve app:server --workers auto
  unisock serve app --set limits.message_bytes=4096 --set origins=https://example.com
""",
)
@click.argument("target", metavar="MODULE:SERVER")
@server_options
@workers_option
@click.option("--reload", is_flag=True, help="Start anew when a *.py file or unisock.toml changes.")
def command(target: str, reload: bool, **options: Any) -> None:
    """Serve the application in a module or a .py file.

    SERVER is the name of its unisock.Server there, `server` unless given. SIGINT and SIGTERM let
    clients leave in good order; a second one stops at once. With several workers, SIGHUP replaces
    one after the other.
    """
    if reload:
        from .reload import keep_serving

        keep_serving(["serve", *as_arguments(options), "--", target], source_folder(target))
        return
    server = load_server(target)
    apply(server, options)
    launch.run(server, ())
