"""A server as a process: options, the line that says where it is, signals, exit codes."""

from __future__ import annotations

import signal
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unisock import launch
from unisock.errors import ConfigError
from unisock.handshake import Address
from unisock.memory import MemoryAdapter
from unisock.server import Server

Start = Callable[..., Any]

APP = """
import anyio
from unisock import Capabilities, Server, hookimpl
from unisock.abc import Adapter, Listener
from unisock.sockets import address_of

class Open(Listener):
    def __init__(self, sockets):
        self.sockets = sockets
        self.addresses = tuple(map(address_of, sockets))

    def close(self):
        for bound in self.sockets:
            bound.close()

class Porter(Adapter):
    "Listens, and lets everybody wait."

    name = "porter"
    capabilities = Capabilities(backends=("asyncio", "trio"), websocket=True)

    async def serve(self, gateway, *, task_status):
        listener = Open(gateway.sockets())
        task_status.started(listener)
        try:
            await anyio.sleep_forever()
        finally:
            listener.close()

class Plugin:
    @hookimpl
    def unisock_stop(self):
        print("stopped in good order", flush=True)

server = Server(adapter=Porter(), plugins=[Plugin()])
server.on_message(lambda spark, message: None)
if __name__ == "__main__":
    server.run()
"""

HANGS = """
    async def drain(deadline=None):
        print("draining", file=__import__("sys").stderr, flush=True)
        await anyio.sleep_forever()
    server.drain = drain
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text(APP)
    return path


# The command line


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], {}),
        (["--adapter", "x"], {"adapter": "x"}),
        (["--port", "0"], {"listen": {"port": 0}}),
        (
            ["--host", "::1", "--port", "1", "--backend", "trio"],
            {"backend": "trio", "listen": {"host": "::1", "port": 1}},
        ),
        (["--unix", "s"], {"listen": {"unix": "s"}}),
    ],
)
def test_options_are_settings(argv: list[str], expected: dict[str, Any]) -> None:
    assert launch.parse(argv) == expected


@pytest.mark.parametrize("argv", [["--prot", "1"], ["--port", "x"], ["--backend", "curio"], ["x"]])
def test_a_wrong_option_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        launch.parse(argv)
    assert caught.value.code == 2
    assert argv[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("listen", "addresses", "where"),
    [
        ({}, [Address("127.0.0.1", 80)], "http://127.0.0.1:80"),
        (
            {"tls": {"certificate": "c"}},
            [Address("::1", 1), Address("127.0.0.1", 1)],
            "https://[::1]:1 and https://127.0.0.1:1",
        ),
        ({"unix": "/run/s"}, [Address("/run/s")], "http+unix:/run/s"),
    ],
)
def test_the_line_that_says_where_it_is(
    listen: dict[str, Any], addresses: list[Address], where: str
) -> None:
    settings = Server(folder=None, adapter="x", listen=listen).settings
    line = launch.describe(settings, addresses)
    assert line.startswith("unisock ")
    assert line.endswith(f" · x · listening on {where}")


def test_a_loop_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trio", None)
    with pytest.raises(SystemExit) as caught:
        Server(folder=None, adapter=MemoryAdapter(), backend="trio").run(())
    assert caught.value.code == launch.EXIT_CONFIG
    assert capsys.readouterr().err == (
        "unisock: backend: trio is not installed. Try: pip install trio\n"
    )


def test_an_adapter_without_a_port_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Server(folder=None).run(("--adapter", "memory"))
    assert caught.value.code == launch.EXIT_CONFIG
    assert "has no port; choose another with --adapter" in capsys.readouterr().err


def test_a_wrong_configuration_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Server(folder=None, listen={"prot": 1}).run(())
    assert caught.value.code == launch.EXIT_CONFIG
    assert isinstance(caught.value.__cause__, ConfigError)
    assert capsys.readouterr().err == (
        "unisock: Server(…): listen.prot: no such setting; did you mean port?\n"
    )


# The process


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(start: Start, app: Path, backend: str, number: int) -> None:
    process = start(app, "--port", "0", "--backend", backend)
    port = int(process.url().rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        pass
    assert process.stop(number) == 0
    assert process.stdout == "stopped in good order\n"
    assert "draining" in process.stderr
    assert "Traceback" not in process.stderr


def test_a_second_signal_stops_at_once(start: Start, app: Path) -> None:
    app.write_text(APP.replace("    server.run()", HANGS + "    server.run()"))
    process = start(app, "--port", "0")
    process.url()
    process.popen.send_signal(signal.SIGINT)
    process.says("^draining")
    assert process.stop(signal.SIGINT) == 0
    assert process.stdout == "stopped in good order\n"
    assert "Traceback" not in process.stderr


def test_a_port_in_use_is_one_line_and_exit_code_2(start: Start, app: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(app, "--port", port)
        assert process.end() == launch.EXIT_CONFIG
    assert process.stderr == (
        f"unisock: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another with --port, or 0 for a free one\n"
    )


def test_a_unix_socket_and_the_environment(start: Start, app: Path, tmp_path: Path) -> None:
    app.write_text(APP.replace("websocket=True", "websocket=True, unix=True"))
    process = start(app, cwd=tmp_path, env={"UNISOCK_LISTEN_UNIX": "s.sock"})
    process.says(r"listening on http\+unix:s\.sock")
    assert stat.S_ISSOCK((tmp_path / "s.sock").stat().st_mode)
    assert process.stop() == 0


def test_the_configuration_beside_the_program(start: Start, app: Path, tmp_path: Path) -> None:
    (tmp_path / "unisock.toml").write_text("[listen]\nport = 'x'\n")
    process = start(app, cwd=tmp_path)
    assert process.end() == launch.EXIT_CONFIG
    assert process.stderr.startswith("unisock: unisock.toml: listen.port: Expected `int`")
    assert process.stderr.count("\n") == 1
