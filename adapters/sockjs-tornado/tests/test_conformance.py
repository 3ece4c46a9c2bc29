"""The conformance suite for adapters, by SockJS clients on both WebSocket transports."""

from typing import Any

from unisock.testing.adapters import AdapterSuite
from unisock.testing.peers import Peer
from unisock.testing.running import Running


class TestWebSocket(AdapterSuite):
    adapter = "sockjs-tornado"


class TestRawWebSocket(AdapterSuite):
    adapter = "sockjs-tornado"

    async def connect(self, running: Running, path: str | None = None, **more: Any) -> Peer:
        path, question, query = (path or "/ws").partition("?")
        return await running.connect(f"{path}/websocket{question}{query}", kind="websocket", **more)
