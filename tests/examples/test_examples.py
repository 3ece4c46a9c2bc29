"""Each example as a user runs it: a process of its own, with a real client."""

import re
import signal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from unisock.testing.ports import private_port

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
BACKENDS = [("websockets", "asyncio"), ("websockets", "trio"), ("tornado", "asyncio")]
# On sockjs-tornado, a plain WebSocket client uses the endpoint for raw WebSockets below it.
EVERYWHERE = [*[(*one, "") for one in BACKENDS], ("sockjs-tornado", "asyncio", "/websocket")]
PATIENCE = 40
SERVED = [path.name for path in sorted(EXAMPLES.glob("*.py")) if "server.run()" in path.read_text()]
"""Those that are a server of their own, not a guest of another."""

everywhere = pytest.mark.parametrize(("adapter", "backend", "below"), EVERYWHERE)


def serve(start: Any, name: str, adapter: str, backend: str) -> str:
    """Where WebSocket clients find the example."""
    process = start(EXAMPLES / name, "--port", "0", "--adapter", adapter, "--backend", backend)
    return process.url().replace("http", "ws", 1)


@pytest.mark.parametrize("name", SERVED)
def test_every_example_starts_drains_and_has_help(start: Any, name: str) -> None:
    process = start(EXAMPLES / name, "--port", "0")
    process.url()
    assert process.stop() == 0
    assert "Traceback" not in process.stderr
    helped = start(EXAMPLES / name, "--help")
    assert helped.end() == 0
    assert "--adapter" in helped.stdout


@everywhere
def test_echo_sends_back_what_it_gets(start: Any, adapter: str, backend: str, below: str) -> None:
    url = serve(start, "echo.py", adapter, backend)
    messages: list[str | bytes] = ["grüße", "", "x" * 100_000]
    if adapter != "sockjs-tornado":
        messages += [b"\x00\xff", b""]
    with connect(f"{url}/echo{below}") as client:
        for message in messages:
            client.send(message)
            assert client.recv(timeout=PATIENCE) == message


@everywhere
def test_broadcast_reaches_everyone_on_it(
    start: Any, adapter: str, backend: str, below: str
) -> None:
    url = serve(start, "echo.py", adapter, backend)
    broadcast = f"{url}/broadcast{below}"
    with connect(f"{url}/echo{below}") as elsewhere, connect(broadcast) as one:
        with connect(broadcast) as other:
            for client in (one, other):  # who has an answer is in
                client.send("here")
                until(client, "here")
            one.send("to all")
            until(one, "to all")
            until(other, "to all")
        one.send("to who is left")
        until(one, "to who is left")
        elsewhere.send("alone")
        assert elsewhere.recv(timeout=PATIENCE) == "alone"


def until(client: ClientConnection, message: str) -> None:
    while client.recv(timeout=PATIENCE) != message:
        pass


def read_line(client: ClientConnection) -> str:
    line = ""
    while not line.endswith("\n"):
        part = client.recv(timeout=PATIENCE)
        line += part if isinstance(part, str) else part.decode()
    return line.rstrip("\n")


@everywhere
def test_stream_is_a_pipe_wherever_messages_are_cut(
    start: Any, adapter: str, backend: str, below: str
) -> None:
    url = serve(start, "stream.py", adapter, backend)
    with connect(f"{url}/calculator{below}") as client:
        for part in ("1 2", " + 4", " *\n10 4", " /\n"):
            client.send(part)
        assert [read_line(client), read_line(client)] == ["12", "2.5"]
        client.send("1 0 /\n1 2\none\n\n")
        answers = [read_line(client) for _ in range(4)]
        assert all(answer.startswith("error: ") for answer in answers)
        assert "one" in answers[2]
        client.send("9" * 1001)
        assert read_line(client) == "error: a line has at most 1000 bytes"
        with pytest.raises(ConnectionClosed) as error:
            client.recv(timeout=PATIENCE)
    assert error.value.rcvd is not None
    assert error.value.rcvd.code == 1000


