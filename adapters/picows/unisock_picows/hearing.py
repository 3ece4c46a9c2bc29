"""Between picows and a connection: the way of a frame begins here."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable

from picows import WSFrame, WSMsgType, WSTransport

from unisock.abc import Upgrade
from unisock.frame_connection import FrameConnection
from unisock.framing import WebSocketFraming
from unisock.messages import Close

from .fragments import not_utf8
from .parser import ParserListener

__all__ = ["Deaf", "Frames", "HearingConnection"]

# One object for all connections of all servers: they share frames.
FRAMING = WebSocketFraming()

# To read a member of an enum from its class costs as much as to decode a message.
_TEXT, _BINARY, _PONG = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PONG


class HearingConnection(FrameConnection):
    """A connection that picows hands frames.

    :ivar plain: a whole message that comes now can be delivered as it is
    :ivar gathering: frames of one read are being handled
    :ivar batch: what was sent meanwhile
    :ivar put_out: the transport's ``write``
    """

    __slots__ = ("batch", "gathering", "plain", "put_out")

    def __init__(self, upgrade: Upgrade, put_out: Callable[[bytes], None]) -> None:
        super().__init__(upgrade, FRAMING)
        self.put_out = put_out
        self.plain = True
        self.gathering = False
        self.batch: list[bytes] = []

    @abstractmethod
    def on_frame(self, first: int, payload: bytes) -> None:
        """Any frame.

        :param first: its first byte (RFC 6455 section 5.2)
        """

    @abstractmethod
    def on_parser_fault(self, close: Close) -> None:
        """The parser found a fault, and has handed over all frames before it."""

    @abstractmethod
    def flush(self) -> None:
        """Write what was gathered."""

    @abstractmethod
    def trim(self) -> None:
        """A client that was silent for a while has answered a ping, and the parser is empty."""

    @abstractmethod
    def lost(self) -> None:
        """The transport is gone."""


class Frames(ParserListener):
    """Hears picows for a connection. The way of a message begins here."""

    __slots__ = ("_connection",)

    def __init__(self, connection: HearingConnection) -> None:
        super().__init__()
        self._connection = connection

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        connection = self._connection
        connection.gathering = True
        kind = frame.msg_type
        if not (connection.plain and frame.fin) or frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._on_other_frame(kind, frame)
        elif kind is _TEXT:
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                connection.on_fault(not_utf8())
            else:
                connection.receiver.on_message(text)
        elif kind is _BINARY:
            connection.receiver.on_message(frame.get_payload_as_bytes())
        else:
            self._on_other_frame(kind, frame)
        if frame.last_in_buffer:
            connection.heard = True
            connection.gathering = False
            batch = connection.batch
            if len(batch) == 1:
                connection.put_out(batch.pop())
            elif batch:
                connection.flush()

    def _on_other_frame(self, kind: WSMsgType, frame: WSFrame) -> None:
        connection = self._connection
        bits = frame.fin << 7 | frame.rsv1 << 6 | frame.rsv2 << 5 | frame.rsv3 << 4
        connection.on_frame(bits | kind.value, frame.get_payload_as_bytes())
        if kind is _PONG and connection.plain and not frame.tail_size:
            connection.trim()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._connection.lost()

    def pause_writing(self) -> None:
        self._connection.congested()

    def resume_writing(self) -> None:
        self._connection.relieved()

    def on_fault(self, close: Close) -> None:
        # The parser looks one frame ahead: the last good frame comes after this.
        asyncio.get_running_loop().call_soon(self._connection.on_parser_fault, close)


class Deaf(asyncio.Protocol):
    """Stays on the transport when nothing more is to be understood."""

    __slots__ = ("_connection",)

    def __init__(self, connection: HearingConnection) -> None:
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        """Too late."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost()

    def pause_writing(self) -> None:
        self._connection.congested()

    def resume_writing(self) -> None:
        self._connection.relieved()
