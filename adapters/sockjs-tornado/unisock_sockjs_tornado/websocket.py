"""The transports that are WebSockets: ``websocket``, and ``websocket-raw`` without packets."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from asyncio import Future
from collections.abc import Coroutine
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.websocket import (
    WebSocketClosedError,
    WebSocketProtocol,
    WebSocketProtocol13,
)

from unisock import Close, LimitExceeded, Origin, ProtocolError
from unisock.connection import LOST
from unisock.framing import TEXT
from unisock.messages import printable

from .connection import SOCKJS
from .guard import SESSION_ID_BYTES, Admitting
from .library import RawWebSocketTransport, SockJSWebSocketHandler, WebSocketTransport
from .packets import decode, disconnect
from .protocol import StrictProtocol
from .session import RawLink, SockjsLink

__all__ = ["RawSocket", "Socket"]


class _Socket(Admitting, SockJSWebSocketHandler, ABC):
    """A WebSocket."""

    pings = True
    session: SockjsLink | None
    _protocol: StrictProtocol | None = None

    async def check(self) -> None:
        if len(self.path_kwargs.get("session_id", "")) > SESSION_ID_BYTES:
            raise self.denied("the session id is too long", 404)
        await self.admit()

    def check_origin(self, origin: str) -> bool:
        """The gate has checked it."""
        return True

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        protocol = super().get_websocket_protocol()
        if isinstance(protocol, WebSocketProtocol13):
            self._protocol = StrictProtocol(
                self,
                protocol.params,
                limits=self.gate.limits,
                most=self.frame_limit,
                on_fault=self._on_fault,
            )
        return self._protocol

    @property
    def max_message_size(self) -> int:
        return self.frame_limit + 1  # so that the limit is found here, and not by tornado

    @property
    def frame_limit(self) -> int:
        """The most bytes that the frames of one message may have."""
        return self.gate.limits.message_bytes

    @property
    def ping_interval(self) -> float:
        """Never by tornado: the connection has a heartbeat of its own."""
        return 0

    def begin(self, session: SockjsLink) -> None:
        """Join the accepted WebSocket to its session."""
        self.set_nodelay(True)
        self.session = session
        session.set_handler(self)
        session.verify_state()

    def on_message(self, message: str | bytes) -> Coroutine[Any, Any, None] | None:
        connection = self.session.connection if self.session is not None else None
        if connection is None:
            return None
        try:
            messages = self.read(message)
        except ProtocolError as error:
            self._on_fault(error)
            return None
        # Tornado reads on when the coroutine, if there is one, has ended.
        return connection.arrived(messages)

    def _on_fault(self, fault: ProtocolError | LimitExceeded) -> None:
        if self.session is not None and self.session.connection is not None:
            self.session.connection.close(Close(fault.code, printable(str(fault))))

    @abstractmethod
    def read(self, message: str | bytes) -> list[str]:
        """The messages in a frame.

        :raises ProtocolError: it is not of the protocol
        """

    def send_pack(self, message: str, binary: bool = False) -> None:
        protocol = self._protocol
        if protocol is None or protocol.is_closing():
            return  # on_close tells the session
        try:
            written = protocol.send_text(message)
        except StreamClosedError:
            return
        if not written.done():
            self.active = False
            written.add_done_callback(self._written)

    def _written(self, written: Future[None]) -> None:
        if not written.cancelled() and written.exception() is None and self.session is not None:
            self.active = True
            self.session.flush()

    def part(self, close: Close) -> None:
        """Begin the closing handshake."""
        self.active = False
        self.close(close.code, close.reason)

    def cut(self) -> None:
        """Close the socket."""
        self.session = None
        if self._protocol is not None:
            self._protocol.stream.close()

    def ping(self, data: str | bytes = b"") -> None:
        with contextlib.suppress(WebSocketClosedError, StreamClosedError):  # on_close tells of it
            super().ping(data)

    def on_pong(self, data: bytes) -> None:
        if self.session is not None and self.session.connection is not None:
            self.session.connection.ponged()

    def on_ping(self, data: bytes) -> None:
        if self.session is not None and self.session.connection is not None:
            self.session.connection.heard = True

    def on_close(self) -> None:
        self.gone = True
        session = self.session
        if session is not None:
            session.end = self._outcome()
            self._detach()
            session.close()

    def _outcome(self) -> Close:
        """How the WebSocket ended, where this side did not begin it."""
        protocol = self._protocol
        if protocol is None or not protocol.told:
            return LOST
        code = self.close_code
        if code is None:
            return Close(1005, origin=Origin.PEER)
        if not Close.sendable(code):
            return Close(1002, f"invalid close code {code}", origin=Origin.LOST)
        return Close(code, printable(self.close_reason or ""), origin=Origin.PEER)


class Socket(_Socket, WebSocketTransport):
    """``GET …/websocket``: packets to the client, arrays of strings from it."""

    transport = "websocket"
    framing = SOCKJS

    def open(self, session_id: str) -> None:
        self.begin(self.server.create_session(session_id, register=False))

    @property
    def frame_limit(self) -> int:
        return self.server.body_limit

    def read(self, message: str | bytes) -> list[str]:
        # The protocol wants empty frames ignored.
        return decode(message, single=True) if message else []

    def send_pack(self, message: str, binary: bool = False) -> None:
        if self.session is not None:
            self.session.spoke = True
        super().send_pack(message)

    def part(self, close: Close) -> None:
        self.send_pack(disconnect(close.code, close.reason))
        super().part(close)


class RawSocket(_Socket, RawWebSocketTransport):
    """``GET …/websocket`` without a session in its path: messages as they are."""

    transport = "websocket-raw"
    framing = TEXT

    def open(self) -> None:
        self.begin(RawLink(self.server.get_connection_class(), self.server))

    def read(self, message: str | bytes) -> list[str]:
        if isinstance(message, bytes):
            raise ProtocolError("this session carries text only", code=1003)
        return [message]
