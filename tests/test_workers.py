"""The parent of several processes, and what it refuses; `tests/cli/test_workers.py` has clients."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from unisock import workers
from unisock.config import Listen
from unisock.errors import ConfigError, Unsupported
from unisock.server import Server
from unisock.sockets import SharedPorts, address_of
from unisock.worker import Worker, describe_inheritance
from unisock.workers import Failed, Overseer, count

pytestmark = pytest.mark.anyio

WORKER = """
import sys, time
from unisock.worker import Worker
worker = Worker.adopt()
assert worker is not None and worker.sockets
worker.tell_ready()
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(workers, "REST_SECONDS", 0.01)
    monkeypatch.setattr(workers, "STOP_SECONDS", 0.1)


def overseer(ports: SharedPorts, code: str, announce: Any = lambda: None) -> Overseer:
    return Overseer(1, ports, announce, [sys.executable, "-c", WORKER + code])


# How many


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", None), ("150000 100000", 2), ("5000 100000", 1), ("", None), ("what", None)],
)
def test_auto_is_what_this_process_may_use(
    tmp_path: Path, quota: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 3, 5, 7}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    file = tmp_path / "cpu.max"
    assert count("auto", file) == 4
    file.write_text(quota + "\n")
    assert count("auto", file) == (expected or 4)
    assert count(3, file) == 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, r"workers: must be 1 or more, or \"auto\""),
        ("all", "workers: Invalid enum value 'all'; choose a number or auto"),
        (1.5, "workers: Expected `int | str`"),
    ],
)
def test_a_wrong_number_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _ = Server(folder=None, workers=value).settings


# Sharing the address


def test_a_port_is_held_and_shared() -> None:
    with SharedPorts(Listen(port=0)) as ports:
        [address] = ports.addresses
        assert address.port
        sockets = [*ports.inherit(), *ports.inherit()]
        assert [address_of(one) for one in sockets] == [address, address]
        with socket.socket() as client:
            # Nobody has begun to listen: the parent does not either.
            assert client.connect_ex(tuple(address)) != 0
        sockets[0].listen()
        with pytest.raises(ConfigError, match="Address already in use"):
            SharedPorts(Listen(port=address.port))
        for one in sockets:
            one.close()


def test_a_system_without_shared_ports_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(ConfigError, match=r"SO_REUSEPORT.*use --workers 1") as caught:
        SharedPorts(Listen(port=0))
    assert caught.value.key == "workers"


def test_a_unix_socket_goes_with_the_parent(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    with SharedPorts(Listen(unix=path)) as ports:
        [one] = ports.inherit()
        one.close()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)  # it waits for the next worker
    assert not Path(path).exists()


# Sessions over several requests

ENDPOINTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("tornado", "websocket", {}, ""),
    ("tornado", "sockjs", {}, r"protocol 'sockjs'.*Set options.transports = \[\"websocket\"\]"),
    ("tornado", "sockjs", {"transports": ["websocket", "websocket-raw"]}, ""),
    ("tornado", "engineio", {}, r"protocol 'engineio'.*Set options.transports"),
    ("tornado", "engineio", {"transports": ["websocket"]}, ""),
    ("tornado", "eventsource", {"post": True}, r"protocol 'eventsource'.*options.post = false"),
    ("tornado", "eventsource", {}, ""),
]


@pytest.mark.parametrize(("adapter", "protocol", "options", "refusal"), ENDPOINTS)
def test_a_session_over_several_requests_needs_one_process(
    adapter: str, protocol: str, options: dict[str, Any], refusal: str
) -> None:
    endpoint = {"path": "/x", "protocol": protocol, "options": options}
    server = Server(folder=None, adapter=adapter, endpoints=[endpoint])
    server.check()
    if not refusal:
        server.check(processes=2)
        return
    with pytest.raises(Unsupported, match=f"endpoint /x: .*{refusal}.*--workers 1") as caught:
        server.check(processes=2)
    assert (caught.value.what, caught.value.who) == ("workers", protocol)


@pytest.mark.parametrize(
    ("transports", "alone"), [(["websocket"], False), (["websocket", "xhr-polling"], True)]
)
def test_so_does_an_adapter_with_such_sessions(transports: list[str], alone: bool) -> None:
    options = {"sockjs-tornado": {"transports": transports}}
    server = Server(folder=None, adapter="sockjs-tornado", options=options)
    if not alone:
        server.check(processes=2)
        return
    with pytest.raises(Unsupported, match=r"Set options.sockjs-tornado.transports = "):
        server.check(processes=2)


def test_plugins_say_what_is_in_one_process() -> None:
    server = Server(folder=None, adapter="memory", plugins=["rooms", "emitter", "multiplex"])
    assert server.check().per_process == ["rooms", "channels as audiences"]


# Minding them


@pytest.mark.usefixtures("quick")
async def test_it_gives_up_when_all_die_soon_after_their_start() -> None:
    announced: list[bool] = []
    with (
        SharedPorts(Listen(port=0)) as ports,
        anyio.fail_after(30),
        pytest.raises(Failed, match="exit code 3: 5 in a row did so soon") as caught,
    ):
        await overseer(ports, "sys.exit(3)", lambda: announced.append(True)).run()
    assert caught.value.code == 1
    assert announced == [True]


@pytest.mark.usefixtures("quick")
async def test_it_tries_again_when_the_system_lets_nobody_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with SharedPorts(Listen(port=0)) as ports, anyio.fail_after(30):
        inherit, calls = ports.inherit, iter(range(100))

        def full() -> list[socket.socket]:
            if next(calls) == 1:
                raise OSError(errno.EMFILE, "Too many open files")
            return inherit()

        monkeypatch.setattr(ports, "inherit", full)
        with pytest.raises(Failed, match="5 in a row"):
            await overseer(ports, "sys.exit(3)").run()
        assert "worker 1 cannot be started: [Errno 24] Too many open files; tried" in caplog.text
        with pytest.raises(Failed, match=r"worker 1 cannot be started: .*No such file"):
            await Overseer(1, ports, lambda: None, ["/there/is/none"]).run()


@pytest.mark.parametrize(
    ("code", "expected", "said"),
    [
        ("raise SystemExit(2)", 2, "exit code 2 before it served$"),
        ("", 1, "exit code 0 before it served; this program has to serve when"),
    ],
)
async def test_a_start_that_fails_is_the_end(code: str, expected: int, said: str) -> None:
    with (
        SharedPorts(Listen(port=0)) as ports,
        anyio.fail_after(30),
        pytest.raises(Failed, match=said) as caught,
    ):
        await Overseer(2, ports, lambda: None, [sys.executable, "-c", code]).run()
    assert caught.value.code == expected


@pytest.mark.usefixtures("quick")
async def test_one_that_does_not_stop_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "unisock")

    def interrupt_twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)

    with SharedPorts(Listen(port=0)) as ports, anyio.fail_after(30):
        await overseer(ports, "time.sleep(100)", interrupt_twice).run()
    assert "draining; once more to stop at once" in caplog.text
    assert "does not stop: it is killed" in caplog.text


def test_who_is_told_by_a_worker_only_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        [(name, told)] = describe_inheritance(1, [theirs]).items()
        number, inode, file = told.split()
        monkeypatch.setenv(name, f"{number} {int(inode) + 1} {file}")
        assert Worker.adopt() is None
        assert name not in os.environ
    monkeypatch.setenv(name, told)  # and the file is closed
    assert Worker.adopt() is None
