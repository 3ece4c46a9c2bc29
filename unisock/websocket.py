"""The websocket protocol: a session is a WebSocket (RFC 6455), a message is a message."""

from __future__ import annotations

from .abc import Protocol, Upgrade
from .exchange import Request, Response

__all__ = ["WebSocketProtocol"]


class WebSocketProtocol(Protocol):
    """Sessions that are WebSockets, with nothing in between."""

    name = "websocket"
    needs = frozenset({"websocket"})

    async def answer(self, request: Request) -> Response | Upgrade:
        handshake = request.handshake
        if not request.upgrade:
            return Response.text(
                426,
                "This is a WebSocket endpoint.",
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
            )
        await self.gate.admit(handshake)
        return Upgrade(self.gate, handshake, self.gate.open)
