"""For the tests of ``unisock connect``: `talk` runs it in a pipe, `served` is who it talks to."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

APP = Path(__file__).with_name("connect_app.py")
PATIENCE = 60


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


def clean(**more: str) -> dict[str, str]:
    """An environment without what would change the output."""
    unwanted = ("UNISOCK_", "PYTEST_", "NO_COLOR", "FORCE_COLOR")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    return kept | {"PYTHONWARNINGS": "default"} | more


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


@pytest.fixture(scope="module", params=["websockets", "tornado"])
def served(request: pytest.FixtureRequest) -> Generator[str]:
    """The address of a server of ours, on each adapter: ``127.0.0.1:54321``."""
    command = [sys.executable, "-m", "unisock", "serve", APP, "--adapter", request.param]
    with subprocess.Popen(
        [*command, "--port", "0"], env=clean(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        address = None
        for line in process.stderr:
            if address := re.search(r"listening on http://(\S+)", line):
                break
        assert address is not None, "the server did not start"
        yield address[1]
        process.terminate()
        process.communicate(timeout=PATIENCE)
