"""``unisock adapters``"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import entry_points
from typing import Any, get_args

import click
import msgspec

from ..errors import ConfigError
from ..registry import Kind, installed, look_up
from .output import EXIT_FAILURE, Command, on_terminal, write_rows

__all__ = ["Part", "command", "parts"]


@dataclass(frozen=True)
class Part:
    """Something that an installed package offers.

    :ivar error: why it cannot be used; `None` if it can
    """

    kind: str
    name: str
    package: str
    version: str
    summary: str = ""
    capabilities: dict[str, Any] = field(default_factory=dict[str, Any])
    error: str | None = None


def parts() -> Iterator[Part]:
    """All that is installed, by kind and name. Imports it, to see whether it can be used."""
    for kind in get_args(Kind):
        origins = {point.name: point.dist for point in entry_points(group=f"unisock.{kind}s")}
        for name in installed(kind):
            origin = origins[name]
            package = (origin.name, origin.version) if origin is not None else ("", "")
            try:
                yield Part(kind, name, *package, *_describe(kind, look_up(kind, name)))
            except (ConfigError, AttributeError, TypeError) as error:
                yield Part(kind, name, *package, error=str(error))


def _describe(kind: str, found: Any) -> tuple[str, dict[str, Any]]:
    summary = (found.__doc__ or "").strip().partition("\n")[0].replace("`", "")
    return summary, msgspec.to_builtins(found.capabilities) if kind == "adapter" else {}


@click.command(
    "adapters",
    cls=Command,
    epilog="""\b
Examples:
  unisock adapters
  unisock adapters | cut -f 1,2
  unisock adapters --json
""",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(as_json: bool) -> None:
    """List the installed adapters with what they can do, and all other parts.

    In a pipe: kind, name, package, version, state and capabilities, with tabs between. The exit
    code is 1 if a part is broken.
    """
    found = [*parts()]
    if as_json:
        click.echo(json.dumps([asdict(part) for part in found], indent=2))
    elif on_terminal(sys.stdout):
        from .tables import show_parts

        show_parts(found)
    else:
        write_rows(_rows(found))
    if any(part.error for part in found):
        raise click.exceptions.Exit(EXIT_FAILURE)


def _rows(found: Sequence[Part]) -> Iterator[tuple[str, ...]]:
    for part in found:
        able = [
            key if value is True else f"{key}={'+'.join(value)}"
            for key, value in part.capabilities.items()
            if value
        ]
        state = f"broken: {part.error}" if part.error else "ok"
        yield part.kind, part.name, part.package, part.version, state, ",".join(able)