@everywhere
def test_chat_lets_people_talk(start: Any, adapter: str, backend: str, below: str) -> None:
    url = serve(start, "chat.py", adapter, backend)
    way = httpx.get(url.replace("ws", "http", 1) + "/config.json", trust_env=False).json()
    assert way["adapter"] == adapter
    path = way["endpoints"][0]["path"] + below
    with connect(url + path) as ada, connect(url + path) as bob:
        for client, name in ((ada, "Ada"), (bob, "Bob")):
            emit(client, "hello", name, name)
            emit(client, "join", "lobby")
            hears(client, "joined", name=name)
        emit(ada, "say", "lobby", "hello", "1")
        assert hears(bob, "said")["name"] == "Ada"


def emit(client: ClientConnection, *data: str) -> None:
    client.send(msgspec.json.encode({"type": 0, "data": data}).decode())


@everywhere
def test_events_is_a_game_in_which_both_sides_ask(
    start: Any, adapter: str, backend: str, below: str
) -> None:
    url = serve(start, "events.py", adapter, backend)

    def say(client: ClientConnection, **envelope: Any) -> None:
        client.send(msgspec.json.encode(envelope).decode())

    def hear(client: ClientConnection) -> dict[str, Any]:
        return msgspec.json.decode(client.recv(timeout=PATIENCE))

    with connect(f"{url}/ws{below}") as ada:
        say(ada, type=0, data=["play", "Ada", 8], id=1)
        low, guess, high = 1, 0, 8
        while (asked := hear(ada))["data"][0] == "guess":
            match asked["data"][1]:
                case "higher":
                    low = guess + 1
                case "lower":
                    high = guess - 1
            guess = (low + high) // 2
            say(ada, type=1, id=asked["id"], data=[guess])
        assert asked["data"][:2] == ["won", "Ada"]
        answer = hear(ada)
        assert (answer["type"], answer["id"]) == (1, 1)
        assert answer["data"][0]["secret"] == guess
        assert 1 <= answer["data"][0]["tries"] <= 4
        say(ada, type=0, data=["play", "Ada", 1], id=2)
        assert hear(ada)["error"]["code"] == "too-easy"


def hears(client: ClientConnection, kind: str, **facts: Any) -> dict[str, Any]:
    while True:
        message = msgspec.json.decode(client.recv(timeout=PATIENCE))
        event, told = message["data"]
        if event == kind and facts.items() <= told.items():
            return told


@everywhere
def test_multiplex_counts_on_channels(start: Any, adapter: str, backend: str, below: str) -> None:
    url = serve(start, "multiplex.py", adapter, backend)

    def ask(client: ClientConnection, *frame: Any) -> Any:
        client.send(msgspec.json.encode(frame).decode())
        return msgspec.json.decode(client.recv(timeout=PATIENCE))

    with connect(f"{url}/ws{below}") as ada, connect(f"{url}/ws{below}") as bob:
        assert ask(ada, 1, "a", "counter:apples") == [0, "a", "counter:apples", 0]
        assert ask(ada, 1, "p", "counter:pears") == [0, "p", "counter:pears", 0]
        assert ask(ada, 0, "a", "counter:apples", 3) == [0, "a", "counter:apples", 3]
        assert ask(bob, 1, "x", "counter:apples") == [0, "x", "counter:apples", 3]
        assert ask(bob, 0, "x", "counter:apples", -1) == [0, "x", "counter:apples", 2]
        assert msgspec.json.decode(ada.recv(timeout=PATIENCE)) == [0, "a", "counter:apples", 2]
        assert ask(ada, 0, "p", "counter:pears", "ten")[3]["code"] == 4500
        assert ask(ada, 1, "z", "else")[3]["reason"] == "there is no channel else"


