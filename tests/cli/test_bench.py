"""``unisock bench``: as a process, against real echoes and things that are none."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from unisock.cli.app import unisock

from .processes import serving

INTEROP = Path(__file__).parents[1] / "interop"
SHORT = ("--seconds", "0.3", "--warmup", "0.05", "--connections", "3")

APP = """
import sys
from unisock import HandshakeRejected, Server
server = Server(endpoints=[
    {"path": "/json"},
    {"path": "/raw", "codec": "raw"},
    {"path": "/shout", "codec": "raw"},
    {"path": "/mute", "codec": "raw"},
    {"path": "/fickle", "codec": "raw"},
    {"path": "/curt", "codec": "raw"},
    {"path": "/scarce", "codec": "raw"},
    {"path": "/closed", "codec": "raw"},
    {"path": "/loud", "codec": "raw"},
])

@server.on_message
def echo(spark, message):
    return spark.send(message)

@server.endpoint("/shout").on_message
def shout(spark, message):
    return spark.send(message.upper())

@server.endpoint("/mute").on_message
def mute(spark, message): ...

@server.endpoint("/fickle").on_message
def fickle(spark, message):
    spark.state["n"] = spark.state.get("n", 0) + 1
    return spark.send(message if spark.state["n"] < 20 else message + "!")

@server.endpoint("/curt").on_message
def curt(spark, message):
    spark.state["n"] = spark.state.get("n", 0) + 1
    if spark.state["n"] > 20:
        return spark.close(4321, "enough")
    return spark.send(message)

@server.endpoint("/loud").on_message
def loud(spark, message):
    spark.state["n"] = spark.state.get("n", 0) + 1
    if spark.state["n"] == 100:
        print("a hundred", file=sys.stderr)
    return spark.send(message)

admitted = []

@server.endpoint("/scarce").authorize
def scarce(handshake):
    admitted.append(handshake)
    if len(admitted) > 2:
        raise HandshakeRejected("full", status=503)

@server.endpoint("/closed").authorize
def closed(handshake):
    if handshake.headers.get("authorization") != "Bearer secret":
        raise HandshakeRejected("who are you", status=401)
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "app.py"
    path.write_text(APP)
    return path


@pytest.fixture(scope="module", params=["websockets", "tornado"])
def url(request: pytest.FixtureRequest, app: Path) -> Iterator[str]:
    """A server of ours, on each adapter."""
    with serving(app, request.param) as address:
        yield f"ws://{address}"


@pytest.fixture(scope="module")
def one_url(app: Path) -> Iterator[str]:
    """The same, where the adapter does not matter."""
    with serving(app, "websockets") as address:
        yield f"ws://{address}"


