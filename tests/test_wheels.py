"""What a stranger gets: all wheels, installed into an empty environment, serve the echo example."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from uv import find_uv_bin
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[1]
MEMBERS = [
    path.parent
    for kind in (".", "adapters/*", "plugins/*")
    for path in ROOT.glob(f"{kind}/pyproject.toml")
]
READY = re.compile(r"listening on https?://(\S+?)/?\s*$")


def project(folder: Path) -> dict[str, str]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def uv(*arguments: str | Path, cwd: Path) -> None:
    command = [find_uv_bin(), *map(str, arguments)]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command} failed:\n{result.stderr}"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    uv("build", "--all-packages", "--wheel", "--out-dir", folder, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def python(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has nothing but `unisock[all]`, from the wheels."""
    empty = tmp_path_factory.mktemp("empty")
    uv("venv", "--python", sys.executable, "venv", cwd=empty)
    python = empty / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = f"unisock[all]=={project(ROOT)['version']}"
    uv("pip", "install", "--python", python, "--find-links", wheels, wanted, cwd=empty)
    return python


@contextmanager
def serving(python: Path, example: Path, adapter: str) -> Generator[str]:
    """Runs an example with one adapter, far from the clone; gives its `host:port`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "UNISOCK"))}
    process = subprocess.Popen(
        [python, shutil.copy(example, python.parents[2]), "--port", "0"],
        cwd=python.parents[2],
        env=environment | {"UNISOCK_ADAPTER": adapter},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process, process.stderr as lines:
        try:
            seen: list[str] = []
            for line in lines:
                seen.append(line)
                if ready := READY.search(line):
                    yield ready[1]
                    break
            else:
                pytest.fail(f"{example.name} ended before it listened:\n{''.join(seen)}")
        finally:
            process.terminate()
        assert process.wait() == 0, f"it did not drain:\n{lines.read()}"


def test_every_member_makes_a_wheel_with_its_types_and_licence(wheels: Path) -> None:
    for member in MEMBERS:
        name = project(member)["name"].replace("-", "_")
        (wheel,) = wheels.glob(f"{name}-{project(member)['version']}-*.whl")
        shutil.unpack_archive(wheel, wheels / name, "zip")
        files = {str(path.relative_to(wheels / name)) for path in (wheels / name).rglob("*")}
        assert f"{name}/py.typed" in files
        assert any(file.endswith("licenses/LICENSE") for file in files)
        tops = {file.split("/")[0] for file in files}
        assert tops == {name, f"{name}-{project(member)['version']}.dist-info"}


@pytest.mark.parametrize("adapter", ["websockets", "tornado"])
def test_the_installed_wheels_echo(python: Path, adapter: str) -> None:
    with (
        serving(python, ROOT / "docs/examples/echo.py", adapter) as address,
        connect(f"ws://{address}/echo") as client,
    ):
        for message in ("grüße", b"\x00\xff"):
            client.send(message)
            assert client.recv(timeout=10) == message


@pytest.mark.parametrize(("kind", "some"), [("adapter", "text or tls"), ("plugin", "")])
def test_the_installed_command_writes_what_works(
    wheels: Path, python: Path, kind: str, some: str, tmp_path: Path
) -> None:
    """As it says itself: install with its tests' needs, editable, and run them."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST_"))}

    def run(*arguments: str | Path, cwd: Path) -> str:
        command = [python, "-m", *map(str, arguments)]
        result = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    run("unisock", "new", kind, "fresh", "--folder", "it", cwd=tmp_path)
    it = tmp_path / "it"
    uv("pip", "install", "--python", python, "--find-links", wheels, "-e", f"{it}[test]", cwd=it)
    assert "passed" in run("pytest", "-k", some, cwd=it)
    uv("pip", "uninstall", "--python", python, "unisock-fresh", cwd=it)
