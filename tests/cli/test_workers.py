"""``unisock serve --workers``: several processes on one address, with clients."""

import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect, unix_connect

PATIENCE = 20
ENOUGH = 60
"""Connections that one of two workers does not get by chance alone."""
APP = """
import os
from unisock import Server

VERSION = 1
server = Server(plugins=[])

@server.on_message
def who(spark, message):
    spark.send_nowait([VERSION, os.getpid()])

if __name__ == "__main__":
    server.run()
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path / "app.py"


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def ask(client: ClientConnection) -> tuple[int, int]:
    """Version and process of whoever is there."""
    client.send("1")
    version, process = str(client.recv(timeout=PATIENCE)).strip("[]").split(",")
    return int(version), int(process)


def on_each(
    opened: ExitStack, url: str, workers: int = 2, unix: Path | None = None
) -> dict[int, ClientConnection]:
    """A client of each worker, by its process."""
    clients: dict[int, ClientConnection] = {}
    for _ in range(ENOUGH):
        client = opened.enter_context(
            connect(url) if unix is None else unix_connect(str(unix), url)
        )
        clients[ask(client)[1]] = client
        if len(clients) == workers:
            return clients
    raise AssertionError(f"only {[*clients]} answer")


def ws(url: str, path: str = "/ws") -> str:
    return url.replace("http", "ws", 1) + path


def farewell(client: ClientConnection) -> int:
    """The code with which the server closes."""
    with pytest.raises(ConnectionClosed) as error:
        client.recv(timeout=PATIENCE)
    assert error.value.rcvd is not None
    return error.value.rcvd.code


def gone(process: int) -> bool:
    """Whether a process that is no child of ours ends."""
    try:
        watched = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], PATIENCE)[0])
    finally:
        os.close(watched)


SOCKJS = ("--set", 'options.sockjs-tornado.transports=["websocket", "websocket-raw"]')


@pytest.mark.parametrize(
    ("adapter", "path", "options"),
    [
        ("websockets", "/ws", ()),
        ("websockets", "/ws", ("--backend", "trio")),
        ("tornado", "/ws", ()),
        ("aiohttp", "/ws", ()),
        ("picows", "/ws", ()),
        ("asgi", "/ws", ()),
        ("sockjs-tornado", "/ws/websocket", SOCKJS),
    ],
    ids=["websockets", "trio", "tornado", "aiohttp", "picows", "asgi", "sockjs-tornado"],
)
def test_clients_are_spread_over_workers_which_drain(
    start: Any, app: Path, opened: ExitStack, adapter: str, path: str, options: tuple[str, ...]
) -> None:
    process = start("serve", "app", "--adapter", adapter, "--workers", "2", "--port", "0", *options)
    url = process.url()
    assert f"{adapter} · 2 workers · listening on {url}" in process.stderr
    assert process.stderr.count("listening on") == 1
    clients = on_each(opened, ws(url, path))
    assert process.popen.pid not in clients
    process.popen.send_signal(signal.SIGTERM)
    assert {farewell(client) for client in clients.values()} == {1012}
    assert process.end() == 0
    assert process.stderr.count("draining") == 1
    assert "Traceback" not in process.stderr
    assert "Warning" not in process.stderr


def test_a_worker_that_dies_is_replaced_and_the_port_stays_open(
    start: Any, app: Path, opened: ExitStack
) -> None:
    app.write_text(APP.replace("plugins=[]", "plugins=['rooms']"))
    process = start("serve", "app", "--port", "0", "--workers", "2")
    url = ws(process.url())
    assert "WARNING unisock: rooms: with several workers, each has its own" in process.stderr
    assert "howto/workers" in process.stderr
    clients = on_each(opened, url)
    victim, survivor = clients
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(ConnectionClosed):
        clients[victim].recv(timeout=PATIENCE)
    process.says(rf"worker \d \(process {victim}\) was killed by SIGKILL; another is started")
    assert ask(opened.enter_context(connect(url)))[1] == survivor
    replacement = int(process.says(r"worker \d \(process (\d+)\) serves")[1])
    assert {*on_each(opened, url)} == {survivor, replacement}
    # One that is ended in good order is replaced, too, and its clients are told.
    os.kill(survivor, signal.SIGTERM)
    assert farewell(clients[survivor]) == 1012
    process.says(r"INFO worker-\d unisock: SIGTERM: draining")
    process.says(r"worker \d \(process \d+\) serves")
    assert process.stop() == 0


def test_sighup_replaces_all_with_what_the_program_is_now(
    start: Any, app: Path, opened: ExitStack
) -> None:
    process = start("serve", "app", "--port", "0", "--workers", "2")
    url = ws(process.url())
    clients = on_each(opened, url)
    app.write_text("broken(")
    process.popen.send_signal(signal.SIGHUP)
    process.says(r"ended with exit code 1 before it served; those before it stay")
    app.write_text(APP.replace("Server(", "Server(adapter='sockjs-tornado', "))
    process.popen.send_signal(signal.SIGHUP)
    process.says(r"endpoint /ws: a session of the adapter 'sockjs-tornado' spans several requests")
    process.says(r"ended with exit code 2 before it served; those before it stay")
    assert all(ask(client)[0] == 1 for client in clients.values())
    app.write_text(APP.replace("VERSION = 1", "VERSION = 2"))
    process.popen.send_signal(signal.SIGHUP)
    process.says("all 2 workers are new")
    assert {farewell(client) for client in clients.values()} == {1012}
    fresh = on_each(opened, url)
    assert not fresh.keys() & clients.keys()
    assert {ask(client)[0] for client in fresh.values()} == {2}
    assert process.stop(signal.SIGINT) == 0


def test_a_second_signal_stops_all_at_once(start: Any, app: Path, opened: ExitStack) -> None:
    app.write_text(
        APP.replace(
            "if __name__",
            "@server.on_close\nasync def stay(spark, close):\n"
            "    import anyio\n    print('staying', flush=True)\n    await anyio.sleep(100)\n\n"
            "if __name__",
        )
    )
    app.with_name("unisock.toml").write_text("workers = 2\ndrain_seconds = 100\n")
    process = start(app, "--port", "0")
    clients = on_each(opened, ws(process.url()))
    process.popen.send_signal(signal.SIGINT)
    process.says("once more")
    for _ in clients:
        assert process.popen.stdout.readline() == "staying\n"
    assert process.stop(signal.SIGINT) == 0
    assert "Traceback" not in process.stderr
    assert "killed" not in process.stderr


def test_workers_do_not_outlive_their_parent(start: Any, app: Path, opened: ExitStack) -> None:
    process = start(app, "--port", "0", "--workers", "2")
    clients = on_each(opened, ws(process.url()))
    process.popen.kill()
    assert {farewell(client) for client in clients.values()} == {1012}
    assert all(map(gone, clients))


def test_a_unix_socket_is_shared_and_a_signal_to_all_drains(
    start: Any, app: Path, opened: ExitStack
) -> None:
    app.write_text(
        APP.replace(
            "if __name__",
            "@server.on_close\nasync def leave(spark, close):\n    import anyio\n"
            "    await anyio.sleep(0.5)\n"
            "    if spark.handshake.query:\n        print(os.getpid(), flush=True)\n\nif __name__",
        )
    )
    process = start("serve", "app", "--workers", "2", "--unix", "app.sock")
    process.says("2 workers · listening on")
    path = app.with_name("app.sock")
    clients = on_each(opened, "ws://localhost/ws", unix=path)
    os.kill(next(iter(clients)), signal.SIGTERM)
    process.says(r"worker \d \(process \d+\) serves")
    clients = on_each(opened, "ws://localhost/ws?last=1", unix=path)
    # As systemd does it: the order of the parent is no second signal to a worker.
    for number in (*clients, process.popen.pid):
        os.kill(number, signal.SIGTERM)
    assert {farewell(client) for client in clients.values()} == {1012}
    assert process.end() == 0
    assert {int(line) for line in process.stdout.split()} == {*clients}
    assert not path.exists()


def test_a_port_in_use_is_refused_even_if_its_owner_shares(start: Any, app: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start("serve", "app", "--workers", "2", "--port", port)
        assert process.end() == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in process.stderr
    assert process.stderr.count("\n") == 1


def test_what_is_wrong_at_the_start_is_said_once(start: Any, app: Path) -> None:
    app.write_text(
        APP.replace("plugins=[]", "plugins=[Plugin()]").replace(
            "VERSION = 1",
            "from unisock import hookimpl\n\nclass Plugin:\n    @hookimpl\n"
            "    def unisock_start(self):\n        raise RuntimeError('no database')\n",
        )
    )
    process = start("serve", "app", "--workers", "3", "--port", "0")
    assert process.end() == 1
    assert process.stderr.count("RuntimeError: no database") == 1
    assert process.stderr.splitlines()[-1].startswith("unisock: worker 1 (process ")
    assert process.stderr.endswith(") ended with exit code 1 before it served\n")
    assert "listening on" not in process.stderr


def test_sessions_over_several_requests_are_refused(start: Any, app: Path) -> None:
    process = start("serve", "app", "--workers", "2", "--adapter", "sockjs-tornado")
    assert process.end() == 2
    assert 'Set options.sockjs-tornado.transports = ["websocket"], or use --workers 1' in (
        process.stderr
    )
    assert process.stderr.count("\n") == 1


def test_a_change_restarts_all_workers(start: Any, app: Path, opened: ExitStack) -> None:
    process = start("serve", "app", "--port", "0", "--workers", "2", "--reload")
    clients = on_each(opened, ws(process.url()))
    fresh = app.with_suffix(".new")
    fresh.write_text(APP.replace("VERSION = 1", "VERSION = 2"))
    os.replace(fresh, app)
    assert {farewell(client) for client in clients.values()} == {1012}
    process.says("app.py changed: starting anew")
    assert "2 workers" in process.says("listening on").string
    assert process.stop() == 0


def test_the_demo_stays_in_one_process(start: Any) -> None:
    process = start("demo", "--port", "0", "--set", "workers=4")
    process.says("the chat is at")
    process.says("workers = 4 is left out: the chat is in one process")
    assert "workers ·" not in process.stderr