@pytest.fixture
def node_server(node_program: str) -> Iterator[Any]:
    """``node_server("greet")``: the URL of an echo on npm's ws."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> str:
        process = subprocess.Popen(
            [node_program, str(Path(__file__).with_name("echo_server.js")), *arguments],
            env=os.environ | {"NODE_PATH": str(INTEROP / "node_modules")},
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stderr is not None
        line = process.stderr.readline()
        address = re.search(r"listening on http(://\S+)", line)
        assert address is not None, line + process.stderr.read()
        return f"ws{address[1]}"

    yield run
    for process in running:
        process.kill()
        process.communicate()


def measured(start: Any, *arguments: str, code: int = 0) -> dict[str, Any]:
    process = start("bench", *arguments, "--json")
    assert process.end() == code, process.stderr
    assert "Traceback" not in process.stderr
    found: dict[str, Any] = json.loads(process.stdout)
    return found


def cells(text: str) -> dict[str, str]:
    """Name and value of each row."""
    return {row.split("\t")[0]: row.split("\t")[1] for row in text.splitlines()}


class TestEchoes:
    @pytest.mark.parametrize("path", ["/json", "/raw"])
    def test_it_measures_an_endpoint_of_any_text_codec(
        self, start: Any, url: str, path: str
    ) -> None:
        found = measured(start, url + path, *SHORT)
        assert found["errors"] == {}
        assert found["opened"] == found["connections"] == 3
        assert found["messages"] > 3
        assert found["size"] == 128
        rate = found["messages"] / found["seconds"]
        assert found["messages_per_second"] == pytest.approx(rate, rel=0.01)
        assert found["megabytes_per_second"] == pytest.approx(rate * 128 / 1e6, rel=0.02)
        latency = found["latency"]
        order = [latency[name] for name in ("min", "p50", "p90", "p99", "p99.9", "max")]
        assert order == sorted(order)
        assert 0 < order[0] < latency["mean"] < order[-1]
        assert 0 < found["connect"]["p50"] <= found["connect"]["p99"]

    def test_anybodys_echo(self, start: Any, node_server: Any) -> None:
        found = measured(start, node_server(), *SHORT, "--depth", "4", "--size", "70000")
        assert found["errors"] == {}
        assert found["size"] == 70000
        assert found["messages"] > 12

    def test_a_greeting_before_the_first_echo_is_passed_over(
        self, start: Any, node_server: Any
    ) -> None:
        assert measured(start, node_server("greet"), *SHORT)["errors"] == {}

    def test_binary_messages(self, start: Any, one_url: str) -> None:
        assert measured(start, one_url + "/raw", *SHORT, "--binary")["errors"] == {}

    def test_so_many_messages_and_no_more(self, start: Any, url: str) -> None:
        load = ("--messages", "250", "--depth", "7", "--connections", "3")
        assert measured(start, url + "/raw", *load)["messages"] == 250

    def test_a_rate_is_kept(self, start: Any, one_url: str) -> None:
        load = ("--rate", "500", "--messages", "200", "--warmup", "0")
        found = measured(start, one_url + "/raw", *load)
        assert found["rate"] == 500
        assert found["messages"] == 200
        assert found["seconds"] >= 199 / 500  # it may be behind the plan, but never before it

    def test_a_rate_that_is_too_high_is_said_to_be(self, start: Any, one_url: str) -> None:
        load = ("--rate", "1e6", "--depth", "1", *SHORT)
        found = measured(start, one_url + "/raw", *load)
        assert any("planned messages were not sent" in text for text in found["warnings"])
        assert found["latency"]["max"] > 100  # ms: the last ones had waited for nearly all of it

    def test_what_the_request_says(self, start: Any, one_url: str) -> None:
        closed = one_url + "/closed"
        assert measured(start, closed, *SHORT, "--token", "secret")["errors"] == {}
        assert measured(start, closed, *SHORT, "-H", "Authorization: Bearer secret")["errors"] == {}
        process = start("bench", closed, *SHORT)
        assert process.end() == 1
        assert "3 × the server refuses with 401" in process.stderr
        assert "--token" in process.stderr
        assert process.stdout == ""


class TestFailures:
    @pytest.mark.parametrize(
        ("path", "told"),
        [
            ("/shout", r'it answered "x+… \(128 characters of text\) with "X+… \(128 characters'),
            ("/mute", r"no answer to a message within 0\.5 seconds"),
            ("/fickle", r'it answered "x+… \(128 .*\) with "x+… \(129 characters of text\)'),
        ],
    )
    def test_it_does_not_echo(self, start: Any, url: str, path: str, told: str) -> None:
        process = start("bench", url + path, *SHORT, "--timeout", "0.5")
        assert process.end() == 1
        assert re.search(f"unisock: this endpoint does not echo: {told}", process.stderr)
        assert process.stderr.count("\n") == 1

    def test_nobody_is_there(self, start: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as bound:
            port = bound.getsockname()[1]
        process = start("bench", f"ws://127.0.0.1:{port}/", *SHORT)
        assert process.end() == 1
        assert f"3 × cannot connect to 127.0.0.1:{port}" in process.stderr
        assert process.stderr.count("\n") == 1
        assert process.stdout == ""

    def test_it_never_answers_the_handshake(self, start: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as bound:
            url = f"ws://127.0.0.1:{bound.getsockname()[1]}/"
            found = measured(start, url, *SHORT, "--timeout", "0.3", code=1)
        assert found["errors"] == {"no connection within 0.3 seconds": 3}

    def test_it_is_no_websocket(self, start: Any, url: str) -> None:
        found = measured(start, url + "/nowhere", *SHORT, code=1)
        assert sum(found["errors"].values()) == 3
        assert "refuses with 404" in next(iter(found["errors"]))

    def test_the_others_go_on_when_some_cannot_connect(self, start: Any, url: str) -> None:
        found = measured(start, url + "/scarce", *SHORT, "--connections", "5", code=1)
        assert found["opened"] == 2
        assert found["messages"] > 2
        assert found["errors"] == {"the server refuses with 503: full": 3}

    def test_lost_connections_are_counted(self, start: Any, url: str) -> None:
        found = measured(start, url + "/curt", *SHORT, "--warmup", "0", code=1)
        assert found["messages"] == 3 * 19  # the first of each was the trial
        assert found["errors"] == {
            "connection lost: 4321 enough": 3,
            "messages lost with their connection": 3,
        }

    @pytest.mark.parametrize(
        ("arguments", "hint"),
        [
            ([], "URL"),
            (["ftp://x"], "ws://"),
            (["ws://x", "--seconds", "1", "--messages", "2"], "choose one"),
            (["ws://x", "--rate", "0"], "--rate"),
            (["ws://x", "-H", "nonsense"], "NAME:VALUE"),
            (["ws://x", "--plot", "a.gif"], "ends in .svg or .png"),
            (["ws://x", "--plot", "no/such/folder.svg"], "there is no folder no/such"),
            (["ws://x", "--connections", "70000"], "--connections"),
        ],
    )
    def test_wrong_usage(self, start: Any, arguments: list[str], hint: str) -> None:
        process = start("bench", *arguments)
        assert process.end() == 2
        assert hint in process.stderr
        assert "Traceback" not in process.stderr


class TestPlain:
    def test_more_connections_than_files_may_be_open(self) -> None:
        bench = f"{sys.executable} -m unisock bench ws://127.0.0.1:1/ --connections 200"
        result = subprocess.run(
            ["sh", "-c", f"ulimit -n 128 && exec {bench}"], capture_output=True, text=True
        )
        assert result.returncode == 2
        assert "this process may have open files (128); type: --connections 64" in result.stderr

    def test_rows_for_a_pipe(self, start: Any, one_url: str) -> None:
        process = start("bench", one_url + "/raw", *SHORT)
        assert process.end() == 0
        found = cells(process.stdout)
        assert float(found["throughput"]) > 0
        assert float(found["latency p99.9"]) >= float(found["latency p50"]) > 0
        assert float(found["connect p99"]) > 0
        assert found["errors"] == "0"
        assert "\x1b" not in process.stdout + process.stderr
        assert "measuring" not in process.stderr

    def test_ctrl_c_shows_what_was_measured(self, start: Any, app: Path) -> None:
        server = start("serve", str(app), "--port", "0")
        url = server.url().replace("http", "ws") + "/loud"
        process = start("bench", url, "--seconds", "100", "--warmup", "0", "-c", "1")
        server.says("a hundred")
        assert process.stop(signal.SIGINT) == 130
        found = cells(process.stdout)
        assert int(found["messages"]) >= 90
        assert float(found["latency p50"]) > 0
        assert found["errors"] == "0"
        assert "Traceback" not in process.stderr

    def test_ctrl_c_before_anything_is_measured(self, start: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as bound:
            process = start("bench", f"ws://127.0.0.1:{bound.getsockname()[1]}/")
            with bound.accept()[0] as client:
                assert client.recv(1)  # it is connecting
                assert process.stop(signal.SIGINT) == 130
        assert process.stdout == ""
        assert "Traceback" not in process.stderr


class TestTerminal:
    def test_a_progress_bar_and_a_table(self, one_url: str, tmp_path: Path) -> None:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "unisock", "bench", one_url + "/raw", *SHORT],
            env={k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CI")}
            | {"TERM": "xterm-256color", "COLUMNS": "100"},
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
        assert process.wait(30) == 0
        os.close(ours)
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
        for phase in ("connecting", "measuring"):
            assert re.search(rf"{phase} +[━╸╺]+", shown)
        assert re.search(r"measuring +[━╸╺]+ +\d+% [\d,]+ messages/s", shown)
        table = shown[shown.index("╭") :]
        for name in ("messages/s", "MB/s each way", "latency p99.9", "connect p50", "errors"):
            assert re.search(rf"│ {re.escape(name)} +│ +[\d,.]+( µs| ms| s)? │", table), table
        assert "measuring" not in table


class TestPicture:
    def test_an_svg(self, start: Any, one_url: str, tmp_path: Path) -> None:
        process = start("bench", one_url + "/raw?a=1&b=2", *SHORT, "--plot", "load.svg")
        assert process.end() == 0
        assert "drew load.svg" in process.stderr
        text = (tmp_path / "load.svg").read_text(encoding="utf-8")
        assert "prefers-color-scheme: dark" in text
        root = ET.fromstring(text)
        words = ["".join(each.itertext()) for each in root.iterfind(".//{*}text")]
        assert one_url + "/raw?a=1&b=2" in words
        for title in ("Messages a second", "Latency over time", "How latencies are spread"):
            assert title in words
        assert any(re.fullmatch(r"p50 [\d.,]+ (µs|ms|s)", each) for each in words)
        assert len([*root.iterfind(".//{*}rect")]) > 3  # the bars
        assert len([*root.iterfind(".//{*}polygon")]) == 1  # the throughput
        width, height = (float(root.attrib[name]) for name in ("width", "height"))
        for each in root.iterfind(".//{*}rect"):
            assert 0 <= float(each.attrib["x"]) <= width
            assert 0 <= float(each.attrib["y"]) + float(each.attrib["height"]) <= height

    def test_a_png(self, start: Any, one_url: str, tmp_path: Path) -> None:
        process = start("bench", one_url + "/raw", *SHORT, "--plot", "load.png")
        assert process.end() == 0
        with Image.open(tmp_path / "load.png") as image:
            assert image.format == "PNG"
            assert image.size[0] == 1920
            colours = image.convert("RGB").getcolors(1 << 20)
        assert colours is not None
        by_colour = {colour: count for count, colour in colours}
        assert by_colour[(0x2A, 0x78, 0xD6)] > 100  # bars and line
        assert by_colour[(0x1C, 0x1C, 0x1A)] > 100  # words

    def test_without_pillow_it_says_what_to_type(self, tmp_path: Path) -> None:
        script = (
            "import sys\n"
            "class Hidden:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name == 'PIL': raise ModuleNotFoundError(name)\n"
            "sys.meta_path.insert(0, Hidden())\n"
            "from unisock.cli import main\n"
            "main(['bench', 'ws://127.0.0.1:1/', '--plot', 'a.png'])"
        )
        result = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
        )
        assert result.returncode == 2
        assert 'pip install "unisock[plot]"' in result.stderr
        assert result.stderr.count("\n") == 1


def test_the_help_says_what_a_rate_does_to_latencies() -> None:
    shown = " ".join(CliRunner().invoke(unisock, ["bench", "--help"]).stdout.split())
    assert "planned time" in shown
    assert "a stall shows in all messages that it delays" in shown
