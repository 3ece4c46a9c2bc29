"""The client's end of a session over a WebSocket, and what both kinds of client understand."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import msgspec

from unisock.abc import Connection, Gate
from unisock.errors import HandshakeRejected, LimitExceeded, ProtocolError
from unisock.messages import Close, Message, printable

from .packets import PacketFraming, decode, decode_close
from .websocket import Beneath, WebSocketSession

__all__ = ["CLIENT_MESSAGES", "PACKET_BYTES", "Carrying", "ClientSocket", "refused"]

CLIENT_MESSAGES = 65_536
"""The most messages in one packet from a server."""
PACKET_BYTES = 16_777_216
"""The most bytes of one packet, unless a single message may be longer."""
GONE = Close(1000)


def refused(close: Close) -> HandshakeRejected:
    """A session that ended before it was open."""
    reason = close.reason or "the server closed before the session was open"
    code = close.code if Close.sendable(close.code) else 4500
    return HandshakeRejected(reason, code=code, retry=close.come_back)


class ClientSocket(WebSocketSession):
    """The client's end.

    :param open_to: called when the server has opened the session
    """

    __slots__ = ("_goodbye", "_open_to", "changed", "opened")

    def __init__(
        self, gate: Gate, below: Connection, open_to: Callable[[Connection], None]
    ) -> None:
        super().__init__(gate, below, PacketFraming(below.framing, client=True), CLIENT_MESSAGES)
        self._open_to = open_to
        self._goodbye: Close | None = None
        self.opened = False
        self.changed = anyio.Event()

    @property
    def goodbye(self) -> Close | None:
        """How the server said that it is over; `None` if the WebSocket just ended."""
        return self._goodbye

    def on_message(self, message: Message) -> None:
        if self._closing or not message:
            return
        try:
            if isinstance(message, bytes):
                raise ProtocolError("SockJS carries text only", code=1003)
            self._take(message[0], message[1:])
        except ProtocolError as error:
            self._violated(error.code, str(error))
        except LimitExceeded as error:
            self._violated(1009, str(error))

    def _take(self, kind: str, content: str) -> None:
        if kind == "c":
            self._goodbye = decode_close(content)
            self._closing = True
            self.below.close(GONE)
        elif kind == "o" and not self.opened:
            self.opened = True
            self._open_to(self)
            self.changed.set()
        elif kind == "a" and self.opened:
            self._deliver(decode(content, self._most))
        elif kind == "m" and self.opened:
            self._deliver(decode(content, self._most, single=True))
        elif kind != "h":
            raise ProtocolError(f"{printable(kind)!r} begins no packet of SockJS")

    def on_close(self, close: Close) -> None:
        super().on_close(self._goodbye or close)
        self.changed.set()

    def close(self, close: Close) -> None:
        if not self._closing:
            self._closing = True
            self._held.clear()
            self.below.close(close)


class Carrying(Beneath):
    """The gate for the WebSocket beneath a client's session.

    :ivar session: the session, once the WebSocket is open
    """

    def __init__(self, gate: Gate) -> None:
        # Its messages have the caller's limit. Servers write a letter as \uXXXX, and put several
        # messages into one packet.
        most = max(PACKET_BYTES, 6 * gate.limits.message_bytes + 1024)
        limits = msgspec.structs.replace(gate.limits, message_bytes=most)
        super().__init__(gate, limits, gate.heartbeat)
        self._inner = gate
        self.session: ClientSocket | None = None

    def open(self, connection: Connection) -> None:
        self.session = ClientSocket(self._inner, connection, self._inner.open)
        connection.attach(self.session)
