"""uvicorn's WebSockets, with the limits of unisock and what its applications cannot ask for."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from unisock import Close
from unisock.abc import Gateway
from unisock.limits import Limits
from unisock.messages import printable
from unisock.turn import TurnEnd

from .scope import Event
from .uvicorn_http import quiet_log
from .wire import EXTENSION, FrameWire

__all__ = ["UvicornWebSocket"]

GATHER = 65_536
"""Bytes that are gathered at most before they are written."""
CONTROL_FRAME = 125
"""The library counts the control frames between fragments (RFC 6455 section 5.5) as if they were
part of the message."""


class UvicornWebSocket(WebSocketsSansIOProtocol):
    """One client's connection from the opening handshake on.

    :cvar gateway: the server, in a subclass of this class
    :cvar turn: where its frames wait
    """

    gateway: Gateway
    turn: TurnEnd

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = quiet_log
        self.conn = self._rules = _Bounded(logger=quiet_log)
        self.close_timeout = self.gateway.limits.close_seconds
        self.wire = _WebSocketWire(self)
        self.fragments = self.gateway.limits.fragments
        self._early = b""
        self.limit(self.gateway.limits)

    def limit(self, limits: Limits) -> None:
        """Hold the client to these limits from now on."""
        self.fragments = limits.fragments
        self.close_timeout = limits.close_seconds
        self._rules.message_bytes = limits.message_bytes
        self.conn.max_message_size = limits.message_bytes + CONTROL_FRAME

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.wire.gone.set()

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated and not self.handshake_complete:
            # It sends before it may. To understand it now would be to answer it too early.
            self._early += data
            self.transport.pause_reading()
        else:
            super().data_received(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.wire.congested()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.wire.relieved()

    def shutdown(self) -> None:
        self.wire.flush()
        super().shutdown()

    def handle_close(self, event: Frame) -> None:
        self.wire.flush()  # its answer is the last word
        super().handle_close(event)

    async def send(self, message: Any) -> None:
        event: Event = message
        await super().send(message)
        if event["type"] == "websocket.accept" and self._early:
            early, self._early = self._early, b""
            self.transport.resume_reading()
            self.data_received(early)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # else the request was in no good order
            scope: Any = self.scope
            scope["extensions"] = {**(scope.get("extensions") or {}), EXTENSION: self.wire}

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= self.fragments:
            limit = f"over the limit fragments = {self.fragments}"
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, limit)
            self.handle_parser_exception()
        else:
            super().handle_cont(event)

    def handle_parser_exception(self) -> None:
        """The client broke the rules: tell it which, and hear no more of it."""
        sent = self.conn.close_sent
        if self.close_sent or sent is None:
            return
        self.wire.flush()
        self.handle_events()  # what it sent before that is the application's
        self.close_sent = True
        self.wire.fault = Close(int(sent.code), printable(sent.reason))
        self.queue.put_nowait({"type": "websocket.disconnect", "code": int(sent.code)})
        transport = self.transport
        transport.write(b"".join(self.conn.data_to_send()))
        if not transport.can_write_eof():
            transport.close()
            return
        # Closing with unread bytes would reset the connection, and could cost the client the close
        # frame. It hangs up when it sees the end.
        transport.write_eof()
        transport.resume_reading()
        self.read_paused = False
        self.close_timer = self.loop.call_later(self.close_timeout, transport.abort)


class _Bounded(ServerProtocol):
    """The rules of RFC 6455, with errors that name the limits of unisock."""

    message_bytes = 0
    _text: codecs.IncrementalDecoder | None = None
    """Checks the text of which a fragment has come."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            # Amid the fragments of a message it is a close like any other: the library takes it for
            # an error, the public conformance suite does not.
            self.current_size = None
        self._check_text(frame)
        super().recv_frame(frame)

    def _check_text(self, frame: Frame) -> None:
        """Text is checked as it comes, so that nobody waits for the end of what is none. Later may
        be too late: a close behind it would be answered already.
        """
        begun = self.current_size is not None
        if frame.opcode is Opcode.TEXT and not begun:
            if frame.fin:
                codecs.utf_8_decode(frame.data, "strict", True)
            else:
                self._text = codecs.getincrementaldecoder("utf-8")()
                self._text.decode(frame.data)
        elif frame.opcode is Opcode.CONT and begun and self._text is not None:
            self._text.decode(frame.data, frame.fin)
            if frame.fin:
                self._text = None

    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        if code == CloseCode.MESSAGE_TOO_BIG and not reason.startswith("over the limit"):
            reason = f"over the limit message_bytes = {self.message_bytes}"
        super().fail(code, reason)


class _WebSocketWire(FrameWire):
    def __init__(self, protocol: UvicornWebSocket) -> None:
        super().__init__()
        self._protocol = protocol
        self._pending: list[bytes] = []
        self._size = 0
        self.congested = self.relieved = _nobody_listens

    def tell(self, congested: Callable[[], None], relieved: Callable[[], None]) -> None:
        self.congested, self.relieved = congested, relieved

    def write(self, frame: bytes) -> None:
        self._pending.append(frame)
        self._size += len(frame)
        if self._size >= GATHER:
            self.flush()
        elif len(self._pending) == 1:
            self._protocol.turn.flush_soon(self)

    def flush(self) -> None:
        pending, protocol = self._pending, self._protocol
        if pending and not (protocol.close_sent or protocol.transport.is_closing()):
            protocol.transport.write(b"".join(pending))
        pending.clear()
        self._size = 0

    def cut(self) -> None:
        self._pending.clear()
        self._protocol.transport.abort()

    def bound(self, limits: Limits) -> None:
        self._protocol.limit(limits)


def _nobody_listens() -> None:
    """The WebSocket is not accepted yet."""
