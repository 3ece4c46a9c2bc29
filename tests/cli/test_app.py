"""The command ``unisock`` itself: help, version, exit codes, what a terminal gets."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from unisock import Server
from unisock.cli import main
from unisock.cli.app import COMMANDS, unisock
from unisock.registry import offer

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def on_a_terminal(*arguments: str, cwd: Path, **environment: str) -> str:
    """What a command shows on a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "CI")}
    process = subprocess.Popen(
        [sys.executable, "-m", "unisock", *arguments],
        cwd=cwd,
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
    process.wait(30)
    os.close(ours)
    return seen.decode()


def test_help_lists_every_command_and_the_exit_codes() -> None:
    result = CliRunner().invoke(unisock, ["--help"])
    assert result.exit_code == 0
    for name, line in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", result.stdout, re.M)
    assert "Exit codes:" in result.stdout


def greeting(load: Callable[[str | None], Server]) -> click.Command:
    @click.command()
    @click.argument("target")
    def command(target: str) -> None:
        """Greet a server."""
        click.echo(f"hello {load(target).settings.adapter}")

    return command


def test_packages_add_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.py").write_text(
        "from unisock import Server\nserver = Server(adapter='memory')"
    )
    monkeypatch.setattr("unisock.cli.app.installed", lambda kind: ("greet", "broken", "serve"))
    offer("command", "greet", greeting)
    shown = CliRunner().invoke(unisock, ["--help"]).stdout
    assert re.search(r"^  greet +Greet a server\.$", shown, re.M)
    assert re.search(r"^  broken +Broken: no command 'broken' is installed", shown, re.M)
    assert (
        CliRunner().invoke(unisock, ["greet", str(tmp_path / "app.py")]).stdout == "hello memory\n"
    )
    wrong = CliRunner().invoke(unisock, ["gret"])
    assert wrong.exit_code == 2
    assert "did you mean greet?" in wrong.output


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(unisock, [name, "--help"])
    assert result.exit_code == 0
    assert f"  unisock {name}" in result.stdout.partition("Examples:")[2]


def test_the_version() -> None:
    result = CliRunner().invoke(unisock, ["--version"])
    assert result.stdout == f"unisock {version('unisock')}\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["srve"], "did you mean serve?"),
        (["xyz"], "there is: serve, demo, check, adapters"),
        (["serve"], "MODULE:SERVER"),
        (["serve", "app", "--port", "70000"], "0<=x<=65535"),
        (["serve", "app", "--bckend", "trio"], "--backend"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_a_hint(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert hint in capsys.readouterr().err


def test_help_needs_no_command_imported() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from unisock.cli.app import unisock\n"
        "assert CliRunner().invoke(unisock, ['--help']).exit_code == 0\n"
        "late = {'rich', 'watchfiles', 'unisock.cli.serve'} & set(sys.modules)\n"
        "assert not late, late"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_the_extra_one_sentence_says_what_to_type() -> None:
    script = (
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'click': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "from unisock.cli import main\n"
        "main(['--help'])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 2
    assert 'pip install "unisock[cli]"' in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_terminal_gets_headings_that_stand_out(tmp_path: Path) -> None:
    assert "\x1b[1mCommands:\x1b[0m" in on_a_terminal("--help", cwd=tmp_path)


@pytest.mark.parametrize("command", [["adapters"], ["check"]])
def test_a_terminal_gets_a_table_in_colour(command: list[str], tmp_path: Path) -> None:
    shown = on_a_terminal(*command, cwd=tmp_path)
    assert "╭─" in shown
    assert "\x1b[36m" in shown or "\x1b[1;36m" in shown or command == ["check"]
    plain = COLOUR.sub("", shown)
    assert max(map(len, plain.splitlines())) <= 100
    assert ("websockets" if command == ["adapters"] else "limits.message_bytes") in plain


@pytest.mark.parametrize("command", [["adapters"], ["check", "--port", "1"], ["--help"], ["nope"]])
def test_no_color_is_respected(command: list[str], tmp_path: Path) -> None:
    shown = on_a_terminal(*command, cwd=tmp_path, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*(3|4)[0-9]", shown)


@pytest.mark.parametrize("command", [["adapters"], ["check"], ["--help"]])
def test_a_pipe_gets_plain_text(command: list[str], tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "unisock", *command], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0
    assert "\x1b" not in result.stdout + result.stderr
    assert "╭" not in result.stdout


def test_a_reader_that_goes_early_is_no_drama(tmp_path: Path) -> None:
    script = f'"{sys.executable}" -m unisock adapters | head -n 1'
    result = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "Traceback" not in result.stderr