@everywhere
def test_the_client_plays_and_survives_a_restart(
    start: Any, adapter: str, backend: str, below: str
) -> None:
    serve = (EXAMPLES / "events.py", "--port", str(private_port()), "--adapter", adapter)
    server = start(*serve, "--backend", backend)
    url = server.url()
    at = f"{url.replace('http', 'ws', 1)}/ws{below}"
    client = start(EXAMPLES / "client.py", at, "--rounds", "100000", "--name", "Bob")
    with connect(at) as spectator:  # who hears of every win
        for _ in range(3):
            assert msgspec.json.decode(spectator.recv(timeout=PATIENCE))["data"][:2] == [
                "won",
                "Bob",
            ]
    server.stop(signal.SIGKILL)
    again = start(*serve, "--backend", backend)
    again.url()
    with connect(at) as spectator:
        for _ in range(3):
            assert msgspec.json.decode(spectator.recv(timeout=PATIENCE))["data"][:2] == [
                "won",
                "Bob",
            ]
    client.stop(signal.SIGINT)
    lines = client.stdout.splitlines()
    assert [line for line in lines if line in ("connecting", "open", "closed")][-3:] == [
        "connecting",
        "open",
        "closed",
    ]
    assert any(line.startswith("waiting ") for line in lines)
    assert lines[-1] == "bye"


def test_the_client_plays_so_many_rounds(start: Any) -> None:
    url = serve(start, "events.py", "websockets", "asyncio")
    client = start(EXAMPLES / "client.py", f"{url}/ws", "--rounds", "3", "--most", "8")
    assert client.end() == 0
    assert client.stderr == ""
    lines = client.stdout.splitlines()
    assert (lines[:2], lines[-1]) == (["connecting", "open"], "closed")
    assert [line.split(":")[0] for line in lines[2:-1]] == ["1", "2", "3"]


def test_aiohttp_app_is_a_guest_of_an_application_with_pages_of_its_own(start: Any) -> None:
    process = start(EXAMPLES / "aiohttp_app.py", "--port", "0")
    url = process.url()
    assert "1 visits so far" in httpx.get(url, trust_env=False).text
    assert httpx.get(f"{url}/nothing", trust_env=False).status_code == 404
    ws = f"{url.replace('http', 'ws', 1)}/ws"
    with connect(ws) as one, connect(ws) as two:
        one.send('"hello"')
        for client in (one, two):
            assert client.recv(timeout=PATIENCE) == '"hello"'
        stopped = process.stop()
        with pytest.raises(ConnectionClosed) as error:
            two.recv(timeout=PATIENCE)
    assert stopped == 0
    assert error.value.rcvd is not None
    assert error.value.rcvd.code == 1012
    assert "Traceback" not in process.stderr


def log_in(url: str, **form: str) -> dict[str, str]:
    """Say a name on the page, as a browser does; returns the headers of a handshake."""
    with httpx.Client(base_url=url, trust_env=False) as browser:
        token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', browser.get("/").text)
        if token is not None:
            form["csrfmiddlewaretoken"] = token[1]
        answer = browser.post("/login", data=form)
        assert answer.status_code in (302, 303), answer.text
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return {"Cookie": cookies}


@pytest.mark.parametrize(("name", "refused"), [("fastapi_app.py", 401), ("django_app.py", 401)])
def test_a_frameworks_user_is_the_sparks(start: Any, name: str, refused: int) -> None:
    process = start(EXAMPLES / name, "--port", "0")
    url = process.says(r"running on (http://\S+)")[1]
    at = f"{url.replace('http', 'ws', 1)}/ws"
    with pytest.raises(InvalidStatus) as error, connect(at):
        pass
    assert error.value.response.status_code == refused
    ada = log_in(url, name="Ada <3")
    with (
        connect(at, additional_headers=ada) as one,
        connect(at, additional_headers=log_in(url, name="Bob")) as other,
    ):
        for client in (one, other):
            client.send('"hello"')
            while msgspec.json.decode(client.recv(timeout=PATIENCE))["text"] != "hello":
                pass
        one.send('"to all"')
        while (said := msgspec.json.decode(other.recv(timeout=PATIENCE)))["text"] != "to all":
            pass
        assert said == {"name": "Ada <3", "text": "to all"}
        process.popen.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            until(one, "the end")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    process.end()
    assert "Traceback" not in process.stderr


def test_fastapi_knows_the_same_user_on_its_pages(start: Any) -> None:
    url = start(EXAMPLES / "fastapi_app.py", "--port", "0").says(r"running on (http://\S+)")[1]
    assert httpx.get(f"{url}/me", trust_env=False).status_code == 401
    ada = httpx.get(f"{url}/me", headers=log_in(url, name="Ada"), trust_env=False)
    assert ada.json() == "Ada"
