"""A session over a WebSocket: packets in its messages, one WebSocket a session."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from unisock.abc import NOBODY, Connection, Gate, Receiver
from unisock.errors import LimitExceeded, ProtocolError
from unisock.handshake import Handshake
from unisock.limits import Heartbeat, Limits, Overflow
from unisock.messages import Close, ControlFrame, Message, Sent, Wire, printable

from .packets import PacketFraming, decode, disconnect
from .session import too_long

__all__ = ["Beneath", "WebSocketSession"]


class Beneath(Gate):
    """What a WebSocket beneath a session sees of the gate: limits and a heartbeat of its own."""

    def __init__(self, gate: Gate, limits: Limits, heartbeat: Heartbeat) -> None:
        self.endpoint = gate.endpoint
        self.capabilities = gate.capabilities
        self.origins = gate.origins
        self.limits = limits
        self.overflow = gate.overflow
        self.heartbeat = heartbeat
        self.runtime = gate.runtime
        self._gate = gate

    async def admit(self, handshake: Handshake) -> None:
        await self._gate.admit(handshake)

    def open(self, connection: Connection) -> None:
        self._gate.open(connection)

    def left(self, connection: Connection) -> None:
        self._gate.left(connection)

    def count_dropped(self, messages: int) -> None:
        self._gate.count_dropped(messages)


class WebSocketSession(Connection, Receiver):
    """Either end: it speaks in packets, and leaves all else to the WebSocket.

    :param below: the open WebSocket
    :param framing: packets upon the WebSocket's own framing
    :param most: messages in one of its messages
    """

    __slots__ = ("_closing", "_gate", "_held", "_limit", "_most", "_pack", "_paused", "below")

    def __init__(self, gate: Gate, below: Connection, framing: PacketFraming, most: int) -> None:
        super().__init__(below.handshake, framing)
        self._gate = gate
        self._pack = framing.packet
        self._limit = gate.limits.message_bytes
        self._most = most
        self._closing = False
        self._paused = False
        self._held: deque[str] = deque()
        self.below = below

    # From the WebSocket.

    def on_message(self, message: Message) -> None:
        if self._closing or not message:  # the protocol wants empty messages ignored
            return
        try:
            if isinstance(message, bytes):
                raise ProtocolError("this session carries text only", code=1003)
            found = decode(message, self._most, single=True)
        except ProtocolError as error:
            self._violated(error.code, str(error))
            return
        except LimitExceeded as error:
            self._violated(1009, str(error))
            return
        self._deliver(found)

    def on_close(self, close: Close) -> None:
        if self.closed is not None:
            return
        self.closed = close
        self._held.clear()
        self._gate.left(self)
        receiver, self.receiver = self.receiver, NOBODY
        receiver.on_close(close)

    def _deliver(self, found: list[str]) -> None:
        limit, held = self._limit, self._held
        for message in found:
            if self._paused or held:
                held.append(message)
            elif self._closing:
                return
            elif too_long(message, limit):
                self._violated(1009, f"over the limit message_bytes = {limit}")
            else:
                self.receiver.on_message(message)

    def _violated(self, code: int, reason: str) -> None:
        """Close without a packet: the protocol wants it abrupt."""
        self._closing = True
        self._held.clear()
        self.below.close(Close(code, printable(reason)))

    # From the core.

    @property
    def latency(self) -> float | None:
        return self.below.latency

    @property
    def closing(self) -> Close | None:
        return self.closed or self.below.closing

    @property
    def agreed(self) -> bool:
        return self.below.agreed

    def write(self, wire: Wire, overflow: Overflow | None = None) -> Sent:
        return self.below.write(self._pack(wire), overflow)

    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        return self.below.put(frame, overflow)

    async def drain(self) -> None:
        await self.below.drain()

    def close(self, close: Close) -> None:
        if not self._closing and self.closing is None:
            self._closing = True
            self._held.clear()
            # A full outbox does not take the packet. The close frame says the same.
            self.below.write(disconnect(close).decode(), Overflow.WAIT)
            self.below.close(close)

    def fail(self, close: Close) -> None:
        self._closing = True
        self.below.fail(close)

    def probe(self, answered: Callable[[], None]) -> bool:
        return self.below.probe(answered)

    def control(self, kind: Literal["ping", "pong"], payload: bytes = b"") -> bool:
        return self.below.control(kind, payload)

    def overhear(self, tell: Callable[[ControlFrame], None] | None) -> bool:
        return self.below.overhear(tell)

    async def wait_closed(self) -> None:
        await self.below.wait_closed()

    def watch(self) -> None:
        self.below.watch()

    def pause_reading(self) -> None:
        if not self._paused:
            self._paused = True
            self.below.hold()

    def resume_reading(self) -> None:
        if not self._paused:
            return
        self._paused = False
        held, self._held = self._held, deque()
        self._deliver([*held])
        self.below.release()
