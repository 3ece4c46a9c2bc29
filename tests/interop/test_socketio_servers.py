"""`connect()` with a real server of npm's socket.io: namespaces, answers, bytes, refusals, cuts."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from unisock import ClosedByPeer, ConnectionRejected, HandshakeRejected, Spark, connect
from unisock.redial import Backoff
from unisock_emitter import Emitter
from unisock_multiplex import Multiplex

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SCRIPT = HERE / "socketio_server.js"
WAYS = [["polling"], ["websocket"], ["polling", "websocket"]]
MESSAGES = ["plain", {"b": b"\0\1\xff"}, "ünï 漢字 😀", *range(100)]


@pytest.fixture(autouse=True)
def proved(proves: Any) -> None:
    proves(protocol="engineio", client="`connect()`", server="npm `socket.io`")


@asynccontextmanager
async def npm(**options: Any) -> AsyncGenerator[str]:
    """A server; the URL of it."""
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules" / "socket.io").exists():
        pytest.skip("no socket.io: run npm ci in tests/interop")
    command = [node, str(SCRIPT), json.dumps(options)]
    async with await anyio.open_process(command) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with anyio.fail_after(30):
                port = int(await TextReceiveStream(process.stdout).receive())
            yield f"socketio+http://127.0.0.1:{port}"
        finally:
            with anyio.CancelScope(shield=True):
                await process.stdin.aclose()
                await process.wait()


async def exchange(spark: Spark, events: Emitter) -> None:
    """Speak in every way."""
    assert await events.request(spark, "echo", 1, {"b": [b"\0"]}) == (1, {"b": [b"\0"]})
    assert await events.request(spark, "turn", b"\1") == ("Ada", b"\1")
    for message in MESSAGES:
        await spark.send(message)
    assert [await spark.receive() for _ in MESSAGES] == MESSAGES


def emitter(heard: list[Any]) -> Emitter:
    events = Emitter()
    events.on("who")(lambda spark, what: ("Ada", what))
    events.on("*")(lambda spark, name, *args: heard.append((spark.channel, name, *args)))
    return events


@pytest.mark.parametrize(
    ("way", "parser"), [*[(way, "text") for way in WAYS], (WAYS[-1], "msgpack")]
)
async def test_every_way(way: list[str], parser: str) -> None:
    heard: list[Any] = []
    events, multiplex = emitter(heard), Multiplex()
    with anyio.fail_after(30):
        async with (
            npm(parser=parser) if parser == "msgpack" else npm() as url,
            connect(
                url,
                plugins=[events, multiplex],
                transports=way,
                parser=parser,
                auth={"name": "Ada"},
                reconnect=False,
            ) as spark,
        ):
            await exchange(spark, events)
            chat = multiplex.join(spark, "/chat", {"room": 1})
            await exchange(chat, events)
            members = multiplex.join(spark, "/members", {"token": "guess"})
            with pytest.raises(ConnectionRejected, match="members only"):
                await members.receive()
            await events.emit(chat, "leave")
            with pytest.raises(ClosedByPeer, match="server namespace disconnect"):
                await chat.receive()
            await exchange(spark, events)
    assert heard == [
        ("", "welcome", "/", False, {"name": "Ada"}),
        ("/chat", "welcome", "/chat", False, {"room": 1}),
    ]


async def test_a_namespace_of_its_own_and_refusals() -> None:
    events = emitter([])
    with anyio.fail_after(30):
        async with npm() as url:
            with pytest.raises(ConnectionRejected, match="members only") as caught:
                async with connect(url, namespace="/members"):
                    pass
            assert isinstance(caught.value.__cause__, HandshakeRejected)
            assert caught.value.__cause__.data == {"join": "here"}
            with pytest.raises(ConnectionRejected, match="Invalid namespace"):
                async with connect(url, namespace="/nowhere"):
                    pass
            async with connect(
                url, namespace="/members", auth=lambda: {"token": "secret"}, plugins=[events]
            ) as spark:
                await exchange(spark, events)
                await events.emit(spark, "leave")
                with pytest.raises(ClosedByPeer):
                    await spark.receive()


@pytest.mark.parametrize("recovers", [False, True])
async def test_after_a_cut(recovers: bool) -> None:
    heard: list[Any] = []
    anew = anyio.Event()
    events = emitter(heard)

    @events.on("welcome")
    def welcome(spark: Spark, *args: Any) -> None:
        if heard:
            anew.set()
        heard.append((spark.channel, "welcome", *args))

    options = {"connectionStateRecovery": {}} if recovers else {}
    with anyio.fail_after(30):
        async with (
            npm(**options) as url,
            connect(
                url, transports=["websocket"], plugins=[events], reconnect=Backoff(first=0)
            ) as spark,
        ):
            await exchange(spark, events)
            await events.emit(spark, "cut")
            await anew.wait()
            await exchange(spark, events)
    assert [event[1:4] for event in heard] == [
        ("welcome", "/", False),
        *[("news", 1)] * recovers,
        ("welcome", "/", recovers),
    ]
