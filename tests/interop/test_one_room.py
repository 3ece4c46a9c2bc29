"""The promise: nine kinds of npm's clients in one room, on one port, and nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from unisock import Overflow, Server, Spark
from unisock_emitter import Emitter
from unisock_multiplex import Multiplex
from unisock_rooms import Rooms

pytestmark = pytest.mark.anyio

SCRIPT = Path(__file__).with_name("one_room_clients.mjs")

KINDS = {
    "ws": ("websocket", "npm `ws`, Node"),
    "faye-websocket": ("websocket", "npm `faye-websocket`, Node"),
    "websocket": ("websocket", "npm `websocket`, Node"),
    "EventSource": ("eventsource", "npm `eventsource`, Node"),
    "sockjs-client": ("sockjs", "npm `sockjs-client`, Node"),
    "engine.io-client": ("engineio", "npm `engine.io-client` 6 (revision 4), Node"),
    "socket.io-client": ("engineio", "npm `socket.io-client` 4, Node"),
    "primus": ("websocket", "npm `primus` 8, Node"),
    "websocket-multiplex": ("sockjs", "npm `websocket-multiplex`, Node"),
}
"""What each speaks, and what the matrix calls it."""
COUNT = 1000
ENDPOINTS: list[dict[str, Any]] = [
    {"path": "/ws"},
    {"path": "/events", "protocol": "eventsource", "options": {"post": True}},
    {"path": "/sockjs", "protocol": "sockjs"},
    {"path": "/engine.io", "protocol": "engineio"},
    {"path": "/socket.io", "protocol": "engineio", "dialect": "socketio"},
    {"path": "/primus", "dialect": "primus"},
    {"path": "/topics", "protocol": "sockjs", "dialect": "websocket-multiplex"},
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def application() -> Server:
    """Whatever somebody says, everybody in the room hears."""
    events, rooms, multiplex = Emitter(), Rooms(shared=True), Multiplex()
    server = Server(folder=None, plugins=[events, rooms, multiplex], endpoints=ENDPOINTS)
    room = rooms["one"]

    async def enter(spark: Spark) -> None:
        rooms.join(spark, "one")
        if len(room) == len(KINDS):
            await events.emit(room, "begin")

    @events.on("say")
    async def say(spark: Spark, who: str, number: int) -> None:
        await events.emit(room, "said", who, number, overflow=Overflow.WAIT)

    server.on_open(enter)
    multiplex.channel("one").on_open(enter)
    return server


@pytest.mark.parametrize("adapter", ["tornado", "asgi", "picows"])
async def test_one_room_every_client(
    unisock_serve: Any, adapter: str, node_program: str, proves: Any
) -> None:
    running = await unisock_serve(application(), adapter=adapter)
    with anyio.fail_after(100):
        done = await anyio.run_process([node_program, str(SCRIPT), running.http_url, str(COUNT)])
    heard = json.loads(done.stdout)
    everything = {kind: {"count": COUNT, "inOrder": True} for kind in KINDS}
    assert heard == dict.fromkeys(KINDS, everything)
    for protocol, client in KINDS.values():
        proves(protocol=protocol, client=client, host=adapter)
