"""``unisock new``"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import shlex
import sys
from collections.abc import Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from string import Template
from typing import Literal, TypeAlias, get_args

import click

import unisock

from ..errors import ConfigError
from ..registry import installed
from .output import Command, on_terminal, paint, say

__all__ = ["command"]

Kind: TypeAlias = Literal["adapter", "plugin"]
Files: TypeAlias = Mapping[PurePosixPath, str]
"""Text by path, relative to the new folder, in the order of a tree."""

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_SUFFIX = ".tmpl"
_PACKAGE = "package"
"""The folder in a template that gets the package's name."""
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@click.command(
    "new",
    cls=Command,
    epilog="""\b
Examples:
  unisock new plugin tally
  unisock new adapter mine --folder adapters/mine
""",
)
@click.argument("kind", type=click.Choice(get_args(Kind)), metavar="adapter|plugin")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Where to write it: a folder that is empty, or does not exist; ./unisock-NAME by default.",
)
def command(kind: Kind, name: str, folder: Path | None) -> None:
    """Write a new adapter or plugin that works, for you to change.

    It is a distribution, unisock-NAME, with its package and tests. It can be installed, and passes
    the conformance suite, as it is. In a pipe: the files that were written, a line each.
    """
    check_name(kind, name)
    folder = folder or Path(f"unisock-{name}")
    files = render(kind, name)
    write(files, folder)
    if on_terminal(sys.stdout):
        _show(files, folder)
    else:
        for path in files:
            click.echo(folder / path)
    pip = "pip" if find_spec("pip") is not None else "uv pip"
    say(f"this {kind} works. To install and test it, type:")
    for line in (f"cd {shlex.quote(str(folder))}", f'{pip} install -e ".[test]"', "pytest"):
        click.echo(f"  {paint(line, sys.stderr, colour='cyan')}", err=True, color=True)


def check_name(kind: Kind, name: str) -> None:
    """See that a distribution, a package and an entry point can have this name.

    :raises ConfigError: they cannot, or others have it already; says what to type instead
    """
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    plain = plain.removeprefix("unisock-") or "tally"
    better = plain if plain[0].isalpha() else f"my-{plain}"
    again = f"unisock new {kind}"
    if name.startswith(("unisock-", "unisock_")):
        raise ConfigError(f"leave out {name[:8]!r}, it is added; type: {again} {better}")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for a distribution and its package: write words of a-z and 0-9, "
            f"with '-' between, and a letter first; type: {again} {better}"
        )
    taken = _taken(name)
    if taken:
        raise ConfigError(f"{taken} already; choose another name; type: {again} my-{name}")


def _taken(name: str) -> str:
    """Who has this name; empty if nobody has."""
    for kind in get_args(Kind):
        if name in installed(kind):
            return f"the {kind} '{name}' is installed"
    try:
        return f"unisock-{name} {version(f'unisock-{name}')} is installed"
    except PackageNotFoundError:
        package = _package(name)
        return f"there is a module {package}" if find_spec(package) is not None else ""


def render(kind: Kind, name: str) -> Files:
    """The files of a new adapter or plugin."""
    values = {
        "name": name,
        "package": _package(name),
        "Class": _class(name),
        "requires": _requirement(unisock.__version__),
        "year": str(date.today().year),
    }
    files: dict[PurePosixPath, str] = {}
    root = _TEMPLATES / kind
    for template in sorted(root.rglob(f"*{_SUFFIX}")):
        parts = [
            values["package"] if part == _PACKAGE else part
            for part in template.relative_to(root).parts
        ]
        path = PurePosixPath(*parts)
        text = Template(template.read_text(encoding="utf-8")).substitute(values)
        files[path.with_name(path.name.removesuffix(_SUFFIX))] = text
    return dict(sorted(files.items()))


def _package(name: str) -> str:
    return f"unisock_{name.replace('-', '_')}"


def _class(name: str) -> str:
    """The class for a name, ``my-tally`` to ``MyTally``; never one that means something else to
    Python, to unisock or to pytest.
    """
    words = "".join(word.capitalize() for word in name.split("-"))
    taken = keyword.iskeyword(words) or hasattr(builtins, words) or hasattr(unisock, words)
    return f"My{words}" if taken or words.startswith("Test") else words


def _requirement(current: str) -> str:
    """What to depend on: before 1.0, a minor version may break things, and later a major one."""
    current = current.partition("+")[0]
    major, minor = (int(number) for number in re.findall(r"\d+", f"{current}.0")[:2])
    return f"unisock>={current},<{major + 1}" if major else f"unisock>={current},<0.{minor + 1}"


def write(files: Files, folder: Path) -> None:
    """Write files into a folder that has none.

    :raises ConfigError: there is something already, or it cannot be written
    """
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise ConfigError(f"the folder {folder} is not empty; name another with --folder")
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder}: {error.strerror}; name another folder with --folder"
        ) from error


def _show(files: Files, folder: Path) -> None:
    """A tree of what was written, with what each module says of itself."""
    from rich.console import Console
    from rich.markup import escape
    from rich.tree import Tree

    tree = Tree(f"[bold]{escape(str(folder))}[/]", guide_style="dim")
    branches = {PurePosixPath(): tree}
    for path, text in files.items():
        for above in reversed(path.parents):
            if above not in branches:
                label = f"[bold]{escape(above.name)}[/]"
                branches[above] = branches[above.parent].add(label)
        label = f"[cyan]{escape(path.name)}[/]"
        if path.suffix == ".py" and (note := ast.get_docstring(ast.parse(text))):
            label += f"  [dim]{escape(note.splitlines()[0])}[/]"
        branches[path.parent].add(label)
    Console(highlight=False).print(tree)
