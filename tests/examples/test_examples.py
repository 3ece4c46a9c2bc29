"""Each example as a user runs it: a process of its own, with a real client."""

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
BACKENDS = [("websockets", "asyncio"), ("websockets", "trio"), ("tornado", "asyncio")]
# On sockjs-tornado, a plain WebSocket client uses the endpoint for raw WebSockets below it.
EVERYWHERE = [*[(*one, "") for one in BACKENDS], ("sockjs-tornado", "asyncio", "/websocket")]
PATIENCE = 10
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
    with connect(url + way["path"] + below) as ada, connect(url + way["path"] + below) as bob:
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
