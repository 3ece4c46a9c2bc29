"""The websocket protocol: a session is a WebSocket (RFC 6455), a message is a message."""

from __future__ import annotations

from collections.abc import Awaitable

from .abc import Connection, Protocol, Upgrade
from .errors import HandshakeRejected
from .exchange import Request, Response
from .handshake import Handshake
from .messages import Close, printable

__all__ = ["WebSocketProtocol"]


class WebSocketProtocol(Protocol):
    """Sessions that are WebSockets, with nothing in between."""

    name = "websocket"
    needs = frozenset({"websocket"})

    def answer(self, request: Request) -> Response | Upgrade | Awaitable[Upgrade]:
        gate, handshake = self.gate, request.handshake
        if not request.upgrade:
            return Response.text(
                426,
                "This is a WebSocket endpoint.",
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
            )
        try:
            if not gate.admit_at_once(handshake):
                return self._ask(handshake)
        except HandshakeRejected as rejection:
            return self._turn_away(handshake, rejection)
        return Upgrade(gate, handshake, gate.open)

    async def _ask(self, handshake: Handshake) -> Upgrade:
        try:
            await self.gate.admit(handshake)
        except HandshakeRejected as rejection:
            return self._turn_away(handshake, rejection)
        return Upgrade(self.gate, handshake, self.gate.open)

    def _turn_away(self, handshake: Handshake, rejection: HandshakeRejected) -> Upgrade:
        if self.gate.endpoint.refusal == "http":
            raise rejection
        close = Close(rejection.code, printable(rejection.reason), rejection.retry)
        return Upgrade(self.gate, handshake, lambda connection: _refuse(connection, close))


def _refuse(connection: Connection, close: Close) -> None:
    connection.close(close)
