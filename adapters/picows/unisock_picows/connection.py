"""A WebSocket whose frames picows reads."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

from unisock.abc import Upgrade
from unisock.connection import LOST
from unisock.errors import LimitExceeded, ProtocolError
from unisock.frames import BINARY, CLOSE, TEXT, unmask
from unisock.limits import Overflow
from unisock.messages import Close, Sent, Wire, printable

from .door import Client, Door
from .ear import Ear, HearingConnection
from .fragments import PartialMessage, too_big
from .outlet import FRAMING
from .parser import feed, free

__all__ = ["PicowsConnection"]

# To read a member of an enum from its class costs as much as to write a message.
_SENT = Sent.SENT

_HEAD = struct.Struct(">BQ")
"""Before each frame that is held back: its first byte, and the size of its payload."""
_FAULT = 0xFF
"""In the place of a first byte: no frame, but the fault with which they ended."""


class PicowsConnection(HearingConnection, Client, asyncio.BufferedProtocol):
    """The server's end of an accepted WebSocket.

    A connection that is awake has a parser on its transport. At other times the transport's
    protocol is the connection itself: it wakes up, or is deaf.

    :ivar outlet: what it sends
    """

    __slots__ = (
        "_door",
        "_ear",
        "_feeding",
        "_held",
        "_partial",
        "_replaying",
        "_room",
        "_sated",
        "_transport",
        "outlet",
    )

    def __init__(self, upgrade: Upgrade, transport: asyncio.Transport, door: Door) -> None:
        super().__init__(upgrade, FRAMING)
        self.outlet = door.parts.outlet(transport, door.turn)
        self._door = door
        self._transport = transport
        self._ear: Ear | None = None
        # How much the parser could take when it was looked at last.
        self._room = 0
        # It is being fed by hand; and it is empty, and may go.
        self._feeding = self._sated = False
        self._partial: PartialMessage | None = None
        # Frames that were read before reading was paused.
        self._held: bytearray | None = None
        self._replaying = False
        door.add(self)

    def start(self, upgrade: Upgrade, answer: bytes, early: bytes) -> None:
        """Send the answer to the request, and come to life.

        :param early: what the client sent behind its request
        """
        self._transport.set_protocol(self)
        self.outlet.gathering = True
        self.transmit(answer)
        upgrade.open(self)
        self._end_gathering()
        if early:
            self._wake_up(early)

    # From the transport, while there is no parser.

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._door.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self.deaf:
            self._wake_up(bytes(self._door.buffer[:nbytes]))

    def _wake_up(self, data: bytes) -> None:
        self.heard = True
        if is_close(data):
            # A parser that has seen a close frame is of no use to anybody else.
            self.outlet.gathering = True
            self.on_frame(data[0], unmask(data[2:6], data[6:]))
            self._end_gathering()
            return
        self._ear = ear = self._door.ears.lend(self, self.outlet)
        self._review()
        self._room = len(free(ear.parser))
        self._feeding, left = True, memoryview(data)
        while left and not self.deaf:
            self._sated = False
            left = left[feed(ear.parser, left) :]
        self._feeding = False
        if self._sated:
            self._give_back(clean=True)
        elif not self.deaf:
            self._transport.set_protocol(ear.parser)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost()

    def pause_writing(self) -> None:
        self.congested()

    def resume_writing(self) -> None:
        self.relieved()

    # The parser.

    def doze(self, *, idle: bool) -> None:
        if self._feeding:
            self._sated = True  # unless more follows
        else:
            self._sleep()

    def _sleep(self) -> None:
        """Give the parser back, which is empty."""
        if self._ear is not None:
            self._transport.set_protocol(self)
            self._give_back(clean=True)

    def _give_back(self, *, clean: bool) -> None:
        if self._ear is not None:
            self._door.ears.take_back(self._ear, clean=clean)
            self._ear = None

    def _review(self) -> None:
        """Tell the parser whether a whole message that comes now can be delivered as it is."""
        if self._ear is not None:
            self._ear.plain = not (self.deaf or self.paused) and self._partial is None

    # Reading.

    def on_frame(self, first: int, payload: bytes) -> None:
        if self.deaf:
            return
        if self.paused:
            if self._held is None:
                self._held = bytearray()
            self._held += _HEAD.pack(first, len(payload)) + payload
            return
        try:
            if first == _FAULT:
                code, reason = int.from_bytes(payload[:2], "big"), payload[2:].decode()
                raise ProtocolError(reason, code=code)
            if first & 0x70:
                raise ProtocolError("a reserved bit is set")
            opcode = first & 0x0F
            if opcode & 0x08:
                self.on_control(opcode, payload)
            else:
                self._on_fragment(opcode, payload, final=first >= 0x80)
        except (ProtocolError, LimitExceeded) as fault:
            self.on_fault(fault)

    def _on_fragment(self, opcode: int, payload: bytes, *, final: bool) -> None:
        partial = self._partial
        if partial is None:
            if opcode not in (TEXT, BINARY):
                raise ProtocolError("a fragment of no message")
            self._partial = partial = PartialMessage(self.gate.limits, text=opcode == TEXT)
            self._review()
        elif opcode in (TEXT, BINARY):
            raise ProtocolError("a message began inside another")
        message = partial.add(payload, final=final)
        if message is not None:
            self._partial = None
            self._review()
            self.receiver.on_message(message)

    def on_parser_fault(self, close: Close) -> None:
        reason = printable(close.reason)
        if close.code == 1009:
            reason = str(too_big(self.gate.limits.message_bytes))
        self.on_frame(_FAULT, close.code.to_bytes(2, "big") + reason.encode())

    def go_deaf(self) -> None:
        if not self.deaf:
            self.deaf = True
            self._review()
            self._partial = None
            if self._ear is not None:
                self._give_back(clean=False)
                if not self._feeding:
                    self._transport.set_protocol(self)
            self.resume_reading()

    def pause_reading(self) -> None:
        if not (self.paused or self.deaf):
            self.paused = True
            self._review()
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.paused:
            return
        self.paused = False
        if self._held and not self._replaying:
            self._replay(self._held)
        if not (self.paused or self._replaying):
            self._review()
            self._transport.resume_reading()

    def _replay(self, held: bytearray) -> None:
        """Deliver what was held back, until reading is paused again."""
        at = 0
        outlet = self.outlet
        outermost, outlet.gathering = not outlet.gathering, True
        self._replaying = True
        while at < len(held) and not (self.paused or self.deaf):
            first, size = _HEAD.unpack_from(held, at)
            at += _HEAD.size + size
            self.on_frame(first, bytes(held[at - size : at]))
        self._replaying = False
        if self.deaf:
            at = len(held)
        del held[:at]
        if not held:
            self._held = None
        if outermost:
            self._end_gathering()

    # Writing.

    def write(self, wire: Wire, overflow: Overflow | None = None) -> Sent:
        if not self._clear or isinstance(wire, tuple):
            return super().write(wire, overflow)
        self.outlet.write(wire)
        return _SENT

    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        if not self._clear or isinstance(frame, tuple):
            return super().put(frame, overflow)
        self.outlet.transmit(frame)
        return _SENT

    def transmit(self, frame: Any) -> None:
        self.outlet.transmit(frame)

    def _end_gathering(self) -> None:
        self.outlet.gathering = False
        self.outlet.flush()

    def relieved(self) -> None:
        outlet = self.outlet
        outermost, outlet.gathering = not outlet.gathering, True
        super().relieved()
        if outermost:
            self._end_gathering()

    def ping(self) -> None:
        self._notice_parts()
        super().ping()

    def _notice_parts(self) -> None:
        """A client in the middle of a large frame cannot answer a ping: what came of it is life."""
        if self._ear is not None:
            room = len(free(self._ear.parser))
            self.heard = self.heard or room != self._room
            self._room = room

    # Closing.

    def say_last(self, frame: bytes) -> None:
        self.outlet.batch.append(frame)
        self.outlet.flush()

    def finish(self) -> None:
        transport = self._transport
        transport.close()
        if transport.get_write_buffer_size():
            self.gate.runtime.timers.call_later(self.gate.limits.close_seconds, transport.abort)

    def hang_up(self) -> None:
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def abort(self) -> None:
        self.deaf = True
        self._review()
        self.outlet.batch.clear()
        self._transport.abort()

    def lost(self) -> None:
        self.deaf = True
        self._review()
        self.paused = False
        self._partial = self._held = None
        self.outlet.batch.clear()
        self._give_back(clean=False)
        self._door.discard(self)
        self.ended(LOST)


def is_close(data: bytes) -> bool:
    """Whether this is a close frame from a client, the whole of it and nothing else."""
    return (
        len(data) >= 6
        and data[0] == 0x80 | CLOSE
        and 0x80 <= data[1] < 0x80 + 126
        and len(data) == 6 + (data[1] & 0x7F)
    )
