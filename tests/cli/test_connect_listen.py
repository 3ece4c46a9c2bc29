"""``unisock connect --listen`` in a pipe."""

import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

Listen = Callable[..., tuple[Any, str]]


@pytest.fixture
def listen(tmp_path: Path) -> Generator[Listen]:
    """``listen("--json")``: the process, whose standard input stays open, and its URL."""
    # A configuration for another server, which is not to be heeded.
    (tmp_path / "unisock.toml").write_text('adapter = "tornado"\n[listen]\nhost = "192.0.2.1"\n')
    running: list[subprocess.Popen[str]] = []

    def listen(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "unisock", "connect", "--listen", "0", *arguments],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        stream = process.stdout if "--json" in arguments else process.stderr
        assert stream is not None
        return process, stream.readline().partition("listening on ")[2].strip().partition('"')[0]

    yield listen
    for process in running:
        process.kill()
        process.communicate()


def send(process: Any, line: str) -> None:
    process.stdin.write(line + "\n")
    process.stdin.flush()


def test_lines_go_to_the_one_client_and_its_messages_come(listen: Listen) -> None:
    process, url = listen()
    send(process, "waits for somebody")
    with connect(url) as client:
        assert client.recv(timeout=30) == "waits for somebody"
        client.send("thank you")
        assert process.stdout.readline() == "thank you\n"
        with pytest.raises(InvalidStatus) as refused, connect(url):
            pass
        assert refused.value.response.status_code == 503
        assert b"somebody is connected already" in refused.value.response.body
    assert "has come" in process.stderr.readline()
    assert "has closed: 1000" in process.stderr.readline()
    with connect(url) as client:
        send(process, "the next")
        assert client.recv(timeout=30) == "the next"
        process.send_signal(signal.SIGINT)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert process.wait(30) == 130
    assert "Traceback" not in process.stderr.read()


def test_path_subprotocol_codec_and_compression(listen: Listen) -> None:
    process, url = listen("/chat", "-s", "v1", "--codec", "json", "--compression")
    assert url.endswith("/chat")
    with connect(url, subprotocols=["v2", "v1"], origin="https://example.com") as client:  # type: ignore[list-item,arg-type]
        assert client.subprotocol == "v1"
        assert [extension.name for extension in client.protocol.extensions] == [
            "permessage-deflate"
        ]
        send(process, "word")
        assert client.recv(timeout=30) == '"word"'
        client.send('{"a": 1}')
        assert process.stdout.readline() == '{"a":1}\n'
        client.send("no JSON")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007


def test_records_for_programs(listen: Listen) -> None:
    process, url = listen("--json", "--slash", "-w", "0")
    with connect(url) as client:
        assert '"type":"peer","data":"here"' in process.stdout.readline()
        client.send(b"\x00")
        assert '"data":"AA==","encoding":"base64"' in process.stdout.readline()
        send(process, "/ping knock")
        send(process, "/close 4001 enough")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=30)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")
    rest, _ = process.communicate(timeout=30)
    assert '"type":"peer","data":"gone","code":4001,"reason":"enough"' in rest
    assert process.returncode == 0


def test_a_port_in_use_is_exit_code_2_and_a_sentence(listen: Listen) -> None:
    _, url = listen()
    port = url.rstrip("/").rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "unisock", "connect", "--listen", port],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert done.stderr.count("\n") == 1
