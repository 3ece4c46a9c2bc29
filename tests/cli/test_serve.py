"""``unisock serve`` and ``unisock demo``, as processes with clients."""

import os
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect, unix_connect

NODE_MODULES = Path(__file__).parents[1] / "interop/node_modules"
ECHO = """
from unisock import Server
server = Server()
VERSION = 1

@server.on_message
def echo(spark, message):
    spark.send_nowait([VERSION, message])
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(ECHO)
    return tmp_path / "app.py"


def ws(url: str, path: str = "/ws") -> str:
    return url.replace("http", "ws", 1) + path


def ask(url: str, question: str = "1") -> str:
    with connect(ws(url)) as client:
        client.send(question)
        return str(client.recv(timeout=10))


@pytest.mark.parametrize("adapter", ["websockets", "tornado", "asgi"])
@pytest.mark.parametrize("target", ["app", "app:server", "app.py"])
def test_it_serves_what_it_is_pointed_at(start: Any, app: Path, target: str, adapter: str) -> None:
    process = start("serve", target, "--adapter", adapter, "--port", "0")
    url = process.url()
    assert adapter in process.stderr
    assert ask(url) == "[1,1]"
    assert process.stop() == 0
    assert process.end() == 0
    assert process.stdout == ""
    assert "Traceback" not in process.stderr


def test_trio_is_an_option_away(start: Any, app: Path) -> None:
    process = start("serve", "app", "--port", "0", "--backend", "trio")
    assert ask(process.url()) == "[1,1]"


def test_a_unix_socket(start: Any, app: Path) -> None:
    process = start("serve", "app", "--unix", "app.sock")
    process.says("listening on")
    with unix_connect(str(app.with_name("app.sock")), "ws://localhost/ws") as client:
        client.send("2")
        assert client.recv(timeout=10) == "[1,2]"


def test_settings_from_the_command_line_win(start: Any, app: Path) -> None:
    app.with_name("unisock.toml").write_text("[limits]\nmessage_bytes = 10\n[listen]\nport = 1\n")
    process = start("serve", "app", "--port", "0", "--set", "limits.message_bytes=100")
    url = process.url()
    assert ask(url, "1" * 15)
    with pytest.raises(ConnectionClosed) as error:
        ask(url, "1" * 101)
    assert error.value.rcvd is not None
    assert error.value.rcvd.code == 1009


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_tells_clients_to_come_back(start: Any, app: Path, number: int) -> None:
    process = start("serve", "app", "--port", "0")
    with connect(ws(process.url())) as client:
        process.popen.send_signal(number)
        with pytest.raises(ConnectionClosed) as error:
            client.recv(timeout=10)
    assert error.value.rcvd is not None
    assert error.value.rcvd.code == 1012
    assert process.end() == 0


def test_a_second_signal_stops_at_once(start: Any, app: Path) -> None:
    app.write_text(
        ECHO
        + "@server.on_close\nasync def stay(spark, close):\n"
        + "    import anyio\n    print('staying', flush=True)\n    await anyio.sleep(100)\n"
    )
    process = start("serve", "app", "--port", "0", "--set", "drain_seconds=100")
    with connect(ws(process.url())):
        process.popen.send_signal(signal.SIGINT)
        process.says("once more")
    assert process.popen.stdout.readline() == "staying\n"
    assert process.stop(signal.SIGINT) == 0
    assert "Traceback" not in process.stderr


def test_an_address_in_use_is_exit_code_2_and_a_sentence(start: Any, app: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("serve", "app", "--port", port)
        assert process.end() == 2
    assert f"cannot listen on 127.0.0.1:{port}" in process.stderr
    assert process.stderr.count("\n") == 1


def test_an_adapter_without_a_port_is_refused(start: Any, app: Path) -> None:
    process = start("serve", "app", "--adapter", "memory")
    assert process.end() == 2
    assert "has no port; choose another with --adapter" in process.stderr


def test_interrupted_before_it_serves_is_clean(start: Any, app: Path) -> None:
    app.write_text("import sys, time\nprint('slow', file=sys.stderr)\ntime.sleep(100)\n")
    process = start("serve", "app")
    process.says("slow")
    assert process.stop(signal.SIGINT) == 130
    assert "Traceback" not in process.stderr


class TestReload:
    def edit(self, app: Path, text: str) -> None:
        """Replace the file at once, as editors do."""
        fresh = app.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, app)

    def test_a_change_restarts_it_and_a_mistake_waits_for_the_next(
        self, start: Any, app: Path
    ) -> None:
        process = start("serve", "app", "--port", "0", "--reload")
        with connect(ws(process.url())) as client:
            self.edit(app, ECHO.replace("VERSION = 1", "VERSION = 2"))
            with pytest.raises(ConnectionClosed) as error:
                client.recv(timeout=20)
        assert error.value.rcvd is not None
        assert error.value.rcvd.code == 1012
        process.says("app.py changed: starting anew")
        assert ask(process.url()) == "[2,1]"
        self.edit(app, "server = Server(\n")
        process.says("SyntaxError")
        process.says("the server ended with 1; waiting for a change")
        self.edit(app, ECHO.replace("VERSION = 1", "VERSION = 3"))
        url = process.url()
        assert ask(url) == "[3,1]"
        assert process.stop() == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, trust_env=False)

    def test_the_configuration_counts_and_other_files_do_not(self, start: Any, app: Path) -> None:
        process = start("serve", "app", "--reload", "--set", "listen.port=0")
        assert "websockets" in process.says("listening on").string
        app.with_name("notes.txt").write_text("nothing to see")
        app.with_name("unisock.toml").write_text('adapter = "tornado"\n')
        assert "unisock.toml changed" in process.says("changed").string
        assert "tornado" in process.says("listening on").string

    def test_ctrl_c_drains_it(self, start: Any, app: Path) -> None:
        process = start("serve", "app", "--port", "0", "--reload")
        with connect(ws(process.url())) as client:
            process.popen.send_signal(signal.SIGINT)
            with pytest.raises(ConnectionClosed) as error:
                client.recv(timeout=10)
        assert error.value.rcvd is not None
        assert error.value.rcvd.code == 1012
        assert process.end() == 0
        assert "Traceback" not in process.stderr


class TestDemo:
    @pytest.mark.parametrize("adapter", ["websockets", "tornado", "asgi", "sockjs-tornado"])
    def test_it_serves_the_chat_and_says_where(self, start: Any, adapter: str) -> None:
        process = start("demo", "--adapter", adapter, "--port", "0")
        url = process.says(r"the chat is at (\S+)/ – open it in two windows")[1]
        for path, title in (("/", "unisock: one room, every client"), ("/chat", "unisock chat")):
            page = httpx.get(f"{url}{path}", trust_env=False)
            assert page.status_code == 200
            assert f"<title>{title}</title>" in page.text
        assert httpx.get(f"{url}/config.json", trust_env=False).json()["adapter"] == adapter
        assert process.stop(signal.SIGINT) == 0
        assert "Traceback" not in process.stderr

    def test_it_offers_an_endpoint_to_each_client_that_the_adapter_carries(
        self, start: Any
    ) -> None:
        def offered(*options: str) -> dict[str, str]:
            url = start("demo", "--port", "0", *options).url()
            ways = httpx.get(f"{url}/config.json", trust_env=False).json()["endpoints"]
            return {one["path"]: f"{one['protocol']} {one['dialect']}" for one in ways}

        websocket = {"/ws": "websocket plain", "/primus": "websocket primus"}
        sockjs = {"/sockjs": "sockjs plain", "/multiplex": "sockjs websocket-multiplex"}
        engineio = {"/engine.io": "engineio plain", "/socket.io": "engineio socketio"}
        every = {**websocket, **sockjs, **engineio, "/events": "eventsource plain"}
        assert offered() == every
        assert offered("--adapter", "aiohttp") == every
        assert offered("--adapter", "websockets", "--backend", "trio") == websocket
        assert offered("--backend", "trio") == websocket
        assert offered("--adapter", "sockjs-tornado") == sockjs
        assert offered("--set", 'endpoints=[{"path": "/own"}]') == {"/own": "websocket plain"}

    def test_the_library_of_primus_is_built_by_node_and_kept(
        self, start: Any, tmp_path: Path, node_program: str
    ) -> None:
        modules = tmp_path / "node_modules"
        modules.mkdir()
        for name in ("primus", "ws", "primus-emitter", "primus-multiplex"):
            (modules / name).symlink_to(NODE_MODULES / name)

        def offered(path: str) -> tuple[str, str]:
            """The library, with programs from this folder only; and what the command said."""
            process = start("demo", "--port", "0", env={"PATH": path, "NODE_PATH": ""})
            url = process.url()
            libraries = httpx.get(f"{url}/config.json", trust_env=False).json()["libraries"]
            text = ""
            if "primus" in libraries:
                assert libraries["primus"]["version"].startswith("8.")
                text = httpx.get(f"{url}/{libraries['primus']['path']}", trust_env=False).text
            process.stop()
            return text, process.stderr

        nothing, said = offered("")
        assert not nothing
        assert "Primus is left out: primus.js is built by npm's primus, which needs Node.js" in said
        library, said = offered(str(Path(node_program).parent))
        assert 'Primus.prototype.pathname = "/primus"' in library
        assert "Primus.$.emitter" in library
        assert "left out" not in said
        again, _ = offered("")
        assert again == library

    def test_the_pages_take_nothing_from_elsewhere(self, start: Any) -> None:
        url = start("demo", "--port", "0").url()
        for path in ("", "/chat", "/index.js", "/chat.js", "/live.js", "/link.js", "/base.css"):
            document = httpx.get(f"{url}{path}", trust_env=False).text
            without_namespaces = document.replace("http://www.w3.org/2000/svg", "")
            assert "http://" not in without_namespaces
            assert "https://" not in without_namespaces
            assert "." in path or "default-src 'none'; style-src 'self'" in document

    def test_a_line_in_the_configuration_changes_the_adapter(
        self, start: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "unisock.toml").write_text('adapter = "tornado"\n[listen]\nport = 0\n')
        assert "tornado" in start("demo").says("listening on").string

    def test_an_address_for_everybody_is_shown_as_one_to_open(self, start: Any) -> None:
        process = start("demo", "--host", "0.0.0.0", "--port", "0")
        process.says(r"the chat is at http://127\.0\.0\.1:\d+/")

    def test_open_opens_the_page(self, start: Any, tmp_path: Path) -> None:
        browser = tmp_path / "browser"
        browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
        browser.chmod(0o755)
        process = start("demo", "--port", "0", "--open", env={"BROWSER": str(browser)})
        url = process.says(r"the chat is at (\S+)")[1]
        process.says("listening on")
        assert (tmp_path / "opened").read_text() == f"{url}\n"
