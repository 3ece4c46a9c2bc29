"""The websocket protocol: a session is a WebSocket (RFC 6455), a message is a message."""

from __future__ import annotations

from .abc import Connection, Protocol, Upgrade
from .errors import HandshakeRejected
from .exchange import Request, Response
from .messages import Close, printable

__all__ = ["WebSocketProtocol"]


class WebSocketProtocol(Protocol):
    """Sessions that are WebSockets, with nothing in between."""

    name = "websocket"
    needs = frozenset({"websocket"})

    async def answer(self, request: Request) -> Response | Upgrade:
        gate, handshake = self.gate, request.handshake
        if not request.upgrade:
            return Response.text(
                426,
                "This is a WebSocket endpoint.",
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
            )
        try:
            await gate.admit(handshake)
        except HandshakeRejected as rejection:
            if gate.endpoint.refusal == "http":
                raise
            close = Close(rejection.code, printable(rejection.reason), rejection.retry)
            return Upgrade(gate, handshake, lambda connection: _refuse(connection, close))
        return Upgrade(gate, handshake, gate.open)


def _refuse(connection: Connection, close: Close) -> None:
    connection.close(close)
