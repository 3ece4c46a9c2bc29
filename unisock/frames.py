"""RFC 6455 frames from a client: bytes in, messages and control frames out, without I/O.

For adapters whose library reads frames in a way that breaks a promise: takes unmasked frames, any
number of fragments or any close code, or answers faults without a word. The counterpart of
`unisock.framing`, which is for what goes out.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable

from .errors import LimitExceeded, ProtocolError
from .messages import Close, Message, Origin, printable

__all__ = [
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "TEXT",
    "FrameReader",
    "Unmask",
    "close_frame",
    "read_close",
    "unmask",
]

Unmask = Callable[[bytes, bytes], "bytes | bytearray"]
"""Undoes the masking of a payload (RFC 6455 section 5.3): the mask of four bytes, the payload."""

CONTINUATION = 0
"""An opcode (RFC 6455 section 5.2)."""
TEXT = 1
"""An opcode."""
BINARY = 2
"""An opcode."""
CLOSE = 8
"""An opcode."""
PING = 9
"""An opcode."""
PONG = 10
"""An opcode."""

_COMPRESSED = 0x40
"""RSV1: in the first frame of a message that is compressed (RFC 7692 section 7.2.1)."""

_WHOLE = frozenset({0x80 | TEXT, 0x80 | BINARY})
_SMALL_READ, _LARGE_READ = 16_384, 262_144

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


def unmask(mask: bytes, payload: bytes) -> bytes:
    """An `Unmask` in Python alone, for where there is none in C."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    both = int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")
    return both.to_bytes(size, "little")


