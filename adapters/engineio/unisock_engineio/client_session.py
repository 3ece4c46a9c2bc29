"""A client's session: polling, then perhaps a WebSocket; or a WebSocket from the beginning."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

import anyio
import msgspec

from unisock import Close, Handshake, Message, Origin, ProtocolError, Sent
from unisock.abc import Connection, Gate, Receiver
from unisock.connection import LOST, BufferedConnection
from unisock.limits import Overflow
from unisock.messages import ControlFrame, Wire

from .packets import (
    CLOSE,
    MESSAGE,
    OPEN,
    PING,
    PONG,
    REVISIONS,
    compose,
    compose_alone,
)
from .settings import too_long

__all__ = ["PARSE_ERROR", "TRANSPORT_ERROR", "ClientSession", "Opening", "read_opening"]

HIGH_WATER = 65_536

PARSE_ERROR = Close(1002, "parse error")
TRANSPORT_ERROR = Close(1006, "transport error", origin=Origin.LOST)
_PING_TIMEOUT = Close(1006, "ping timeout", origin=Origin.LOST)
_LEFT = Close(1005, "transport close", origin=Origin.PEER)
_REVISION = REVISIONS["4"]


class Opening(msgspec.Struct, frozen=True, rename="camel"):
    """What the server says of a new session. Times are in milliseconds."""

    sid: str
    ping_interval: int
    ping_timeout: int
    upgrades: tuple[str, ...] = ()
    max_payload: int | None = None


def read_opening(packet: Message) -> Opening:
    """The session that the server has opened.

    :raises ProtocolError: it has not
    """
    if isinstance(packet, str) and packet[:1] == OPEN:
        try:
            opening = msgspec.json.decode(packet[1:], type=Opening)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ProtocolError("the server's open packet is none") from error
        if opening.ping_interval > 0 and opening.ping_timeout > 0:
            return opening
    raise ProtocolError("the server does not speak Engine.IO, revision 4")


class ClientSession(BufferedConnection):
    """A session with a server.

    :param lower: the WebSocket that it begins on; `None` for polling
    :ivar outgoing: packets that wait for a POST
    :ivar posting: a POST is under way
    :ivar news: set when there is something for the tasks that poll and post
    """

    __slots__ = (
        "_held",
        "_lower",
        "_patience",
        "_paused",
        "_size",
        "news",
        "opening",
        "outgoing",
        "parted",
        "posting",
    )

    pings = True

    def __init__(
        self,
        gate: Gate,
        handshake: Handshake,
        opening: Opening,
        lower: Connection | None = None,
    ) -> None:
        super().__init__(gate, handshake, compose(_REVISION, False, None))
        self.opening = opening
        self.outgoing: deque[Message] = deque()
        self.posting = False
        self.parted = False
        self.news = anyio.Event()
        self._held: deque[Message] = deque()
        self._size = 0
        self._paused = False
        self._patience = (opening.ping_interval + opening.ping_timeout) / 1000
        self._lower: Connection | None = None
        if lower is not None:
            self._settle(lower)

    @property
    def polling(self) -> bool:
        """Whether it has no WebSocket."""
        return self._lower is None

    @property
    def paused(self) -> bool:
        """Whether the application wants nothing more at the moment."""
        return self._paused

    # What comes from the server.

    def take_in(self, body: bytes) -> None:
        """The answer to a poll."""
        try:
            self._held.extend(_REVISION.split(body, "", len(body) + 1))
        except ProtocolError:
            self.close(PARSE_ERROR)
        self.deliver()

    def deliver(self) -> None:
        """Deliver what was polled, as far as the application wants it."""
        while self._held and not self._paused and self.closed is None:
            self.arrived(self._held.popleft())

    def carried(self, packet: Message) -> None:
        """A packet came over the WebSocket. What was polled comes before it."""
        if self._held:
            self._held.append(packet)
            self.deliver()
        else:
            self.arrived(packet)

    def arrived(self, packet: Message) -> None:
        """A packet from the server. Never raises."""
        self.heard = True
        if isinstance(packet, str) and packet[:1] == MESSAGE:
            data: Message = packet[1:]
        elif packet == PING:
            self._say(PONG)
            return
        else:
            try:
                kind, data = _REVISION.decode(packet)
            except ProtocolError:
                self.close(PARSE_ERROR)
                return
            if kind == CLOSE:
                self._parting()
                return
            if kind != MESSAGE:
                return
        limit = self.gate.limits.message_bytes
        if too_long(data, limit):
            self.close(Close(1009, f"over the limit message_bytes = {limit}"))
        else:
            self.receiver.on_message(data)

    def _parting(self) -> None:
        if self._lower is not None:
            self.close(_LEFT)
        else:
            self.ended(_LEFT)

    def pause_reading(self) -> None:
        self._paused = True
        if self._lower is not None:
            self._lower.hold()

    def resume_reading(self) -> None:
        self._paused = False
        self.tell()
        if self._lower is not None:
            self._lower.release()
            self.gate.runtime.timers.call_later(0, self.deliver)

    # What goes to the server.

    def write(self, wire: Wire, overflow: Overflow | None = None) -> Sent:
        if self._lower is None:
            return super().write(wire, overflow)
        return self._lower.put(self.framing.frames(wire), overflow)

    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        if self._lower is None:
            return super().put(frame, overflow)
        return self._lower.put(frame, overflow)

    async def drain(self) -> None:
        await super().drain()
        if self._lower is not None:
            await self._lower.drain()

    def transmit(self, frame: Message) -> None:
        if self._lower is not None:  # it waited for a POST
            self._lower.write(frame)
            return
        self._queue(frame)
        if self._size >= HIGH_WATER:
            self.congested()

    def _queue(self, packet: Message) -> None:
        self.outgoing.append(packet)
        self._size += len(packet)
        self.tell()

    def _say(self, packet: str) -> None:
        if self._lower is not None:
            self._lower.write(packet, Overflow.WAIT)
        else:
            self._queue(packet)

    def tell(self) -> None:
        """Let the tasks that poll and post look again."""
        news, self.news = self.news, anyio.Event()
        news.set()

    def next_payload(self) -> bytes:
        """What the next POST is to carry: as much as the server takes at once."""
        packets: list[bytes] = []
        size, most = 0, self.opening.max_payload or 1 << 62
        while self.outgoing:
            joined, _ = _REVISION.join([self.outgoing[0]], base64=False)
            if packets and size + len(joined) > most:
                break
            self._size -= len(self.outgoing.popleft())
            packets.append(joined)
            size += len(joined) + 1
        return b"\x1e".join(packets)

    def posted(self) -> None:
        """A POST was taken."""
        self.heard = True
        if self._size < HIGH_WATER:
            self.relieved()
        if not self.outgoing:
            probe, self._probe = self._probe, None
            if probe is not None:
                probe()

    # The WebSocket.

    def upgrade(self, lower: Connection) -> None:
        """Go over to a WebSocket: what waits follows."""
        self._settle(lower)
        self.handshake.transport = "websocket"
        lower.write("5")
        while self.outgoing:
            lower.write(self.outgoing.popleft())
        self.relieved()
        if self._paused:
            lower.hold()
        self.tell()

    def _settle(self, lower: Connection) -> None:
        self._lower = lower
        # Each WebSocket of a client masks for itself, so there is nothing to share.
        self.framing = compose_alone(_REVISION, False, lower.framing)
        lower.attach(_Ear(self))

    def control(self, kind: Literal["ping", "pong"], payload: bytes = b"") -> bool:
        return self._lower is not None and self._lower.control(kind, payload)

    def overhear(self, tell: Callable[[ControlFrame], None] | None) -> bool:
        return self._lower is not None and self._lower.overhear(tell)

    def probe(self, answered: Callable[[], None]) -> bool:
        """What a POST has carried was read when it is answered."""
        if self._lower is not None:
            return self._lower.probe(answered)
        if self.closing is not None or self._probe is not None:
            return False
        if not self.outgoing and not self.posting and self._clear:
            self.gate.runtime.timers.call_later(0, answered)
        else:
            self._probe = answered
        return True

    # The heartbeat comes from the server.

    def watch(self) -> None:
        self.heard = False
        self._pulse = self.gate.runtime.timers.call_later(self._patience, self._listen)

    def _listen(self) -> None:
        if self.closed is not None:
            return
        if self.heard or self._paused:
            self.watch()
        else:
            self.fail(_PING_TIMEOUT)

    # The end.

    @property
    def agreed(self) -> bool:
        return self.parted if self._lower is None else self._lower.agreed

    def shut(self, close: Close) -> None:
        if self._lower is not None:
            self._lower.close(close)
        else:
            self._queue(CLOSE)

    def abort(self) -> None:
        if self._lower is not None:
            self._lower.fail(self._closing or LOST)
        else:
            self.ended(LOST)

    def ended(self, close: Close) -> None:
        super().ended(close)
        self._held.clear()
        self.tell()


class _Ear(Receiver):
    """Hears what comes over the WebSocket of a session."""

    __slots__ = ("_session",)

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    def on_message(self, message: Message) -> None:
        self._session.carried(message)

    def on_close(self, close: Close) -> None:
        self._session.ended(close)
