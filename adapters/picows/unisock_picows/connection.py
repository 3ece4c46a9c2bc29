"""A WebSocket whose frames picows reads."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

from aiofastnet import Transport

from unisock.abc import Upgrade
from unisock.connection import LOST
from unisock.errors import LimitExceeded, ProtocolError
from unisock.frames import BINARY, CLOSE, PING, PONG, TEXT, close_frame, read_close
from unisock.messages import Close, printable

from .door import Client, Door
from .fragments import PartialMessage, too_big
from .hearing import Deaf, FrameConnection, Frames
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


class PicowsConnection(FrameConnection, Client):
    """The server's end of an accepted WebSocket.

    What is sent while frames of one read are being handled is gathered, and leaves in one write;
    what is sent at another time leaves at once.
    """

    __slots__ = (
        "_agreed",
        "_deaf",
        "_door",
        "_free",
        "_held",
        "_listener",
        "_partial",
        "_paused",
        "_pong",
        "_replaying",
        "_said_goodbye",
        "_transport",
    )

    pings = True

    def __init__(self, upgrade: Upgrade, transport: Transport, door: Door) -> None:
        super().__init__(upgrade, transport.write_nocheck)
        self._door = door
        self._transport = transport
        self._listener = Frames(self)
        self._partial: PartialMessage | None = None
        self._paused = False
        # Frames that were read before reading was paused.
        self._held = bytearray()
        self._replaying = False
        # The payload of the latest pong that the client did not take.
        self._pong: bytes | None = None
        # What comes is not understood any more: there was a close frame, or a fault.
        self._deaf = False
        # Our close frame was written; nothing may follow it.
        self._said_goodbye = False
        self._agreed = False
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
        if self._deaf:
            return
        if self._paused:
            self._held += _HEAD.pack(first, len(payload)) + payload
            return
        try:
            if first == _FAULT:
                code, reason = int.from_bytes(payload[:2], "big"), payload[2:].decode()
                raise ProtocolError(reason, code=code)
            if first & 0x70:
                raise ProtocolError("a reserved bit is set")
            opcode = first & 0x0F
            if opcode == CLOSE:
                self._on_close_frame(read_close(payload))
            elif opcode == PING:
                self._on_ping(payload)
            elif opcode == PONG:
                self.ponged()
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

    def _on_ping(self, payload: bytes) -> None:
        if self._said_goodbye:
            return
        if self._outbox is None:
            self.transmit(bytes((0x8A, len(payload))) + payload)
        else:
            # Only the latest ping needs an answer (RFC 6455 section 5.5.3), so a client that pings
            # without reading makes nothing grow.
            self._pong = payload

    def _on_close_frame(self, close: Close) -> None:
        self._agreed = self._said_goodbye
        if not self._said_goodbye:
            self._say_goodbye(Close(close.code))
        self._go_deaf()
        self.ended(close)
        transport = self._transport
        transport.close()
        if transport.get_write_buffer_size():
            self.gate.runtime.timers.call_later(self.gate.limits.close_seconds, transport.abort)

    def on_fault(self, fault: ProtocolError | LimitExceeded) -> None:
        self._go_deaf()
        if self._said_goodbye:
            self._hang_up()
        else:
            self.close(Close(fault.code, printable(str(fault))))

    def on_parser_fault(self, close: Close) -> None:
        reason = printable(close.reason)
        if close.code == 1009:
            reason = str(too_big(self.gate.limits.message_bytes))
        self.on_frame(_FAULT, close.code.to_bytes(2, "big") + reason.encode())

    def _go_deaf(self) -> None:
        """Throw away all that still comes."""
        if not self._deaf:
            self._deaf = True
            self.plain = False
            self._partial = None
            self._transport.set_protocol(Deaf(self))
            self.resume_reading()

    def pause_reading(self) -> None:
        if not (self._paused or self._deaf):
            self._paused = True
            self.plain = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._paused:
            return
        self._paused = False
        if self._held and not self._replaying:
            self._replay()
        if not (self._paused or self._replaying):
            self.plain = not self._deaf and self._partial is None
            self._transport.resume_reading()

    def _replay(self) -> None:
        """Deliver what was held back, until reading is paused again."""
        held, at = self._held, 0
        outermost, self.gathering = not self.gathering, True
        self._replaying = True
        while at < len(held) and not (self._paused or self._deaf):
            first, size = _HEAD.unpack_from(held, at)
            at += _HEAD.size + size
            self.on_frame(first, bytes(held[at - size : at]))
        self._replaying = False
        if self._deaf:
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
        payload, self._pong = self._pong, None
        if payload is not None and not self._said_goodbye:
            self.transmit(bytes((0x8A, len(payload))) + payload)
        super().relieved()
        if outermost:
            self.gathering = False
            if self.batch:
                self.flush()

    def ping(self) -> None:
        if self._paused:
            self.heard = True  # its answer could not be heard; and it waits for us, not we for it
        elif not self._said_goodbye:
            self._notice_parts()
            self.transmit(b"\x89\x00")

    def _notice_parts(self) -> None:
        """A client in the middle of a large frame cannot answer a ping: what came of it is life."""
        parser = self._transport.get_protocol()
        if isinstance(parser, asyncio.BufferedProtocol):
            left = len(free(parser))
            self.heard = self.heard or left != self._free
            self._free = left

    # Closing.

    @property
    def agreed(self) -> bool:
        return self._agreed

    def shut(self, close: Close) -> None:
        self._say_goodbye(close)
        if self._deaf:
            self._hang_up()
        else:
            self.resume_reading()  # for the client's close frame

    def _say_goodbye(self, close: Close) -> None:
        self._said_goodbye = True
        self.batch.append(close_frame(close))
        self.flush()

    def _hang_up(self) -> None:
        """Write no more, so that the client hangs up too. To close with bytes unread would reset
        the connection, and could cost the client our close frame.
        """
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def abort(self) -> None:
        self._deaf = True
        self.plain = False
        self._transport.abort()

    def lost(self) -> None:
        self._deaf = True
        self._paused = self.plain = False
        self._partial = None
        self._held.clear()
        self._door.discard(self)
        self.ended(LOST)

    def trim(self) -> None:
        parser = self._transport.get_protocol()
        if isinstance(parser, asyncio.BufferedProtocol) and len(free(parser)) > CALM:
            self._put_on_parser()
