"""Between picows and a connection: the way of a frame begins here."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from unisock.frame_connection import FrameConnection
from unisock.messages import Close

from .fragments import not_utf8
from .outlet import Outlet

__all__ = ["Crowd", "Ear", "HearingConnection"]

# To read a member of an enum from its class costs as much as to decode a message.
_TEXT, _BINARY = WSMsgType.TEXT, WSMsgType.BINARY
_CLOSE, _PONG = WSMsgType.CLOSE, WSMsgType.PONG


class HearingConnection(FrameConnection):
    """A connection that picows hands frames."""

    __slots__ = ()

    @abstractmethod
    def on_frame(self, first: int, payload: bytes) -> None:
        """Any frame.

        :param first: its first byte (RFC 6455 section 5.2)
        """

    @abstractmethod
    def on_parser_fault(self, close: Close) -> None:
        """The parser found a fault, and has handed over all frames before it."""

    @abstractmethod
    def doze(self, *, idle: bool) -> None:
        """The parser is empty.

        :param idle: the client was silent for a while before, and now has answered a ping
        """

    @abstractmethod
    def lost(self) -> None:
        """The transport is gone."""


class Crowd:
    """Those who have a parser at present.

    :ivar crowded: nobody may keep one between two messages
    """

    __slots__ = ("crowded",)

    def __init__(self) -> None:
        self.crowded = False


class Ear(WSListener):
    """Hears picows for a connection, and is lent out with its parser.

    `unisock_picows.native.Ear` is this in C.

    :ivar crowd: what it belongs to
    :ivar parser: what feeds it, of frames up to ``size`` bytes
    :ivar connection: who has it at present
    :ivar outlet: that connection's
    :ivar plain: a whole message that comes now can be delivered as it is
    :ivar spent: it has seen a close frame, and takes no other
    """

    __slots__ = ("connection", "crowd", "outlet", "parser", "plain", "size", "spent")

    connection: HearingConnection
    outlet: Outlet
    parser: asyncio.BufferedProtocol

    def __init__(self, crowd: Crowd, size: int) -> None:
        super().__init__()
        self.crowd = crowd
        self.size = size
        self.plain = self.spent = False

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        connection, outlet = self.connection, self.outlet
        outlet.gathering = True
        kind = frame.msg_type
        if not frame.last_in_buffer and not outlet.turn.busy:
            outlet.turn.gather()
        if not (self.plain and frame.fin) or frame.rsv1 or frame.rsv2 or frame.rsv3:
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
            outlet.gathering = False
            batch = outlet.batch
            if len(batch) == 1:
                outlet.put_out(batch.pop())
            elif batch:
                outlet.flush()
            if self.crowd.crowded and not frame.tail_size:
                connection.doze(idle=False)

    def _on_other_frame(self, kind: WSMsgType, frame: WSFrame) -> None:
        connection = self.connection
        if kind is _CLOSE:
            self.spent = True  # even if the frame has to wait for a busy handler
        bits = frame.fin << 7 | frame.rsv1 << 6 | frame.rsv2 << 5 | frame.rsv3 << 4
        connection.on_frame(bits | kind.value, frame.get_payload_as_bytes())
        if kind is _PONG and self.plain and not frame.tail_size:
            connection.doze(idle=True)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.connection.lost()

    def pause_writing(self) -> None:
        self.connection.congested()

    def resume_writing(self) -> None:
        self.connection.relieved()
