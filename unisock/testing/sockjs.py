"""A SockJS client over that protocol's websocket transport.

Frames from the server: ``o`` open, ``h`` heartbeat, ``a[…]`` messages, ``c[code,"reason"]`` close;
from the client: a JSON array of messages (sockjs-protocol 0.3.3, "WebSocket protocol").
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Self

import msgspec
from anyio.abc import TaskGroup

from ..handshake import Headers
from ..messages import Close, Message, Origin
from .peers import Refused
from .websocket import WebSocketPeer
from .wire import Place

__all__ = ["SockjsPeer"]


class SockjsPeer(WebSocketPeer):
    """A client in a SockJS session. It carries text only."""

    wire = False
    binary = False

    _opened = False
    _goodbye: Close | None = None

    @classmethod
    async def connect(
        cls,
        place: Place,
        target: str,
        *,
        group: TaskGroup,
        headers: Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
    ) -> Self:
        path, question, query = target.partition("?")
        session = f"{secrets.randbelow(1000):03}/{secrets.token_hex(4)}"
        url = f"{path.rstrip('/')}/{session}/websocket{question}{query}"
        peer = await super().connect(
            place, url, group=group, headers=headers, subprotocols=subprotocols
        )
        await peer.until_open()
        return peer

    async def until_open(self) -> None:
        """Wait for the open frame.

        :raises Refused: the session ended before it
        """
        while not self._opened:
            if self.closed is not None:
                raise Refused(0, Headers(), self.closed.reason.encode(), self.closed)
            await self.changed()

    async def send(self, message: Message) -> None:
        assert isinstance(message, str), "SockJS carries text only"
        await super().send(msgspec.json.encode([message]).decode())

    def deliver(self, message: Message) -> None:
        text = message if isinstance(message, str) else message.decode()
        match text[:1]:
            case "o":
                self._opened = True
            case "a":
                for item in msgspec.json.decode(text[1:], type=list[str]):
                    super().deliver(item)
            case "c":
                code, reason = msgspec.json.decode(text[1:], type=tuple[int, str])
                self._goodbye = self._goodbye or Close(code, reason, origin=Origin.PEER)
            case _:
                pass
        self.wake()

    def finish(self, close: Close) -> None:
        super().finish(self._goodbye or close)
