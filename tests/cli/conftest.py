"""For the tests of ``unisock connect``: `talk` runs it in a pipe, `served` is who it talks to."""

import json
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .processes import PATIENCE, clean, serving

APP = Path(__file__).with_name("connect_app.py")


@dataclass(frozen=True)
class Said:
    """What a run of the command printed, and how it ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def of(self, kind: str) -> list[Any]:
        """The data of all records of a kind."""
        return [record["data"] for record in self.records if record["type"] == kind]


Talk = Callable[..., Said]


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    """``talk(url, "-x", "hi", stdin="…")``: the whole of one run."""

    def talk(*arguments: object, stdin: str | bytes = "") -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "unisock", "connect", *map(str, arguments)],
            cwd=tmp_path,
            env=clean(),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            timeout=PATIENCE,
            start_new_session=True,  # without a terminal, wherever the tests are started
        )
        said = Said(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in said.stderr, said.stderr
        assert "Warning" not in said.stderr, said.stderr
        assert "\x1b" not in said.stdout + said.stderr
        return said

    return talk


@pytest.fixture(scope="session")
def served() -> Generator[str]:
    """The address of a server of ours: ``127.0.0.1:54321``."""
    with serving(APP, "websockets") as address:
        yield address


@pytest.fixture(scope="session", params=["websockets", "tornado"])
def served_on_each(request: pytest.FixtureRequest) -> Generator[str]:
    """The same on each adapter, for what an adapter has its part in."""
    with serving(APP, request.param) as address:
        yield address
