"""``unisock connect`` in a real terminal, which tmux is."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from unisock.testing.ports import private_port

TMUX = shutil.which("tmux")
APP = Path(__file__).with_name("connect_app.py")
PATIENCE = 40

pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")


class Terminal:
    """A terminal of 100 columns with a shell in it, and hands at its keyboard."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "tmux"
        self._folder = folder
        shell = "env -u NO_COLOR -u CI PS1='$ ' HISTFILE= bash --norc --noprofile"
        self._tmux("new-session", "-d", "-x", "100", "-y", "40", "-c", folder, shell)

    def _tmux(self, *arguments: object) -> str:
        assert TMUX is not None
        command = [TMUX, "-f", "/dev/null", "-S", str(self._socket), *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def run(self, *arguments: str) -> None:
        """Type a command line."""
        words = [sys.executable, "-m", "unisock", *arguments]
        self.type(f"{shlex.join(words)}; echo exit=$?\n")

    def type(self, text: str) -> None:
        for number, line in enumerate(text.split("\n")):
            if number:
                self.press("Enter")
            if line:
                self._tmux("send-keys", "-l", "--", line)

    def press(self, *keys: str) -> None:
        """``Enter``, ``Up``, ``C-c``."""
        self._tmux("send-keys", *keys)

    def screen(self, *, colours: bool = False) -> str:
        """All that can be seen, and what has been scrolled away; long lines in one."""
        more = ["-e"] if colours else []
        return self._tmux("capture-pane", "-p", "-J", "-S", "-", *more)

    def sees(self, pattern: str) -> re.Match[str]:
        """Wait until a line looks so."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern, self.screen(), re.M)
            if found:
                return found
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.screen()}"
            time.sleep(0.05)  # between two looks

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Generator[Terminal]:
    terminal = Terminal(tmp_path_factory.mktemp("t"))  # a socket's path has to be short
    yield terminal
    terminal.close()


Serve = Callable[..., tuple[Any, str]]


@pytest.fixture
def serve(start: Any) -> Serve:
    """``serve()``: a server of ours and its address; ``serve(port)`` has it there again."""

    def serve(port: str = "0") -> tuple[Any, str]:
        process = start("serve", APP, "--port", port)
        return process, process.url().removeprefix("http://")

    return serve


def test_typed_lines_and_the_history(terminal: Terminal, serve: Serve) -> None:
    terminal.run("connect", f"{serve()[1]}/numbered")
    terminal.sees(r"^unisock: connected to ws://.* /help lists the commands, Ctrl-D leaves")
    terminal.type("first\n")
    terminal.sees(r"^< 1: first")
    terminal.type("second\n")
    terminal.sees(r"^< 2: second")
    terminal.press("Up", "Up", "Enter")
    terminal.sees(r"^< 3: first")
    terminal.press("C-d")
    terminal.sees(r"^exit=0")


def test_a_message_does_not_garble_the_line_being_typed(terminal: Terminal, serve: Serve) -> None:
    url = f"{serve()[1]}/room"
    terminal.run("connect", url)
    terminal.sees(r"^> *$")
    terminal.type("unfini")
    terminal.sees(r"^> unfini *$")
    with connect(f"ws://{url}") as other:
        other.send("hello all")
        terminal.sees(r"^< all: hello all")
        screen = terminal.sees(r"^< all: hello all *\n> unfini *$")
        assert screen
        terminal.type("shed\n")
        assert other.recv(timeout=PATIENCE) == "all: hello all"
        assert other.recv(timeout=PATIENCE) == "all: unfinished"
    terminal.sees(r"^> unfinished *\n< all: unfinished")
    assert terminal.screen().count("unfini") == 2


def test_ctrl_c_clears_the_line_and_then_leaves(terminal: Terminal, serve: Serve) -> None:
    terminal.run("connect", f"{serve()[1]}/numbered")
    terminal.sees(r"^> *$")
    terminal.type("not this")
    terminal.sees(r"^> not this")
    terminal.press("C-c")
    terminal.sees(r"^> *$")
    terminal.type("but this\n")
    terminal.sees(r"^< 1: but this")
    terminal.press("C-c")
    terminal.sees(r"^exit=130")


def test_slash_commands(terminal: Terminal, serve: Serve) -> None:
    terminal.run("connect", "--slash", f"{serve()[1]}/raw")
    terminal.sees(r"^> *$")
    terminal.type("/ping\n")
    terminal.sees(r"^unisock: < pong unisock connect \(\d+\.\d ms\)")
    terminal.type("/hex de ad be ef\n")
    terminal.sees(r"^< 4 bytes *\n  00000000  de ad be ef +\|\.\.\.\.\|")
    terminal.type("/sta")
    terminal.press("Tab")
    terminal.sees(r"^> /status")
    terminal.press("Enter")
    terminal.sees(r"^unisock: ws://.* · open")
    terminal.type("/close 4001 that is all\n")
    terminal.sees(r"^unisock: closed: 4001 that is all")
    terminal.sees(r"^exit=0")


def test_without_slash_most_commands_are_messages(terminal: Terminal, serve: Serve) -> None:
    terminal.run("connect", f"{serve()[1]}/raw")
    terminal.sees(r"^> *$")
    terminal.type("/ping\n")
    terminal.sees(r"^< /ping")
    terminal.sees(r"^unisock: sent as a message; with --slash, /ping is a command")
    terminal.type("/help\n")
    terminal.sees(r"^unisock: /reconnect +connect anew, now")
    terminal.type("/quit\n")
    terminal.sees(r"^exit=0")


def test_it_comes_back_when_the_server_does(terminal: Terminal, serve: Serve) -> None:
    process, address = serve(str(private_port()))
    terminal.run("connect", f"{address}/numbered")
    terminal.sees(r"^> *$")
    assert process.stop(signal.SIGTERM) == 0
    terminal.sees(r"^unisock: closed by the server: 1012 .*; trying again in \d+\.\d s")
    terminal.type("kept\n")
    terminal.sees(r"^unisock: this waits until the other side takes it")
    serve(address.rpartition(":")[2])
    terminal.type("/reconnect\n")
    terminal.sees(r"^unisock: connected again in ")
    terminal.sees(r"^< 1: kept")
    terminal.type("/reconnect\n")
    terminal.sees(r"^unisock: connecting anew")
    terminal.type("new\n")
    terminal.sees(r"^< 2: new")
    terminal.press("C-d")
    terminal.sees(r"^exit=0")


def test_what_a_server_sends_cannot_play_tricks(terminal: Terminal, serve: Serve) -> None:
    terminal.run("connect", f"{serve()[1]}/raw")
    terminal.sees(r"^> *$")
    terminal.type("evil\n")
    terminal.sees(r"^< \\x1b\[31mred\\x07\\x1b\]0;owned\\x07")


def test_json_is_laid_out_and_in_colour(terminal: Terminal, serve: Serve) -> None:
    terminal.run("connect", "-t", f"{serve()[1]}/raw")
    terminal.sees(r"^> *$")
    terminal.type("json\n")
    terminal.sees(r'^\d\d:\d\d:\d\d\.\d{3} < \{"a": \[1, 2.50, "x"\]\}')
    terminal.type("long json\n")
    terminal.sees(r'< \{ *\n  "name": "Ada", *\n  "text": "x{80}" *\n\}')
    shown = terminal.screen(colours=True)
    assert re.search(r"\x1b\[[0-9;]*32m\"Ada\"", shown)


@pytest.mark.parametrize("how", ["--no-color", "NO_COLOR"])
def test_no_colour_where_none_is_wanted(terminal: Terminal, serve: Serve, how: str) -> None:
    url = f"{serve()[1]}/raw"
    if how == "NO_COLOR":
        terminal.type("export NO_COLOR=1\n")
        terminal.run("connect", url)
    else:
        terminal.run("connect", how, url)
    terminal.sees(r"^> *$")
    terminal.type("json\nbinary\n")
    terminal.sees(r"^< 40 bytes *\n  00000000  00 01 02 03")
    terminal.press("C-d")
    terminal.sees(r"^exit=0")
    assert not re.search(r"\x1b\[[0-9;]*[349][0-7]\b", terminal.screen(colours=True))


def test_json_records_at_a_terminal(terminal: Terminal, serve: Serve) -> None:
    terminal.run("connect", "--json", f"{serve()[1]}/numbered")
    terminal.sees(r'^\{"type":"state","data":"open"')
    terminal.type("hello\n")
    terminal.sees(r'^\{"type":"message","data":"1: hello","time":')


def test_listening(terminal: Terminal) -> None:
    terminal.run("connect", "--listen", "0", "--slash")
    port = terminal.sees(r"^unisock: listening on ws://127.0.0.1:(\d+)/; /help")[1]
    terminal.type("too early\n")
    terminal.sees(r"^unisock: not sent: nobody is connected")
    with connect(f"ws://127.0.0.1:{port}/") as client:
        terminal.sees(r"^unisock: 127.0.0.1:\d+ has come")
        client.send("hello there")
        terminal.sees(r"^< hello there")
        terminal.type("hello yourself\n")
        assert client.recv(timeout=PATIENCE) == "hello yourself"
        terminal.type("/ping knock\n")
        terminal.sees(r"< pong knock \(\d+\.\d ms\)")
    terminal.sees(r"^unisock: 127.0.0.1:\d+ has closed: 1000")
    terminal.press("C-d")
    terminal.sees(r"^exit=0")
