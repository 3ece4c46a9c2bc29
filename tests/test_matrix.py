"""The README's matrix: what is proved is written, and what is written must be proved."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .matrix import BEGIN, END, Claim, put_in, render

HERE = Path(__file__).parent
TESTS = """
import pytest

@pytest.mark.parametrize("host", ["tornado", "picows"])
def test_node(proves, host):
    proves(protocol="sockjs", client="npm `x`, Node", host=host)

def test_only_here(proves):
    proves(protocol="websocket", client="`connect()`", host="picows")
    proves(protocol="websocket", client="`connect()`", server="npm `ws`")

@pytest.mark.skip(reason="capability: teleport")
def test_cannot(proves):
    proves(protocol="sockjs", client="npm `y`, Node", host="tornado")
"""
SUITE = """
from unisock.testing.protocols import ProtocolTests, Way

class TestSuite(ProtocolTests):
    protocol = "sockjs"
    host = "tornado"
    scheme = "sockjs+http"
    ways = {"websocket": Way()}

    def test_nothing(self): pass
"""
MATRIX = """\
| protocol | client | `picows` | `tornado` |
|---|---|---|---|
| `websocket` | `connect()` | yes | – |
| `sockjs` | conformance suite, `connect()` | – | yes |
| `sockjs` | npm `x`, Node | yes | yes |

| protocol | client | servers of others |
|---|---|---|
| `websocket` | `connect()` | npm `ws` |
"""
PAGE = f"# Title\n\n{BEGIN}\n{{}}\n{END}\n\nMore.\n"


class Project:
    """A folder with tests and a README."""

    def __init__(self, folder: Path) -> None:
        self.readme = folder / "README.md"
        self._folder = folder
        for part in ("tests", "other"):
            (folder / part).mkdir()
        for name in ("conftest.py", "matrix.py"):
            (folder / "tests" / name).write_text(HERE.joinpath(name).read_text(encoding="utf-8"))
        (folder / "tests" / "test_claims.py").write_text(TESTS)
        (folder / "other" / "test_suite.py").write_text(SUITE)
        (folder / "pytest.ini").write_text("[pytest]\ntestpaths = tests other\n")
        self.readme.write_text(PAGE.format(""), encoding="utf-8")

    def add(self, source: str) -> None:
        """Another file of tests."""
        (self._folder / "other" / "test_more.py").write_text(source)

    def run(self, *arguments: str) -> tuple[int, str]:
        """pytest's exit code, and its report."""
        command = [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib"]
        command += ["-p", "xdist", "-p", "no:cacheprovider", *arguments]
        environment = {"CI": "", "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        result = subprocess.run(
            command,
            env=os.environ | environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_what_was_proved_is_written_and_from_then_on_true(project: Project) -> None:
    code, report = project.run("--matrix", "-n2")
    assert code == 0, report
    assert "the matrix is written anew" in report
    page = PAGE.format(f"\n{MATRIX}")
    assert project.readme.read_text(encoding="utf-8") == page
    code, report = project.run()
    assert (code, "matrix" in report) == (0, False)
    project.readme.write_text(page.replace("| yes | yes |", "| yes | – |"), encoding="utf-8")
    code, report = project.run()
    assert code == 1
    assert "the matrix is not what the tests have proved; run `make matrix`" in report


def test_a_part_of_the_tests_says_nothing(project: Project) -> None:
    assert project.run("-k", "node")[0] == 0
    code, report = project.run("--matrix", "tests")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "type `make matrix`" in report


def test_what_was_not_run_proves_nothing(project: Project) -> None:
    before = project.readme.read_text(encoding="utf-8")
    project.add("import pytest\n\n@pytest.mark.skip(reason='no browser')\ndef test_it(): pass")
    code, report = project.run("--matrix")
    assert (code, "is not checked, since 1 tests were skipped" in report) == (0, True)
    assert project.readme.read_text(encoding="utf-8") == before


def test_rows_have_their_order() -> None:
    claims = [Claim(name, "x", "tornado", "") for name in ("zmq", "engineio", "websocket")]
    lines = render(claims).splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == ["websocket", "engineio", "zmq"]


def test_the_readme_has_a_place_for_it() -> None:
    assert put_in("# Title", "") is None
    page = HERE.with_name("README.md").read_text(encoding="utf-8")
    assert put_in(page, "") is not None
