"""The websocket protocol: what an endpoint answers to whoever asks."""

from typing import Any

import pytest

from unisock.errors import HandshakeRejected
from unisock.memory import MemoryAdapter, Refused
from unisock.server import Server

pytestmark = pytest.mark.anyio

Serving = Any


def make(**endpoint: Any) -> Server:
    server = Server(folder=None, adapter=MemoryAdapter(), endpoints=[{"path": "/ws", **endpoint}])
    server.on_message(lambda spark, message: spark.send(message))
    return server


async def test_a_plain_request_is_told_to_upgrade(serving: Serving) -> None:
    async with serving(make()) as memory:
        response = await memory.request("/ws")
        assert response.status == 426
        assert ("Upgrade", "websocket") in response.headers
        assert b"WebSocket" in response.body


def refuse(handshake: Any) -> None:
    raise HandshakeRejected("no key", status=401, code=4501, retry=False)


async def test_a_refusal_by_http(serving: Serving) -> None:
    server = make()
    server.authorize(refuse)
    async with serving(server) as memory:
        with pytest.raises(Refused) as caught:
            await memory.connect()
        assert caught.value.status == 401
        assert b"no key" in caught.value.response.body


async def test_a_refusal_that_scripts_in_browsers_can_see(serving: Serving) -> None:
    server = make(refusal="close")
    server.authorize(refuse)
    server.on_open(lambda spark: pytest.fail("a refused client has no spark"))
    async with serving(server) as memory:
        peer = await memory.connect()
        close = await peer.wait_closed()
        assert (close.code, close.reason) == (4501, "no key")
        assert server.gateway.rejections == 1
        assert server.gateway.connections == []
