"""The browser library of `unisock demo` that has to be built for its endpoint: Primus'."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from .. import __version__
from ..config import Endpoint
from ..errors import UnisockError
from ..registry import look_up
from ..server import Server

__all__ = ["build"]

DIALECT = "primus"
COMMAND = "primus-client"
CACHE = ".cache/unisock"
"""In ``node_modules``, where tools keep what they make of its packages."""


def build(server: Server) -> str:
    """Let the server offer the library, where npm's primus is and nobody has written one. It is
    built once for the same settings and packages.

    :returns: why there is none, with what to type to have it; ``""`` if all is well, or where npm
        has brought no Primus at all
    """
    endpoints = [one for one in server.settings.endpoints if one.dialect == DIALECT]
    modules = _modules()
    if not endpoints or endpoints[0].options.get("client") or modules is None:
        return ""
    endpoint = endpoints[0]
    file = modules / CACHE / f"primus-{_key(server, endpoint, modules)}.js"
    if not file.is_file():
        try:
            _write(server, endpoint, file)
        except (UnisockError, OSError) as error:
            return f"Primus is left out: {error}"
    client = {"path": endpoint.path, "options": {"client": str(file)}}
    server.override("demo: the library of Primus", {"endpoints": [client]})
    return ""


def _write(server: Server, endpoint: Endpoint, file: Path) -> None:
    """As the command does that writes it for others."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}")  # another demo may want it at the same time

    def load(_: str | None) -> Server:
        return server

    command: Any = look_up("command", COMMAND)(load)
    with redirect_stdout(io.StringIO()):
        command.main(["--endpoint", endpoint.path, "-o", str(part)], COMMAND, standalone_mode=False)
    part.replace(file)


def _modules() -> Path | None:
    """The ``node_modules`` with primus in it, where Node would look."""
    folders = [Path(name) for name in os.environ.get("NODE_PATH", "").split(os.pathsep) if name]
    folders += [folder / "node_modules" for folder in (Path.cwd(), *Path.cwd().parents)]
    return next((one for one in folders if (one / "primus/package.json").is_file()), None)


def _key(server: Server, endpoint: Endpoint, modules: Path) -> str:
    """Changes with all that the library is made for, and made of."""
    told = msgspec.json.encode([__version__, endpoint, server.settings.heartbeat])
    packages = [modules / "primus/package.json", modules / ".package-lock.json"]
    made_of = [one.read_bytes() for one in packages if one.is_file()]
    return sha256(b"\n".join([told, *made_of])).hexdigest()[:16]
