"""A session: polling, or on a WebSocket, or first the one and then the other."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

import anyio

from unisock import Close, Handshake, Message, Origin, ProtocolError, Sent
from unisock.abc import Connection, Gate, Receiver
from unisock.connection import LOST
from unisock.limits import Overflow
from unisock.messages import ControlFrame, Wire

from .heartbeat import BeatingSession
from .packets import CLOSE, MESSAGE, NOOP, PING, PONG, Revision, compose
from .poll import Poll
from .settings import Settings, too_long

__all__ = ["EngineioSession"]

HIGH_WATER = 262_144
"""Bytes that one poll takes away; what is beyond waits for the next."""

_PARSE_ERROR = Close(1002, "parse error")
_TRANSPORT_ERROR = Close(1002, "transport error")
_LEFT = Close(1000, "transport close", origin=Origin.PEER)
_CUT = Close(1006, "transport error", origin=Origin.LOST)


class EngineioSession(BeatingSession):
    """A session, from its handshake to its end.

    :param base64: the client takes text only
    :param lower: the WebSocket that it begins on; `None` for polling
    :param forget: called when it has ended
    :ivar candidate: a WebSocket that is to take over
    :ivar faulty: the client broke a rule
    :ivar posting: a POST is being read, or its packets being delivered
    """

    __slots__ = (
        "_base64",
        "_delivering",
        "_digested",
        "_forget",
        "_held",
        "_id",
        "_lower",
        "_lower_held",
        "_moving",
        "_owed",
        "_packets",
        "_poll",
        "candidate",
        "faulty",
        "posting",
    )

    def __init__(
        self,
        gate: Gate,
        handshake: Handshake,
        settings: Settings,
        revision: Revision,
        *,
        base64: bool,
        forget: Callable[[str], object],
        lower: Connection | None = None,
    ) -> None:
        super().__init__(gate, handshake, settings, revision, base64=base64)
        # 120 bits, so that nobody can guess it: whoever has it can speak for the client.
        self._id = secrets.token_urlsafe(15)
        self._base64 = base64
        self._forget = forget
        self._lower: Connection | None = None
        self._lower_held = False
        self._poll: Poll | None = None
        self._owed: str | None = None
        self._held: deque[Message] = deque()
        self._delivering = False
        self._moving = False
        self._digested: anyio.Event | None = None
        self.candidate: Connection | None = None
        self.faulty = False
        self.posting = False
        if lower is None:
            self.congested()  # until there is a poll
        else:
            self._settle(lower)

    @property
    def id(self) -> str:
        return self._id

    @property
    def polling(self) -> bool:
        """Whether it has no WebSocket."""
        return self._lower is None

    # What comes from the client.

    def take_in(self, packets: Iterable[Message]) -> None:
        """Deliver the packets of a POST, as far as reading is not paused."""
        self._held.extend(packets)
        self._deliver()

    @property
    def behind(self) -> bool:
        """Whether a POST that was answered is not all delivered yet."""
        return bool(self._held)

    def digesting(self, *, wholly: bool) -> bool:
        """Whether `digested` has to wait."""
        return bool(self._held) and self.closed is None and (wholly or not self._moving)

    async def digested(self, *, wholly: bool) -> None:
        """Wait until all of a POST is delivered.

        A client that moves to its WebSocket does not poll, and waits for its POST. So must the POST
        not wait for the application, which may wait for a poll: what it brought is kept.

        :param wholly: wait in that case too
        """
        while self.digesting(wholly=wholly):
            if self._digested is None:
                self._digested = anyio.Event()
            await self._digested.wait()

    def _deliver(self) -> None:
        if self._delivering:
            return
        self._delivering = True
        held = self._held
        try:
            while held and not self._paused and self.closed is None:
                self.arrived(held.popleft())
        finally:
            self._delivering = False
        if self.closed is not None:
            held.clear()
        if not held:
            self._let_on()

    def moving(self, moves: bool) -> None:
        """The client is about to move to its WebSocket; or is not after all."""
        self._moving = moves
        digested, self._digested = self._digested, None
        if digested is not None:
            digested.set()

    async def _deliver_later(self) -> None:
        self._deliver()

    def _let_on(self) -> None:
        """All that was posted is delivered: go on."""
        digested, self._digested = self._digested, None
        if digested is not None:
            digested.set()
        if self._lower_held and not self._paused and self._lower is not None:
            self._lower_held = False
            self._lower.release()

    def arrived(self, packet: Message) -> None:
        """A packet from the client. Never raises."""
        try:
            kind, data = self.revision.decode(packet)
        except ProtocolError:
            self.violated(_PARSE_ERROR)
            return
        if kind == MESSAGE:
            self.heard = True
            most = self.settings.message_bytes
            if too_long(data, most):
                self.violated(Close(1009, f"over the limit message_bytes = {most}"))
            else:
                self.receiver.on_message(data)
        elif kind == CLOSE:
            self._left()
        elif kind == (PING if self.revision.client_pings else PONG):
            self.on_heartbeat()
        elif kind in (PING, PONG):
            self.violated(_TRANSPORT_ERROR)  # heartbeats from the wrong side
        else:
            self.heard = True

    def violated(self, close: Close = _TRANSPORT_ERROR) -> None:
        """The client broke a rule, and the session ends."""
        self.faulty = True
        if self._lower is not None:
            self.close(close)
        else:
            self.fail(close)

    def _left(self) -> None:
        if self._lower is not None:
            self.close(_LEFT)
        else:
            self._let_poll_go(NOOP)
            self.ended(_LEFT)

    def pause_reading(self) -> None:
        self._paused = True
        if self._lower is not None and not self._lower_held:
            self._lower_held = True
            self._lower.hold()

    def resume_reading(self) -> None:
        self._paused = False
        if self._held:
            self.gate.runtime.spawn(self._deliver_later)
        else:
            self._let_on()

    # Polling.

    def open_poll(self) -> Poll | None:
        """A request that may wait has come; `None` if one waits already, which breaks the rules."""
        if self._poll is not None:
            self.violated()
            return None
        poll = self._poll = Poll()
        if self._owed is not None:
            poll.add(self._owed)
            self._owed = None
        self.relieved()
        return poll

    def take(self, poll: Poll) -> list[Message]:
        """What the request is to be answered with."""
        if self._poll is poll:
            self._poll = None
            self.congested()
        if self.closed is not None:
            self._forget(self._id)
        return poll.packets

    def cut(self, poll: Poll | None = None) -> None:
        """The client went away in the middle of a request, perhaps of one that waited."""
        if poll is not None and self._poll is poll:
            self._poll = None
            messages = [packet for packet in poll.packets if packet[:1] not in _CONTROL]
            self.gate.count_dropped(len(messages))
        self.ended(_CUT)
        self._forget(self._id)

    def nudge(self) -> None:
        """Let the request that waits go, so that the client can move to its WebSocket."""
        if self._poll is not None and not self._poll.packets:
            self._poll.add(NOOP)

    def _let_poll_go(self, packet: str) -> None:
        poll, self._poll = self._poll, None
        if poll is not None and not (poll.packets and packet == NOOP):
            poll.add(packet)

    # On a WebSocket.

    def upgrade(self, lower: Connection) -> None:
        """Go over to a WebSocket: what waits goes first, by the rules of polling."""
        self.candidate = None
        self._let_poll_go(NOOP)
        self._settle(lower)
        self.handshake.transport = "websocket"
        owed, self._owed = self._owed, None
        if owed is not None:
            self.say(owed)
        self.relieved()
        if (self._paused or self._held) and not self._lower_held:
            self._lower_held = True
            lower.hold()

    def _settle(self, lower: Connection) -> None:
        self._lower = lower
        self._packets = self.revision.packets(base64=self._base64)
        self.framing = compose(self.revision, self._base64, lower.framing)
        lower.attach(_Ear(self))

    def write(self, wire: Wire, overflow: Overflow | None = None) -> Sent:
        if self._lower is not None:
            return self._lower.write(self._packets.frames(wire), overflow)
        return super().write(wire, overflow)

    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        if self._lower is not None:
            return self._lower.put(frame, overflow)
        return super().put(frame, overflow)

    async def drain(self) -> None:
        await super().drain()
        if self._lower is not None:
            await self._lower.drain()

    def transmit(self, frame: Message) -> None:
        if self._lower is not None:  # it waited for a poll
            self._lower.write(frame)
            return
        poll = self._poll
        if poll is not None:
            poll.add(frame)
            if poll.size >= HIGH_WATER:
                self.congested()

    def say(self, packet: str) -> bool:
        if self._lower is not None:
            return self._lower.write(packet, Overflow.WAIT) is not Sent.DROPPED
        if self._clear:
            self.transmit(packet)
        else:
            self._owed = packet
        return True

    def control(self, kind: Literal["ping", "pong"], payload: bytes = b"") -> bool:
        return self._lower is not None and self._lower.control(kind, payload)

    def overhear(self, tell: Callable[[ControlFrame], None] | None) -> bool:
        return self._lower is not None and self._lower.overhear(tell)

    def probe(self, answered: Callable[[], None]) -> bool:
        if self.revision.client_pings or not (self._clear or self._lower is not None):
            return False
        self._since = self.gate.runtime.timers.now - self.settings.interval
        return super().probe(answered)

    # The end.

    @property
    def agreed(self) -> bool:
        return self._lower is not None and self._lower.agreed

    def shut(self, close: Close) -> None:
        if self._lower is not None:
            self._lower.close(close)
            return
        self.ended(close)

    def abort(self) -> None:
        if self._lower is not None:
            self._lower.fail(self._closing or LOST)
        else:
            self.ended(LOST)

    def ended(self, close: Close) -> None:
        if self.closed is not None:
            return
        super().ended(close)
        # Until the client is told, its POSTs are answered as if it had been: it would take an error
        # for the end, and not read what came before that.
        if self._poll is None:
            self._forget(self._id)
        self._let_poll_go(CLOSE)
        candidate, self.candidate = self.candidate, None
        if candidate is not None:
            candidate.close(Close(1000, "the session has ended"))
        if not self._delivering:
            self._held.clear()
            self._let_on()

    def lower_ended(self, close: Close) -> None:
        """The WebSocket has ended."""
        reason = close.reason or "transport close"
        self.ended(Close(close.code, reason, close.reconnect, close.origin))


_CONTROL = frozenset({CLOSE, PING, PONG, NOOP})


class _Ear(Receiver):
    """Hears what comes over the WebSocket of a session."""

    __slots__ = ("_binary", "_session", "_short")

    def __init__(self, session: EngineioSession) -> None:
        self._session = session
        # Revision 3 has a byte for the type in front of binary data too.
        self._binary = session.revision.number >= 4
        # Letters that are within the limit, whichever they are.
        self._short = session.settings.message_bytes // 4

    def on_message(self, message: Message) -> None:
        session = self._session
        if len(message) > self._short:
            session.arrived(message)
            return
        if isinstance(message, str):
            if message[:1] == MESSAGE:
                session.heard = True
                session.receiver.on_message(message[1:])
                return
        elif self._binary:
            session.heard = True
            session.receiver.on_message(message)
            return
        session.arrived(message)

    def on_close(self, close: Close) -> None:
        self._session.lower_ended(close)
