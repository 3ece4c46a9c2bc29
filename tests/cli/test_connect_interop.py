"""``unisock connect`` to npm's ws, in Node."""

import re
import shutil
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

SERVER = Path(__file__).resolve().parents[1] / "interop" / "ws_server.js"
PATIENCE = 60


class Node:
    """The server.

    :ivar url: where it listens
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._said: Queue[str] = Queue()
        self._stdout = process.stdout
        threading.Thread(target=self._read, daemon=True).start()
        self.url = f"127.0.0.1:{self.says('port ').split()[1]}"

    def _read(self) -> None:
        assert self._stdout is not None
        for line in self._stdout:
            self._said.put(line.rstrip())

    def says(self, *beginnings: str) -> str:
        """The next line that begins in one of these ways."""
        while not (line := self._said.get(timeout=PATIENCE)).startswith(beginnings):
            pass
        return line


@pytest.fixture(scope="module")
def node() -> Generator[Node]:
    program = shutil.which("node")
    assert program is not None, "node is missing: run `make test`, which brings it"
    with subprocess.Popen(
        [program, SERVER.name],
        cwd=SERVER.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Node(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(PATIENCE)


def test_messages_both_ways_and_how_it_closes(talk: Any, node: Node) -> None:
    said = talk(f"{node.url}/echo", "-w", "30", "-x", "hello", "-x", "pair", "-x", "close")
    assert said.lines == ["hello", "00ff"]
    assert "closed by the server: 4001 that is all" in said.stderr
    assert said.code == 1
    assert node.says("close") == "close 4001 that is all"


def test_the_request_says_what_it_is_told_to(talk: Any, node: Node) -> None:
    said = talk(
        f"{node.url}/headers",
        *("-H", "X-Name: Ada: the first", "-H", "x-other:2", "-H", "User-Agent: mine"),
        *("--auth", "ada:l:l", "-o", "https://example.com", "--host", "chat.example"),
        *("-s", "chat.v1", "-s", "chat.v2", "-t", "-x", "bye"),
    )
    assert said.code == 0
    for pair in (
        '"x-name":"Ada: the first"',
        '"x-other":"2"',
        '"user-agent":"mine"',
        '"authorization":"Basic YWRhOmw6bA=="',
        '"origin":"https://example.com"',
        f'"host":"chat.example:{node.url.partition(":")[2]}"',
        '"sec-websocket-protocol":"chat.v1, chat.v2"',
    ):
        assert pair in said.stdout.replace("chat.v1,chat.v2", "chat.v1, chat.v2")
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} \{", said.stdout)


def test_a_token(talk: Any, node: Node) -> None:
    said = talk(f"{node.url}/headers", "--token", "secret", "-x", "bye")
    assert '"authorization":"Bearer secret"' in said.stdout


def test_compression_is_agreed_on_if_it_is_offered(talk: Any, node: Node) -> None:
    text = "x" * 5000
    said = talk(f"{node.url}/echo", "--compression", "-x", "extensions", "-x", text, "-x", "bye")
    assert said.lines == ["permessage-deflate", text]
    said = talk(f"{node.url}/echo", "-x", "extensions", "-x", "bye")
    assert said.lines == [""]


def test_pings_of_either_side(talk: Any, node: Node) -> None:
    said = talk(f"{node.url}/ping", "-P", "--slash", stdin="/ping knock\n/pong unasked\nbye\n")
    # Whether the answer to the server's ping or the first line of input is sent first is open.
    heard = [node.says("ping", "pong") for _ in range(3)]
    assert sorted(heard) == ["ping knock", "pong from the server", "pong unasked"]
    assert heard.index("ping knock") < heard.index("pong unasked")
    for line in ("< ping from the server", "> pong from the server", "> ping knock"):
        assert line in said.stderr
    assert re.search(r"< pong knock \(\d+\.\d ms\)", said.stderr)


def test_a_connection_that_is_cut_is_lost(talk: Any, node: Node) -> None:
    said = talk(f"{node.url}/echo", "-w", "30", "-x", "vanish")
    assert said.code == 1
    assert "connection lost: 1006" in said.stderr


def test_redirections_are_followed_if_that_is_wanted(talk: Any, node: Node) -> None:
    said = talk(f"{node.url}/redirect/2", "-x", "hello")
    assert (said.code, said.stdout) == (1, "")
    assert "sends its clients to /redirect/1; type -L to follow" in said.stderr
    said = talk(f"{node.url}/redirect/2", "-L", "-x", "hello", "-x", "bye")
    assert (said.code, said.lines) == (0, ["hello"])
    said = talk(f"{node.url}/redirect/2", "-L", "--max-redirects", "1", "-x", "hello")
    assert said.code == 1
    assert "over --max-redirects 1" in said.stderr


def test_a_page_is_no_websocket(talk: Any, node: Node) -> None:
    said = talk(f"http://{node.url}/echo", "-x", "it is the same port", "-x", "bye")
    assert said.lines == ["it is the same port"]
