"""What ``MODULE:server`` may be, and what is said when nothing is there."""

import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from unisock.cli import main

APP = "from unisock import Server\nserver = Server(folder=None)\nother = Server(folder=None)\n"
FILES = {
    "target_app.py": APP,
    "target_package/__init__.py": "",
    "target_package/deep.py": APP,
    "target_none.py": "x = 1\n",
    "target_wrong.py": "from unisock import Server\napi = Server()\nserver = object()\n",
    "target_syntax.py": "server = Server(\n",
    "target_raises.py": "def begin():\n    raise RuntimeError('no database')\nbegin()\n",
    "target_needs.py": "import no_such_package\n",
    "target_plugin.py": "import unisock_no_such_plugin\n",
    "target_config.py": (
        "from unisock import Server\nserver = Server()\n"
        "@server.on_open\ndef a(spark): ...\n@server.on_open\ndef b(spark): ...\n"
    ),
    "folder/target_sibling.py": "VALUE = 1\n",
    "folder/target_main.py": "import target_sibling\n" + APP,
}

Check = Callable[[str], tuple[int, str]]


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Generator[Check]:
    """The exit code of ``unisock check TARGET`` among `FILES`, and what it says."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)

    def check(target: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as exit:
            main(["check", target, "--adapter", "memory"])
        code = exit.value.code
        assert isinstance(code, int)
        return code, capsys.readouterr().err

    known, path = {*sys.modules}, [*sys.path]
    yield check
    sys.path[:] = path
    for name in {*sys.modules} - known:
        if name.startswith("target_"):
            del sys.modules[name]


@pytest.mark.parametrize(
    "target",
    [
        "target_app",
        "target_app:server",
        "target_app:other",
        "target_app.py",
        "./target_app.py:other",
        "target_package.deep:server",
        "target_package/deep.py",
        "folder/target_main.py",
    ],
)
def test_a_server_is_found(check: Check, target: str) -> None:
    code, said = check(target)
    assert code == 0, said


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("target_ap", "there is no module 'target_ap'"),
        ("target_ap", "did you mean target_app?"),
        ("target_packag.deep", "did you mean target_package?"),
        ("target_package.deeep", "there is no module 'target_package.deeep'"),
        ("target_ap.py", "there is no file target_ap.py; did you mean target_app.py?"),
        ("nowhere/at/all.py", "there is no file nowhere/at/all.py"),
        ("target_app:othr", "target_app has no 'othr'; did you mean target_app:other?"),
        ("target_none", "target_none has no 'server'; it needs a line such as: server = Server()"),
        ("target_wrong", "is of type object, not unisock.Server; did you mean target_wrong:api?"),
        ("target_plugin", "type: pip install unisock-no-such-plugin"),
        ("target_config", "open: there is already a()"),
        ("not a module", "is neither a module nor a .py file"),
        ("", "is neither a module nor a .py file"),
    ],
)
def test_what_is_not_there_is_exit_code_2_and_a_hint(
    check: Check, target: str, sentence: str
) -> None:
    code, said = check(target)
    assert (code, sentence in said) == (2, True), said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("target", "place", "sentence"),
    [
        ("target_syntax", "target_syntax.py", "SyntaxError: '(' was never closed"),
        ("target_raises.py", "in begin", "RuntimeError: no database"),
        ("target_needs", "import no_such_package", "No module named 'no_such_package'"),
    ],
)
def test_an_application_that_raises_is_exit_code_1_and_its_own_traceback(
    check: Check, target: str, place: str, sentence: str
) -> None:
    code, said = check(target)
    assert code == 1
    assert place in said
    assert f"{target} cannot be imported: " in said.splitlines()[-1]
    assert sentence in said.splitlines()[-1]
    assert "importlib" not in said
    assert "unisock/cli" not in said
