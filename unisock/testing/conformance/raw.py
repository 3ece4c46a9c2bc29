"""What tests of WebSocket frames stand on: a client that has nothing but a socket."""

from __future__ import annotations

import os
from typing import Any

from anyio.abc import ByteStream

from ...messages import Message
from ...server import Server
from ...spark import Spark
from ..running import Running
from .base import AdapterTests, Watch

__all__ = [
    "CLOSE",
    "PING",
    "PONG",
    "TEXT",
    "FrameTests",
    "Witness",
    "close_of",
    "open_files",
    "shake_hands",
]

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Witness(Watch):
    """Has a server send back what it gets, and remembers it."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.heard: list[Message] = []
        server.on_message(self._on_message)

    def _on_message(self, spark: Spark, message: Message) -> None:
        self.heard.append(message)
        spark.send_nowait(message)
        self.changed()


class FrameTests(AdapterTests):
    """The base of the tests of frames."""

    def make(self, **settings: Any) -> Server:
        """A server without heartbeats, unless told."""
        settings = {"heartbeat": {"interval": 0}, **settings}
        endpoints = [{"path": "/ws", "codec": "raw"}]
        return Server(adapter=self.make_adapter(), folder=None, endpoints=endpoints, **settings)

    def echoing(self, **settings: Any) -> tuple[Server, Witness]:
        """The same, and it sends back what it gets."""
        server = self.make(**settings)
        return server, Witness(server)


async def shake_hands(live: Running) -> ByteStream:
    """A WebSocket that is nothing but a socket."""
    stream = await live.place.dial()
    await stream.send(_HANDSHAKE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive(1)
    assert b" 101 " in head
    return stream


def open_files() -> int:
    """The files and sockets that this process has open."""
    return len(os.listdir("/dev/fd"))


def close_of(data: bytes) -> tuple[int, str]:
    """Code and reason of the close frame with which these bytes end."""
    assert data[:1] == b"\x88", data
    assert len(data) == 2 + data[1]
    return int.from_bytes(data[2:4], "big"), data[4:].decode()
