"""The library's sessions, with their faults mended.

What is mended here: a send queue without bound, close reasons that are not escaped, heartbeats that
leave a timer behind for each poll, expiry by the wall clock, a crash when a session changes its
transport.
"""

from __future__ import annotations

from time import monotonic
from typing import Protocol

from unisock import Close, Handshake
from unisock.connection import LOST
from unisock.framing import Framing
from unisock.timers import Timer

from .connection import SockjsConnection
from .library import BaseSession, RawSession, Session, SockJSConnection
from .packets import HEARTBEAT, disconnect
from .router import Router

__all__ = ["INTERRUPTED", "Carrier", "RawLink", "SockjsLink", "SockjsSession", "Tie"]

HIGH_WATER = 65_536
"""Characters that wait for the client's next request before the core's outbox is used."""
INTERRUPTED = (1002, "Connection interrupted")
"""What the library tells a client that comes back to a session it broke off."""


class Carrier(Protocol):
    """A request that carries a session for a while: a WebSocket, a stream, a poll.

    :ivar active: it takes a packet now
    :ivar framing: how messages are put on it
    :ivar pings: it can ask the client for a sign of life
    """

    active: bool
    framing: Framing
    pings: bool
    handshake: Handshake

    def welcome(self, connection: SockjsConnection) -> None:
        """Let the connection in, or close it with the reason for which it is refused."""

    def send_pack(self, message: str, binary: bool = False) -> None:
        """Send a packet. Never raises."""

    def part(self, close: Close) -> None:
        """Say why the session ends, and end it."""

    def cut(self) -> None:
        """Close the socket without a word."""

    def ping(self) -> None:
        """Ask the client for a sign of life."""


class SockjsLink(BaseSession):
    """What both kinds of session have in common: a connection of the core.

    :ivar connection: from opening to end
    :ivar end: how the connection ends, if this side did not close it
    :ivar spoke: something was sent since the last look at the heartbeat
    """

    server: Router
    handler: Carrier | None
    connection: SockjsConnection | None = None
    end: Close = LOST
    spoke = True
    _goodbye: Close | None = None

    def opened(self, carrier: Carrier) -> None:
        """The library has opened the session: the core gets to know it."""
        connection = SockjsConnection(
            self.server.gate, carrier.handshake, carrier.framing, self, pings=carrier.pings
        )
        self.connection = connection
        self.server.live.add(connection)
        carrier.welcome(connection)

    def ended(self) -> None:
        """The library has closed the session."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self.server.live.discard(connection)
            connection.ended(self.end)

    def send(self, frame: str) -> None:
        """Hand a frame to the carrier."""
        handler = self.handler
        if handler is not None:
            handler.send_pack(frame)
            if not handler.active and self.connection is not None:
                self.connection.congested()

    def flush(self) -> None:
        """The carrier takes more."""
        if self.handler is not None and self.handler.active and self.connection is not None:
            self.connection.relieved()
        self.part()

    def say_goodbye(self, close: Close) -> None:
        """Close when all that waits is on its way."""
        self._goodbye = close
        self.part()

    def part(self) -> None:
        """Close, if this side wants to and a carrier is there to say so."""
        handler = self.handler
        if self._goodbye is not None and handler is not None and handler.active:
            handler.part(self._goodbye)

    def cut(self, close: Close) -> None:
        """End now. A client that comes back is told why."""
        handler = self.handler
        if handler is not None:
            self.remove_handler(handler)
            handler.cut()
        self.close(*((close.code, close.reason) if close.code != 1006 else INTERRUPTED))

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        if self.handler is not None:
            self.handler.ping()


class Tie(SockJSConnection):
    """What the library takes for the application."""

    session: SockjsLink

    def on_open(self, request: object) -> None:
        session = self.session
        carrier = session.opener if isinstance(session, SockjsSession) else session.handler
        assert carrier is not None
        session.opened(carrier)

    def on_close(self) -> None:
        self.session.ended()


class RawLink(SockjsLink, RawSession):
    """The session of a raw WebSocket: messages as they are."""


class SockjsSession(SockjsLink, Session):
    """A session of any other transport.

    :ivar opener: the request that opens it, meanwhile
    """

    def __init__(
        self, conn: type[SockJSConnection], server: Router, session_id: str, expiry: float
    ) -> None:
        super().__init__(conn, server, session_id, expiry)
        self.expiry_date = monotonic() + expiry
        self.opener: Carrier | None = None
        self._host = ""
        self._waiting = 0
        self._pulse: Timer | None = None

    def promote(self) -> None:
        self.promoted = monotonic() + self.expiry

    def belongs_to(self, handshake: Handshake) -> bool:
        """Whether the client that opened the session may have sent this request: whoever learns a
        session's id does not own the session.
        """
        return not self.server.options.verify_ip or handshake.peer.host == self._host

    def set_handler(self, handler: Carrier, start_heartbeat: bool = True) -> bool:
        if self.handler is not None:
            handler.send_pack(disconnect(2010, "Another connection still open"))
            return False
        if self.is_closed:
            handler.send_pack(disconnect(*self.get_close_reason()))
            return False
        first = getattr(self, "transport_name", None)
        BaseSession.set_handler(self, handler)
        if first is not None:
            self.transport_name = first  # the library counts by it, up here and down at the end
        self.promote()
        if self.connection is not None:
            self.connection.heard = True
            self.connection.handshake.transport = handler.handshake.transport
        return True

    def verify_state(self) -> None:
        # By the time that the library calls on_open, the poll that opened it may be answered.
        if self.opener is None:
            self.opener = self.handler
        super().verify_state()
        self.opener = None
        self.flush()

    def opened(self, carrier: Carrier) -> None:
        self._host = carrier.handshake.peer.host
        super().opened(carrier)
        self._look_again()

    def ended(self) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None
        super().ended()
        if self.send_queue:
            self.server.gate.count_dropped(self._waiting)
            self.send_queue = ""

    def send(self, frame: str) -> None:
        # The library hands it to the receiver, or joins it to what waits for the next one.
        self.send_jsonified(frame)
        self._waiting = self._waiting + 1 if self.send_queue else 0
        if len(self.send_queue) >= HIGH_WATER and self.connection is not None:
            self.connection.congested()

    def flush(self) -> None:
        Session.flush(self)
        if len(self.send_queue) < HIGH_WATER and self.connection is not None:
            self.connection.relieved()
        self.part()

    def part(self) -> None:
        if not self.send_queue:
            super().part()

    def close(self, code: int = 3000, message: str = "Go away!") -> None:
        handler = self.handler
        if not self.is_closed and handler is not None and handler.active:
            handler.send_pack(disconnect(code, message))
        BaseSession.close(self, code, message)

    def start_heartbeat(self) -> None:
        """Done by `_beat`, with one timer for the whole life of the session."""

    def stop_heartbeat(self) -> None:
        """The same."""

    def _look_again(self) -> None:
        gate = self.server.gate
        if gate.heartbeat.interval and self.connection is not None:
            self._pulse = gate.runtime.timers.call_later(gate.heartbeat.interval / 2, self._beat)

    def _beat(self) -> None:
        """Send a heartbeat where nothing else was sent: proxies close what is silent."""
        handler = self.handler
        if handler is not None and handler.active and not self.spoke:
            handler.send_pack(HEARTBEAT)
        self.spoke = False
        self._look_again()
