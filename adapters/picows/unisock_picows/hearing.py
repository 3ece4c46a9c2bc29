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
from .parser import CALM, ParserListener, free, make_parser
from .turn import Turn

__all__ = ["FRAMING", "Ear", "Ears", "HearingConnection"]

# One object for all connections of all servers: they share frames.
FRAMING = WebSocketFraming()

# To read a member of an enum from its class costs as much as to decode a message.
_TEXT, _BINARY = WSMsgType.TEXT, WSMsgType.BINARY
_CLOSE, _PONG = WSMsgType.CLOSE, WSMsgType.PONG

SPARE = 64
"""Parsers that are kept for the next who needs one."""


class HearingConnection(FrameConnection):
    """A connection that picows hands frames.

    :ivar plain: a whole message that comes now can be delivered as it is
    :ivar gathering: frames of one read are being handled
    :ivar batch: what was sent meanwhile
    :ivar turn: the present turn of the event loop
    :ivar put_out: the transport's ``write``
    """

    __slots__ = ("batch", "gathering", "plain", "put_out", "turn")

    def __init__(self, upgrade: Upgrade, put_out: Callable[[bytes], None], turn: Turn) -> None:
        super().__init__(upgrade, FRAMING)
        self.put_out = put_out
        self.turn = turn
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
    def doze(self, *, idle: bool) -> None:
        """The parser is empty.

        :param idle: the client was silent for a while before, and now has answered a ping
        """

    @abstractmethod
    def lost(self) -> None:
        """The transport is gone."""


class Ear(ParserListener):
    """Hears picows for a connection, and is lent out with its parser. The way of a message begins
    here.

    :ivar parser: what feeds it
    :ivar connection: who has it at present
    :ivar spent: it has seen a close frame, and takes no other
    """

    __slots__ = ("_ears", "connection", "parser", "size", "spent")

    connection: HearingConnection

    def __init__(self, ears: Ears, size: int, read_buffer_bytes: int) -> None:
        super().__init__()
        self._ears = ears
        self.spent = False
        self.size = size
        self.parser = make_parser(self, max_frame_size=size, read_buffer_bytes=read_buffer_bytes)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        connection = self.connection
        connection.gathering = True
        kind = frame.msg_type
        if not frame.last_in_buffer and not connection.turn.busy:
            connection.turn.gather()
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
            if self._ears.crowded and not frame.tail_size:
                connection.doze(idle=False)

    def _on_other_frame(self, kind: WSMsgType, frame: WSFrame) -> None:
        connection = self.connection
        if kind is _CLOSE:
            self.spent = True  # even if the frame has to wait for a busy handler
        bits = frame.fin << 7 | frame.rsv1 << 6 | frame.rsv2 << 5 | frame.rsv3 << 4
        connection.on_frame(bits | kind.value, frame.get_payload_as_bytes())
        if kind is _PONG and connection.plain and not frame.tail_size:
            connection.doze(idle=True)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.connection.lost()

    def pause_writing(self) -> None:
        self.connection.congested()

    def resume_writing(self) -> None:
        self.connection.relieved()

    def on_fault(self, close: Close) -> None:
        # The parser looks one frame ahead: the last good frame comes after this.
        asyncio.get_running_loop().call_soon(self.connection.on_parser_fault, close)


class Ears:
    """Parsers for the connections of a server that are being talked to.

    A parser takes more memory than all the rest of an idle connection, and more time to make than a
    message to read. So connections get one when something comes, and give it back.

    :param kept: how many may keep theirs between two messages
    :ivar crowded: nobody may keep one
    """

    def __init__(self, read_buffer_bytes: int, kept: int) -> None:
        self._read_buffer_bytes = read_buffer_bytes
        self._kept = kept
        self._spare: dict[int, list[Ear]] = {}
        self._lent = 0
        self.crowded = False

    def lend(self, connection: HearingConnection) -> Ear:
        """A parser that is empty."""
        size = connection.gate.limits.message_bytes
        self._count(1)
        spare = self._spare.get(size)
        while spare:
            ear = spare.pop()
            if len(free(ear.parser)) <= CALM:  # what it has grown to shows when it is empty
                break
            del ear.parser
        else:
            ear = Ear(self, size, self._read_buffer_bytes)
        ear.connection = connection
        return ear

    def take_back(self, ear: Ear, *, clean: bool) -> None:
        """It is needed no longer.

        :param clean: the parser is empty, and has found no fault
        """
        self._count(-1)
        spare = self._spare.setdefault(ear.size, [])
        if clean and not ear.spent and len(spare) < SPARE and len(free(ear.parser)) <= CALM:
            del ear.connection
            spare.append(ear)
        else:
            del ear.parser  # which refers to it: no cycle is left for the garbage collection

    def _count(self, more: int) -> None:
        self._lent += more
        self.crowded = self._lent > self._kept
