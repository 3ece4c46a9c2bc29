"""The WebSocket clients of npm, in Node, against each adapter that speaks plain WebSocket."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CLIENTS = ["ws", "faye-websocket", "websocket"]
SERVERS = [
    ("websockets", "asyncio"),
    ("websockets", "trio"),
    ("tornado", "asyncio"),
    ("asgi", "asyncio"),
    ("aiohttp", "asyncio"),
    ("picows", "asyncio"),
]


@pytest.fixture(scope="module", params=SERVERS, ids="-".join)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server of its own for the tests of one adapter."""
    adapter, backend = request.param
    command = [sys.executable, str(HERE / "websocket_app.py")]
    options = ["--adapter", adapter, "--backend", backend, "--port", "0"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    address = None
    for line in process.stderr:
        address = re.search(r"listening on http://(\S+)", line)
        if address is not None:
            break
    assert address is not None, "the server did not start"
    yield f"ws://{address[1]}"
    process.terminate()
    rest = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert "Traceback" not in rest


@pytest.fixture(params=CLIENTS)
def run(request: pytest.FixtureRequest, url: str, node: Any, proves: Any) -> Any:
    """Runs one check with one client library, and returns what that saw."""
    adapter, _ = request.node.callspec.params["url"]
    proves(protocol="websocket", client=f"npm `{request.param}`, Node", host=adapter)

    def run(check: str) -> dict[str, Any]:
        result: dict[str, Any] = node("websocket_clients.js").call(request.param, url, check)
        return result

    return run


def test_text_and_binary_come_back(run: Any) -> None:
    assert run("echo") == {"same": [True] * 10}


def test_a_thousand_messages_keep_their_order(run: Any) -> None:
    assert run("order") == {"inOrder": True}


def test_one_mebibyte_is_a_message(run: Any) -> None:
    assert run("big") == {"same": True}


def test_one_byte_more_is_too_big(run: Any) -> None:
    result = run("tooBig")
    assert result["code"] == 1009
    assert "message_bytes" in result["reason"]


def test_the_clients_close_arrives(run: Any) -> None:
    assert run("clientCloses") == {"code": 4001, "reason": "that is all", "origin": "peer"}


def test_a_client_that_vanishes_is_lost(run: Any) -> None:
    result = run("clientVanishes")
    assert (result["code"], result["origin"]) == (1006, "lost")


def test_our_close_arrives(run: Any) -> None:
    assert run("serverCloses") == {"code": 3001, "reason": "moved, see you"}


def test_a_subprotocol_is_agreed_on(run: Any) -> None:
    # The server's first choice among those that the client offers.
    assert run("subprotocol") == {"protocol": "v1.chat"}


def test_a_refusal_says_why(run: Any) -> None:
    result = run("refused")
    assert result["status"] == 401
    if result["body"]:  # faye-websocket does not hand it out
        assert json.loads(result["body"]) == {"error": "members only", "code": 4501, "retry": False}


def test_nothing_there_is_404(run: Any) -> None:
    assert run("nothingThere") == {"status": 404}


def test_the_clients_ping_is_answered(run: Any) -> None:
    assert run("ping") == {"pong": True}
