"""Finding the server that ``MODULE:server`` means."""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback
from collections.abc import Iterable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import click

from ..errors import ConfigError, UnisockError
from ..server import Server
from .output import EXIT_FAILURE, EXIT_USAGE, complain

__all__ = ["example", "load", "load_file", "load_server", "source_folder"]

ATTRIBUTE = "server"
_HERE = Path(__file__).resolve().parent
_EXAMPLES = (_HERE / "examples", _HERE.parents[1] / "docs" / "examples")
"""In an installed package, and in a clone."""


class TargetError(click.ClickException):
    """Nothing to serve was found."""

    exit_code = EXIT_USAGE

    def show(self, file: object = None) -> None:
        complain(self.message)


class ApplicationError(click.ClickException):
    """The application raised while it was imported; what it raised is shown."""

    exit_code = EXIT_FAILURE

    def __init__(self, target: str, error: BaseException) -> None:
        super().__init__(f"{target} cannot be imported: {type(error).__name__}: {error}")
        self.error = error

    def show(self, file: object = None) -> None:
        frames = traceback.TracebackException.from_exception(self.error)
        # From the application's own first line on: how we got there helps nobody.
        own = [f for f in frames.stack if f.filename != __file__ and "importlib" not in f.filename]
        frames.stack = traceback.StackSummary.from_list(own)
        click.echo("".join(frames.format(chain=False)), err=True, nl=False)
        complain(self.message)


def load(target: str | None) -> Server:
    """The server that `load_server` finds; without a target, what the configuration of this folder
    says.

    :raises click.ClickException: there is none
    """
    return Server() if target is None else load_server(target)


def load_server(target: str) -> Server:
    """The server in ``package.module:name`` or ``path/file.py:name``; the name is ``server`` unless
    given.

    :raises click.ClickException: there is no such module, or no server in it; says what there is
    """
    where, name = _split(target)
    module = load_file(Path(where)) if _is_path(where) else _load_module(where)
    found = getattr(module, name, None)
    if isinstance(found, Server):
        return found
    servers = [key for key, value in vars(module).items() if isinstance(value, Server)]
    if found is not None:
        problem = f"{where}:{name} is of type {type(found).__name__}, not unisock.Server"
    else:
        problem = f"{where} has no {name!r}"
    if servers:
        hint = f"did you mean {where}:{_closest(name, servers) or servers[0]}?"
    else:
        hint = "it needs a line such as: server = Server()"
    raise TargetError(f"{problem}; {hint}")


def source_folder(target: str) -> Path:
    """The folder that a change of the application shows in."""
    where, _ = _split(target)
    return Path(where).resolve().parent if _is_path(where) else Path.cwd()


def load_file(path: Path) -> ModuleType:
    """Import a file as if it had been run: its folder comes first on the import path.

    :raises click.ClickException: it does not exist, or it raises
    """
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else Path()
        hint = _did_you_mean(path.name, (file.name for file in folder.glob("*.py")))
        raise TargetError(f"there is no file {path}{hint}")
    _import_from(path.resolve().parent)
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise _missing(str(path), error) from error
    except UnisockError:
        raise
    except Exception as error:
        raise ApplicationError(str(path), error) from error
    return module


def example(name: str) -> Path:
    """The file of an example.

    :raises ConfigError: this installation has no examples
    """
    for folder in _EXAMPLES:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"the example {name} is missing from this installation of unisock")


def _load_module(name: str) -> ModuleType:
    _import_from(Path.cwd())
    if not all(part.isidentifier() for part in name.split(".")):
        raise TargetError(f"{name!r} is neither a module nor a .py file; write it like app:server")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _missing(name, error) from error
        here = (path.stem for path in Path().glob("*.py"))
        packages = (path.parent.name for path in Path().glob("*/__init__.py"))
        hint = _did_you_mean(name, [*here, *packages])
        raise TargetError(f"there is no module {error.name!r} in {Path.cwd()}{hint}") from error
    except UnisockError:
        raise
    except Exception as error:
        raise ApplicationError(name, error) from error


def _missing(target: str, error: ModuleNotFoundError) -> click.ClickException:
    """The application imports what is not installed."""
    package = (error.name or "").partition(".")[0]
    if not package.startswith("unisock_"):
        return ApplicationError(target, error)
    return TargetError(f"{target} needs {package}; type: pip install {package.replace('_', '-')}")


def _split(target: str) -> tuple[str, str]:
    where, colon, name = target.rpartition(":")
    # A colon may also be a drive's, as in C:\app.py.
    if not colon or not name.isidentifier():
        return target, ATTRIBUTE
    return where, name


def _is_path(where: str) -> bool:
    return where.endswith(".py") or "/" in where or "\\" in where


def _import_from(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _closest(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, [*known], n=1)), None)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = _closest(name, known)
    return f"; did you mean {close}?" if close else ""
