"""The rule against silent skips, on runs of its own."""

import os
import subprocess
import sys
from pathlib import Path

SINGLE_TESTS = """
import pytest

def test_ran(): pass

@pytest.mark.skip(reason="no browser")
def test_convenience(): pass

@pytest.mark.skip(reason="capability: binary")
def test_capability(): pass

@pytest.mark.xfail(reason="known")
def test_expected(): assert False
"""
WHOLE_FILE = """
import pytest

pytest.importorskip("no_such_thing")
"""


def run_pytest(folder: Path, source: str, *, ci: str) -> str:
    """The report of a run over one file that lies beside the folder of our conftest."""
    for part in ("tests", "other"):
        (folder / part).mkdir()
    for name in ("conftest.py", "matrix.py"):
        text = Path(__file__).with_name(name).read_text(encoding="utf-8")
        (folder / "tests" / name).write_text(text, encoding="utf-8")
    (folder / "other" / "test_it.py").write_text(source, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = tests other\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command.append("--import-mode=importlib")
    result = subprocess.run(
        command,
        env=os.environ | {"CI": ci, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr


def test_a_developer_may_skip(tmp_path: Path) -> None:
    report = run_pytest(tmp_path, SINGLE_TESTS, ci="")
    assert "1 passed, 2 skipped, 1 xfailed" in report


def test_on_ci_only_a_missing_capability_may_skip(tmp_path: Path) -> None:
    report = run_pytest(tmp_path, SINGLE_TESTS, ci="true")
    assert "1 passed, 1 skipped, 1 xfailed, 1 error" in report
    assert "skipped on CI, where everything must run: no browser" in report


def test_on_ci_a_whole_file_may_not_skip(tmp_path: Path) -> None:
    report = run_pytest(tmp_path, WHOLE_FILE, ci="true")
    assert "skipped on CI, where everything must run: could not import 'no_such_thing'" in report
    assert "1 error" in report