class FrameReader:
    """Puts a client's messages together.

    :param message_bytes: the most bytes of one message, put together and inflated
    :param fragments: the most fragments of one message
    :param unmask: undoes the masking
    :param deflate: whether messages may be compressed (RFC 7692), each without regard to those
        before it: ``client_no_context_takeover`` was agreed on
    """

    __slots__ = (
        "_buffer",
        "_compressed",
        "_count",
        "_data",
        "_decoder",
        "_deflate",
        "_expected",
        "_fragments",
        "_message_bytes",
        "_need",
        "_partial",
        "_room",
        "_start",
        "_unmask",
    )

    def __init__(
        self,
        message_bytes: int,
        fragments: int,
        unmask: Unmask = unmask,
        *,
        deflate: bool = False,
    ) -> None:
        self._message_bytes = message_bytes
        self._fragments = fragments
        self._unmask = unmask
        self._deflate = deflate
        # The bytes that are being read, from `_start` on.
        self._data = b""
        self._start = 0
        # An incomplete frame that has to grow to `_need` bytes until it is looked at again, and to
        # `_expected` bytes until it is whole.
        self._partial: bytearray | None = None
        self._need = 0
        self._expected = 0
        # The message that is coming, how many bytes it may still have, how many fragments of it
        # have come, and, if it is text, what finds out early that it is none.
        self._buffer: bytearray | None = None
        self._room = message_bytes
        self._count = 0
        self._decoder: codecs.IncrementalDecoder | None = None
        # Its opcode, if it is compressed.
        self._compressed = 0

    @property
    def wants(self) -> int:
        """How many bytes to read next, at most: a lot only where a large frame is under way, so
        that nobody keeps the loop to himself.
        """
        missing = 0 if self._partial is None else self._expected - len(self._partial)
        return max(_SMALL_READ, min(missing, _LARGE_READ))

    def feed(self, data: bytes) -> None:
        """Take bytes from the wire; only when `next` has nothing left."""
        if self._partial is not None:
            self._partial += data
            if len(self._partial) < self._need:
                return
            data, self._partial = bytes(self._partial), None
        self._data, self._start = data, 0

    def next(self) -> tuple[int, Message] | None:
        """The next message or control frame as opcode and payload; `None` when bytes are missing.

        After an error, nothing that follows can be understood.

        :raises ProtocolError: the client broke a rule of RFC 6455
        :raises LimitExceeded: ``message_bytes`` or ``fragments``
        """
        unmask = self._unmask
        while True:
            data, start = self._data, self._start
            have = len(data) - start
            if have < 2:
                if have:
                    self._wait_for(2)
                return None
            first, second = data[start], data[start + 1]
            if first not in _WHOLE or second < 0x80 or self._buffer is not None:
                self._check(first, second)
            size, body = second & 0x7F, start + 6
            if size >= 126:
                wide = 2 if size == 126 else 8
                if have < 2 + wide:
                    self._wait_for(2 + wide)
                    return None
                size = int.from_bytes(data[start + 2 : start + 2 + wide], "big")
                body += wide
            if size > self._room and not first & 0x08:
                raise self._too_large()
            end = body + size
            if end > len(data):
                if not self._is_text(first):
                    self._wait_for(end - start)
                elif body >= len(data):
                    self._wait_for(min(body + 1, end) - start)
                else:
                    self._take_part(first, body, end)
                return None
            payload = unmask(data[body - 4 : body], data[body:end])
            self._start = end
            if first == 0x82:
                return BINARY, bytes(payload)
            if first == 0x81:
                return TEXT, _text(payload)
            if first & 0x08:
                return first & 0x0F, bytes(payload)
            message = self._put_together(first, payload)
            if message is not None:
                return message

    def _wait_for(self, size: int) -> None:
        """Keep the rest until it has grown to ``size`` bytes."""
        self._partial = bytearray(self._data[self._start :])
        self._need = self._expected = size
        self._data, self._start = b"", 0

    def _is_text(self, first: int) -> bool:
        opcode = first & 0x0F
        return first & 0x4F == TEXT or (opcode == CONTINUATION and self._decoder is not None)

    def _take_part(self, first: int, body: int, end: int) -> None:
        """Take what has come of an incomplete frame of text, so that a fault in it is found now.

        What is missing becomes a fragment, for which a header is made. Fragments may be split like
        this on their way (RFC 6455 section 5.4), so the message stays the same. It is not counted.
        """
        data = self._data
        mask, come = data[body - 4 : body], len(data) - body
        self._add(first & 0x0F, self._unmask(mask, data[body:]), final=False)
        turn, missing = come % 4, end - len(data)
        header = (
            bytes((first & 0x80, 0xFF)) + missing.to_bytes(8, "big") + mask[turn:] + mask[:turn]
        )
        self._partial = bytearray(header)
        self._need, self._expected = len(header) + 1, len(header) + missing
        self._data, self._start = b"", 0

    def _check(self, first: int, second: int) -> None:
        """The rules of RFC 6455 sections 5.1, 5.2, 5.4 and 5.5 that a frame's first bytes show."""
        opcode, final = first & 0x0F, first & 0x80
        if second < 0x80:
            raise ProtocolError("the frame is not masked")
        if first & 0x70 and not (self._deflate and first & 0x70 == _COMPRESSED and 0 < opcode < 3):
            raise ProtocolError("a reserved bit is set")
        if opcode & 0x08:
            if opcode > PONG:
                raise ProtocolError(f"there is no opcode {opcode}")
            if not final:
                raise ProtocolError("a control frame came in fragments")
            if second & 0x7F > 125:
                raise ProtocolError("a control frame has more than 125 bytes")
        elif opcode > BINARY:
            raise ProtocolError(f"there is no opcode {opcode}")
        elif opcode and self._buffer is not None:
            raise ProtocolError("a message began inside another")
        elif not opcode and self._buffer is None:
            raise ProtocolError("a fragment of no message")
        elif first & _COMPRESSED:
            # What cannot be compressed becomes a little larger by the attempt.
            self._room += self._message_bytes // 1000 + 64

    def _put_together(self, first: int, payload: bytes | bytearray) -> tuple[int, Message] | None:
        """Add a fragment; the whole message if it was the last one."""
        if self._count >= self._fragments:
            raise LimitExceeded("fragments", self._fragments, code=1009)
        self._count += 1
        final = bool(first & 0x80)
        if first & _COMPRESSED:
            self._compressed = first & 0x0F
        buffer = self._add(BINARY if self._compressed else first & 0x0F, payload, final)
        if not final:
            return None
        text, compressed = self._decoder is not None, self._compressed
        self._buffer, self._decoder, self._compressed = None, None, 0
        self._room, self._count = self._message_bytes, 0
        if compressed:
            data = self._inflate(buffer)
            return (TEXT, _text(data)) if compressed == TEXT else (BINARY, data)
        return (TEXT, buffer.decode()) if text else (BINARY, bytes(buffer))

    def _add(self, opcode: int, payload: bytes | bytearray, final: bool) -> bytearray:
        """Add to the message that is coming, or begin one; all that has come of it."""
        buffer = self._buffer
        if buffer is None:
            self._buffer = buffer = bytearray()
            self._decoder = _Utf8Decoder() if opcode == TEXT else None
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, final)
            except UnicodeDecodeError:
                raise _not_utf8() from None
        buffer += payload
        self._room -= len(payload)
        return buffer

    def _inflate(self, data: bytearray) -> bytes:
        """A compressed message (RFC 7692 section 7.2.2)."""
        data += b"\x00\x00\xff\xff"
        try:
            inflated = zlib.decompressobj(-15).decompress(data, self._message_bytes + 1)
        except zlib.error:
            raise ProtocolError("a message cannot be inflated", code=1007) from None
        if len(inflated) > self._message_bytes:
            raise self._too_large()
        return inflated

    def _too_large(self) -> LimitExceeded:
        return LimitExceeded("message_bytes", self._message_bytes, code=1009)


def _text(payload: bytes | bytearray) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise _not_utf8() from None


def _not_utf8() -> ProtocolError:
    return ProtocolError("a text message is not UTF-8", code=1007)


def read_close(payload: bytes) -> Close:
    """What a client's close frame says (RFC 6455 section 5.5.1); 1005 if it says nothing.

    :raises ProtocolError: the code may not be sent, or the reason is not UTF-8
    """
    if not payload:
        return Close(1005, origin=Origin.PEER)
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not Close.sendable(code):
        raise ProtocolError("the close code is not valid")
    try:
        reason = payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError("the close reason is not UTF-8", code=1007) from None
    return Close(code, reason, origin=Origin.PEER)


def close_frame(close: Close) -> bytes:
    """The close frame for this; an empty one for a code that is not to be sent, such as 1005."""
    payload = b""
    if Close.sendable(close.code):
        payload = close.code.to_bytes(2, "big") + printable(close.reason).encode()
    return bytes((0x88, len(payload))) + payload
