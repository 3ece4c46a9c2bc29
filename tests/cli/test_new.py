"""``unisock new``: what it writes works as it is, and what it cannot write it says."""

import os
import pty
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from unisock.cli import main

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
NAMES = [("adapter", "mine"), ("plugin", "tally")]
AWKWARD = [
    "server",
    "none",
    "exception",
    "test",
    "spark",
    "a1",
    "buffered",
    "a-name-of-many-many-words",
]
"""Names that mean something else to Python, unisock or pytest; and long ones."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

New = Callable[..., tuple[int, str, str]]


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> New:
    """``new("plugin", "tally")``: the exit code, and what is printed on both streams."""
    monkeypatch.chdir(tmp_path)

    def new(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit:
            main(["new", *arguments])
        code = exit.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return new


def run(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    """What a command prints; it must succeed."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "UNISOCK_"))}
    if path is not None:
        clean["PYTHONPATH"] = str(path)
    result = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(300)  # a whole conformance suite
@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_it_installs_and_passes_its_own_tests(kind: str, name: str, tmp_path: Path) -> None:
    run(sys.executable, "-m", "unisock", "new", kind, name, cwd=tmp_path)
    folder, site = tmp_path / f"unisock-{name}", tmp_path / "site"
    install = (find_uv_bin(), "pip", "install", "--python", sys.executable, "--no-deps")
    run(*install, "--target", site, folder, cwd=tmp_path)
    listed = run(sys.executable, "-m", "unisock", "adapters", cwd=tmp_path, path=site)
    assert f"{kind}\t{name}\tunisock-{name}\t0.1.0\tok" in listed
    # The tests alone: what they import is what was installed.
    (folder / f"unisock_{name.replace('-', '_')}").rename(tmp_path / "aside")
    pytest_ = (sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider")
    told = run(*pytest_, cwd=folder, path=site)
    passed = re.findall(r"::(test_\w+)\S*\[(asyncio|trio)\S*\] PASSED", told)
    for backend in ("asyncio", "trio"):
        assert len([test for test, where in passed if where == backend]) > 5
    assert set(re.findall(r"SKIPPED \((\w+)", told)) <= {"capability"}


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_its_code_is_clean(kind: str, name: str, new: New, tmp_path: Path) -> None:
    """By the tools' settings in its own pyproject.toml, which are strict."""
    assert new(kind, name, "--folder", "it")[0] == 0
    folder = tmp_path / "it"
    run(TOOLS / "ruff", "check", "--no-cache", cwd=folder)
    run(TOOLS / "ruff", "format", "--check", "--no-cache", cwd=folder)
    run(TOOLS / "mypy", "--cache-dir", tmp_path / "cache", cwd=folder)
    run(TOOLS / "pyright", "--warnings", "--pythonpath", sys.executable, cwd=folder)


@pytest.mark.parametrize("kind", ["adapter", "plugin"])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_make_no_awkward_code(
    kind: str, name: str, new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert new(kind, name, "--folder", "it")[0] == 0
    folder = tmp_path / "it"
    run(TOOLS / "ruff", "check", "--no-cache", cwd=folder)
    point = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["entry-points"]
    module, _, attribute = point[f"unisock.{kind}s"][name].partition(":")
    script = (
        f"import unisock, {module}\n"
        f"found = {module}.{attribute}\n"
        "assert found.__name__ not in dir(unisock), found\n"
        f"assert found.__module__.startswith({module!r})\n"
        f"assert not found.__name__.startswith('Test'), found\n"
    )
    run(sys.executable, "-c", script, cwd=folder)


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_its_readme_is_true(
    kind: str, name: str, new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert new(kind, name)[0] == 0
    folder = tmp_path / f"unisock-{name}"
    readme = (folder / "README.md").read_text()
    assert f"pip install unisock-{name}" in readme
    snippets = re.findall(r"^```(python|toml)\n(.*?)^```", readme, re.M | re.S)
    assert {language for language, _ in snippets} >= {"toml"}
    for language, text in snippets:
        if language == "toml":
            assert name in str(tomllib.loads(text))
        else:
            run(sys.executable, "-c", text, cwd=folder)


@pytest.mark.parametrize(
    ("page", "kind", "name"),
    [("write-an-adapter", "adapter", "mine"), ("write-a-plugin", "plugin", "tally")],
)
def test_the_how_to_shows_what_is_in_the_folder(
    page: str, kind: str, name: str, new: New, tmp_path: Path
) -> None:
    """Line by line and in order; but for imports, gaps, and how the application uses it."""
    assert new(kind, name)[0] == 0
    folder = tmp_path / f"unisock-{name}"
    text = (ROOT / f"docs/howto/{page}.md").read_text()
    assert f"unisock new {kind} {name}\ncd unisock-{name}\n" in text
    for path in re.findall(r"^[├└]── (\S+)", text, re.M):
        assert (folder / path).is_file()
    sources = [significant(path.read_text()) for path in folder.rglob("*.py")]
    sources += [significant((folder / "pyproject.toml").read_text())]
    snippets = re.findall(r"^```(?:python|toml).*?\n(.*?)^```", text, re.M | re.S)
    for snippet in snippets:
        if "server = Server(" not in snippet:
            assert any(within(significant(snippet), source) for source in sources), snippet


def significant(text: str) -> list[str]:
    lines = [line.strip().removesuffix('"""') for line in text.splitlines()]
    return [line for line in lines if line not in ("", "...") and not line.startswith("from ")]


def within(some: list[str], lines: list[str]) -> bool:
    rest = iter(lines)
    return all(line in rest for line in some if line != "import anyio")


def test_what_depends_on_unisock_says_on_which(
    new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (current, wanted) in enumerate(
        [
            ("0.3.1", "unisock>=0.3.1,<0.4"),
            ("1.4.2", "unisock>=1.4.2,<2"),
            ("2.0rc1", "unisock>=2.0rc1,<3"),
            ("0.3.0+local", "unisock>=0.3.0,<0.4"),
        ]
    ):
        monkeypatch.setattr("unisock.__version__", current)
        assert new("plugin", "tally", "--folder", str(number))[0] == 0
        text = (tmp_path / str(number) / "pyproject.toml").read_text()
        assert tomllib.loads(text)["project"]["dependencies"] == [wanted]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["plugin", "My Plugin!"], "type: unisock new plugin my-plugin"),
        (["plugin", "Tally"], "type: unisock new plugin tally"),
        (["adapter", "3d"], "type: unisock new adapter my-3d"),
        (["plugin", "a--b"], "type: unisock new plugin a-b"),
        (["plugin", "a_b"], "type: unisock new plugin a-b"),
        (["plugin", "../etc"], "type: unisock new plugin etc"),
        (["plugin", "naïve\n"], "type: unisock new plugin na-ve"),
        (["plugin", ""], "type: unisock new plugin tally"),
        (["adapter", "日本"], "type: unisock new adapter tally"),
        (["adapter", "unisock-mine"], "leave out 'unisock-', it is added; type: unisock new"),
        (["adapter", "unisock_mine"], "type: unisock new adapter mine"),
        (["plugin", "rooms"], "the plugin 'rooms' is installed already"),
        (["plugin", "rooms"], "type: unisock new plugin my-rooms"),
        (["adapter", "rooms"], "the plugin 'rooms' is installed already"),
        (["plugin", "memory"], "the adapter 'memory' is installed already"),
        (["plugn", "tally"], "'plugn' is not one of 'adapter', 'plugin'"),
        (["plugin"], "Missing argument 'NAME'"),
    ],
)
def test_a_wrong_name_is_exit_code_2_and_what_to_type(
    arguments: list[str], sentence: str, new: New, tmp_path: Path
) -> None:
    code, out, err = new(*arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert [*tmp_path.iterdir()] == []


def test_a_package_or_module_that_is_there_is_not_shadowed(
    new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "unisock_once-2.0.dist-info").mkdir(parents=True)
    (site / "unisock_once-2.0.dist-info/METADATA").write_text("Name: unisock-once\nVersion: 2.0\n")
    (site / "unisock_twice.py").touch()
    monkeypatch.syspath_prepend(site)
    assert "unisock-once 2.0 is installed already" in new("plugin", "once")[2]
    assert "there is a module unisock_twice already" in new("plugin", "twice")[2]


def test_it_writes_into_an_empty_folder_and_makes_those_above(new: New, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "some/where/else"):
        code, out, _ = new("plugin", "tally", "--folder", folder)
        assert code == 0
        assert {f"{folder}/{file}" for file in files(tmp_path / folder)} == set(out.splitlines())


def test_it_leaves_alone_what_is_there(new: New, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    code, out, err = new("plugin", "tally", "--folder", "full")
    assert (code, out) == (2, "")
    assert "the folder full is not empty; name another with --folder" in err
    assert files(tmp_path / "full") == {"notes.txt"}


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_where_it_cannot_write_it_says_so(folder: str, new: New, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    code, out, err = new("plugin", "tally", "--folder", folder)
    assert (code, out) == (2, "")
    assert re.search(rf"cannot write to {folder}: .+; name another folder with --folder", err)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_pipe_gets_the_files_and_a_person_what_to_type(start: Any, tmp_path: Path) -> None:
    process = start("new", "plugin", "tally", "--folder", "a b")
    assert process.end() == 0
    assert set(process.stdout.splitlines()) == {f"a b/{file}" for file in files(tmp_path / "a b")}
    said = process.stderr.splitlines()
    assert said[0].startswith("unisock: this plugin works.")
    assert said[1] == "  cd 'a b'"
    assert said[2].endswith('pip install -e ".[test]"')
    assert said[3:] == ["  pytest"]
    assert "\x1b" not in process.stdout + process.stderr


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_a_terminal_gets_a_tree(environment: dict[str, str], tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "CI")}
    process = subprocess.Popen(
        [sys.executable, "-m", "unisock", "new", "adapter", "mine"],
        cwd=tmp_path,
        env=clean | {"TERM": "xterm-256color", "COLUMNS": "100"} | environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    assert process.wait(30) == 0
    shown = seen.decode()
    assert ("\x1b[36m" in shown) is not bool(environment)
    plain = COLOUR.sub("", shown)
    assert plain.startswith("unisock-mine\r\n├── LICENSE\r\n")
    assert "│   └── test_conformance.py  What every adapter has to do." in plain
    assert "adapter.py  The adapter: who listens, and what a client is answered." in plain
    assert "  cd unisock-mine\r\n" in plain
