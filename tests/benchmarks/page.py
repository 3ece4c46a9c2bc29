"""Where the figures go in the documentation, and on what they were measured."""

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from .load import Load
from .sides import CORES, INTEROP, ROOT, missing_node, node

__all__ = ["PAGE", "PICTURE", "PageError", "machine", "replace"]

PAGE = ROOT / "docs" / "explanation" / "performance.md"
PICTURE = PAGE.with_name("curves.svg")

PYTHON = (
    "picows",
    "uvloop",
    "websockets",
    "tornado",
    "aiohttp",
    "uvicorn",
    "sockjs-tornado",
    "python-engineio",
    "python-socketio",
)
NPM = ("ws", "bufferutil", "socket.io", "sockjs", "primus", "engine.io")


class PageError(Exception):
    """The page has no place for some figures."""


def replace(text: str, name: str, figures: str) -> str:
    """The page with new figures between the markers ``<!-- bench: name -->`` and
    ``<!-- end -->``.

    :raises PageError: there are no such markers
    """
    pattern = re.compile(rf"(<!-- bench: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    found = pattern.search(text)
    if found is None:
        raise PageError(f"{PAGE.name} has no markers <!-- bench: {name} --> … <!-- end -->")
    return f"{text[: found.end(1)]}\n{figures}\n\n{text[found.start(2) :]}"


def machine(load: Load) -> str:
    """The machine, and the versions of all that was compared."""
    python = ", ".join(f"{name} {version(name)}" for name in PYTHON)
    said = [
        f"{_processor()}, {len(CORES)} cores; {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()} with {python}"
    ]
    if not missing_node():
        run = subprocess.run([node(), "--version"], capture_output=True, text=True, check=True)
        packages = ", ".join(f"{name} {_npm_version(name)}" for name in NPM)
        said.append(f"Node {run.stdout.strip().removeprefix('v')} with {packages}")
    said.append(f"the load in {load.name}")
    return "; ".join(said) + "."


def command() -> str:
    """What was typed."""
    arguments = " ".join(one for one in sys.argv[1:] if one != "--write")
    return f'make bench ARGS="{arguments}"' if arguments else "make bench"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _npm_version(package: str) -> str:
    described = INTEROP / "node_modules" / package / "package.json"
    if not described.exists():
        return "missing"
    told: dict[str, str] = json.loads(described.read_text())
    return told["version"]
