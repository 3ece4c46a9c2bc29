"""One application, on each host, as a user runs it: a process of its own, with real clients."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from unisock.testing.ports import private_port

PATIENCE = 40
HERE = Path(__file__).parent


class Host(NamedTuple):
    """How to start one, and what it makes of the same application.

    :ivar refuses: the status that a refused client sees
    :ivar reasons: our close reason reaches the client
    :ivar hears: what the application learns of a client's close: code, reason, origin
    :ivar leaves: the close code that clients see when the host stops; 1006 for none
    :ivar exits: its exit code after SIGTERM
    """

    command: list[str]
    ready: str
    refuses: int = 401
    reasons: bool = True
    hears: tuple[Any, ...] = (4002, "that is all", "peer")
    leaves: int = 1012
    exits: int = 0


HOSTS = {
    "uvicorn": Host(
        ["uvicorn", "--port", "PORT", "hosted:app"], "Uvicorn running on", exits=-signal.SIGTERM
    ),
    "hypercorn-asyncio": Host(
        ["hypercorn", "--bind", "127.0.0.1:PORT", "hosted:app"],
        "Running on",
        hears=(1006, "connection lost", "lost"),
    ),
    "hypercorn-trio": Host(
        ["hypercorn", "--worker-class", "trio", "--bind", "127.0.0.1:PORT", "hosted:app"],
        "Running on",
        hears=(1006, "connection lost", "lost"),
    ),
    "granian": Host(
        ["granian", "--interface", "asgi", "--port", "PORT", "hosted:app"],
        "Started worker-1",
        hears=(4002, "", "peer"),
        leaves=1006,
    ),
    "daphne": Host(
        ["daphne", "--port", "PORT", "hosted:app"],
        "Listening on TCP address",
        refuses=403,
        reasons=False,
        hears=(4002, "", "peer"),
        leaves=1006,
    ),
}


class Running(NamedTuple):
    host: Host
    process: "subprocess.Popen[str]"
    authority: str

    def ws(self, path: str = "/ws") -> str:
        return f"ws://{self.authority}{path}"

    def http(self, path: str) -> str:
        return f"http://{self.authority}{path}"

    def diary(self, count: int) -> list[Any]:
        """What has happened since the last question: so much at least."""
        return get(self.http(f"/probe/diary/{count}")).json()


def get(url: str, **more: Any) -> httpx.Response:
    return httpx.request(more.pop("method", "GET"), url, trust_env=False, timeout=PATIENCE, **more)


@pytest.fixture(scope="module", params=HOSTS)
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    port = str(private_port())
    host = HOSTS[request.param]
    script, *arguments = [part.replace("PORT", port) for part in host.command]
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / script), *arguments],
        cwd=HERE,
        env={
            **os.environ,
            "PYTHONPATH": str(HERE),
            "PYTHONUNBUFFERED": "1",
            **({"UNISOCK_LAZY": "1"} if script == "daphne" else {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if re.search(host.ready, line):
            break
    else:
        raise AssertionError(said)
    running = Running(host, process, f"127.0.0.1:{port}")
    get(running.http("/probe/hello"))  # starts a lazy one
    try:
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def test_messages_come_back(running: Running) -> None:
    with connect(
        running.ws(), subprotocols=[Subprotocol("v1"), Subprotocol("v2")], max_size=None
    ) as client:
        assert client.subprotocol == "v2"
        for message in ("grüße", b"\x00\xff", "x" * 200_000):
            client.send(message)
            assert client.recv(timeout=PATIENCE) == message
    running.diary(1)


def test_a_refused_client_sees_the_status(running: Running) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(running.ws("/ws?stranger")):
        pass
    response = refused.value.response
    assert response.status_code == running.host.refuses
    if response.status_code == 401:
        assert b"members only" in bytes(response.body or b"")


def test_nothing_there_is_404(running: Running) -> None:
    assert get(running.http("/nothing")).status_code == 404
    assert get(running.http("/ws")).status_code == 426


def test_our_close_arrives(running: Running) -> None:
    with connect(running.ws()) as client:
        client.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE)
    received = closed.value.rcvd
    assert received is not None
    assert (received.code, received.reason) == (
        4001,
        "as you wish" if running.host.reasons else "",
    )
    assert running.diary(1) == [["closed", 4001, "as you wish", "local"]]


def test_the_clients_close_arrives(running: Running) -> None:
    with connect(running.ws()) as client:
        client.send("hello")
        client.recv(timeout=PATIENCE)
        client.close(4002, "that is all")
    assert running.diary(1) == [["closed", *running.host.hears]]


def test_a_body_comes_back(running: Running) -> None:
    body = bytes(range(256)) * 400
    answer = get(running.http("/probe/body"), method="POST", content=body)
    assert (answer.status_code, answer.content) == (200, body)


def test_a_stream_comes_bit_by_bit_and_its_reader_is_missed(running: Running) -> None:
    with httpx.stream("GET", running.http("/probe/stream"), trust_env=False) as answer:
        assert answer.headers["content-type"] == "text/x-test"
        received = b""
        for piece in answer.iter_raw():
            received += piece
            if received == b"onetwo":
                break
    assert running.diary(1) == [["gone"]]


def test_an_answer_that_nobody_waits_for_is_cancelled(running: Running) -> None:
    host, port = running.authority.split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /probe/wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert running.diary(1) == [["waits"]]
    assert running.diary(1) == [["cancelled"]]


def test_the_host_stops(running: Running) -> None:
    with connect(running.ws()) as client:
        client.send("hello")
        client.recv(timeout=PATIENCE)
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE)
    received = closed.value.rcvd
    assert (received.code if received is not None else 1006) == running.host.leaves
    said = running.process.communicate(timeout=PATIENCE)[0]
    assert running.process.returncode == running.host.exits, said
    assert "unisock" not in said, said
