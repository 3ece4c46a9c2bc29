"""A WebSocket whose frames picows reads."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

from aiofastnet import Transport

from unisock.abc import Upgrade
from unisock.connection import LOST
from unisock.errors import LimitExceeded, ProtocolError
from unisock.frames import BINARY, TEXT
from unisock.messages import Close, printable

from .door import Client, Door
from .fragments import PartialMessage, too_big
from .hearing import Deaf, Frames, HearingConnection
from .parser import CALM, feed, free, make_parser

__all__ = ["PicowsConnection"]

MANY = 64
"""Frames that are gathered at most before they are written."""
LARGE = 2048
"""Bytes of a frame for which nothing more is gathered."""

_HEAD = struct.Struct(">BQ")
"""Before each frame that is held back: its first byte, and the size of its payload."""
_FAULT = 0xFF
"""In the place of a first byte: no frame, but the fault with which they ended."""


class PicowsConnection(HearingConnection, Client):
    """The server's end of an accepted WebSocket.

    What is sent while frames of one read are being handled is gathered, and leaves in one write;
    what is sent at another time leaves at once.
    """

    __slots__ = (
        "_door",
        "_free",
        "_held",
        "_listener",
        "_partial",
        "_replaying",
        "_transport",
    )

    def __init__(self, upgrade: Upgrade, transport: Transport, door: Door) -> None:
        super().__init__(upgrade, transport.write_nocheck)
        self._door = door
        self._transport = transport
        self._listener = Frames(self)
        self._partial: PartialMessage | None = None
        # Frames that were read before reading was paused.
        self._held = bytearray()
        self._replaying = False
        door.add(self)

    def start(self, upgrade: Upgrade, answer: bytes, early: bytes) -> None:
        """Send the answer to the request, and come to life.

        :param early: what the client sent behind its request
        """
        self._put_on_parser()
        self.gathering = True
        self.transmit(answer)
        upgrade.open(self)
        self.gathering = False
        if self.batch:
            self.flush()
        feed(self._transport.get_protocol, early)

    def _put_on_parser(self) -> None:
        parser = make_parser(
            self._listener,
            max_frame_size=self.gate.limits.message_bytes,
            read_buffer_bytes=self._door.options.read_buffer_bytes,
        )
        self._free = len(free(parser))
        self._transport.set_protocol(parser)

    # Reading.

    def on_frame(self, first: int, payload: bytes) -> None:
        if self.deaf:
            return
        if self.paused:
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
            self.plain = False
        elif opcode in (TEXT, BINARY):
            raise ProtocolError("a message began inside another")
        message = partial.add(payload, final=final)
        if message is not None:
            self._partial = None
            self.plain = True
            self.receiver.on_message(message)

    def on_parser_fault(self, close: Close) -> None:
        reason = printable(close.reason)
        if close.code == 1009:
            reason = str(too_big(self.gate.limits.message_bytes))
        self.on_frame(_FAULT, close.code.to_bytes(2, "big") + reason.encode())

    def go_deaf(self) -> None:
        if not self.deaf:
            self.deaf = True
            self.plain = False
            self._partial = None
            self._transport.set_protocol(Deaf(self))
            self.resume_reading()

    def pause_reading(self) -> None:
        if not (self.paused or self.deaf):
            self.paused = True
            self.plain = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.paused:
            return
        self.paused = False
        if self._held and not self._replaying:
            self._replay()
        if not (self.paused or self._replaying):
            self.plain = not self.deaf and self._partial is None
            self._transport.resume_reading()

    def _replay(self) -> None:
        """Deliver what was held back, until reading is paused again."""
        held, at = self._held, 0
        outermost, self.gathering = not self.gathering, True
        self._replaying = True
        while at < len(held) and not (self.paused or self.deaf):
            first, size = _HEAD.unpack_from(held, at)
            at += _HEAD.size + size
            self.on_frame(first, bytes(held[at - size : at]))
        self._replaying = False
        if self.deaf:
            at = len(held)
        del held[:at]
        if outermost:
            self.gathering = False
            if self.batch:
                self.flush()

    # Writing.

    def transmit(self, frame: Any) -> None:
        if not self.gathering:
            self.put_out(frame)
            return
        self.batch.append(frame)
        if len(frame) > LARGE or len(self.batch) >= MANY:
            self.flush()

    def flush(self) -> None:
        data = b"".join(self.batch)
        self.batch.clear()
        self.put_out(data)

    def relieved(self) -> None:
        outermost, self.gathering = not self.gathering, True
        super().relieved()
        if outermost:
            self.gathering = False
            if self.batch:
                self.flush()

    def ping(self) -> None:
        self._notice_parts()
        super().ping()

    def _notice_parts(self) -> None:
        """A client in the middle of a large frame cannot answer a ping: what came of it is life."""
        parser = self._transport.get_protocol()
        if isinstance(parser, asyncio.BufferedProtocol):
            left = len(free(parser))
            self.heard = self.heard or left != self._free
            self._free = left

    # Closing.

    def say_last(self, frame: bytes) -> None:
        self.batch.append(frame)
        self.flush()

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
        self.plain = False
        self._transport.abort()

    def lost(self) -> None:
        self.deaf = True
        self.paused = self.plain = False
        self._partial = None
        self._held.clear()
        self._door.discard(self)
        self.ended(LOST)

    def trim(self) -> None:
        parser = self._transport.get_protocol()
        if isinstance(parser, asyncio.BufferedProtocol) and len(free(parser)) > CALM:
            self._put_on_parser()
