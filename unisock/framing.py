"""How a session puts a message on its wire, so that a broadcast does it once for all of a kind."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod

from .errors import EncodeError
from .messages import Message, Wire

__all__ = ["TEXT", "TEXT_AND_BINARY", "Framing", "WebSocketFraming"]


class Framing(ABC):
    """Turns a message into a frame that every connection with this same object can be given.

    Two connections share frames if their `framing` is one object. A session that needs none uses
    `TEXT_AND_BINARY` or `TEXT`, where the frame is the message.

    :cvar binary: it takes `bytes` too
    """

    __slots__ = ()

    binary: bool = True

    @abstractmethod
    def frame(self, message: Message) -> Message:
        """The frame for this message.

        :raises EncodeError: the session cannot carry it
        """

    def frames(self, wire: Wire) -> Wire:
        """The frame, or frames, for what a packet became."""
        if isinstance(wire, tuple):
            return tuple([self.frame(message) for message in wire])
        return self.frame(wire)


class _AsIs(Framing):
    """Frames are messages."""

    __slots__ = ()

    def frame(self, message: Message) -> Message:
        return message


class _TextAsIs(Framing):
    """Frames are text messages."""

    __slots__ = ()

    binary = False

    def frame(self, message: Message) -> Message:
        if isinstance(message, bytes):
            raise EncodeError("this session carries text only: send str, or use the json codec")
        return message


TEXT_AND_BINARY: Framing = _AsIs()
TEXT: Framing = _TextAsIs()


class WebSocketFraming(Framing):
    """A server's unmasked, unfragmented, uncompressed frames (RFC 6455 section 5.2)."""

    __slots__ = ()

    def frame(self, message: Message) -> bytes:
        if isinstance(message, str):
            try:
                payload, first, short = message.encode(), 0x81, _SHORT_TEXT
            except UnicodeEncodeError as error:
                raise _no_utf8(error) from error
        else:
            payload, first, short = message, 0x82, _SHORT_BINARY
        size = len(payload)
        if size < 126:
            return short[size] + payload
        return _head(first, size) + payload

    def parts(self, message: Message) -> tuple[bytes, bytes]:
        """The head of a large frame, and its payload: a driver that writes one behind the other
        need not copy it.

        :raises EncodeError: as `frame`
        """
        try:
            payload = message.encode() if isinstance(message, str) else message
        except UnicodeEncodeError as error:
            raise _no_utf8(error) from error
        return _head(0x82 if payload is message else 0x81, len(payload)), payload


def _head(first: int, size: int) -> bytes:
    """The head of a frame from 126 bytes on."""
    return _MEDIUM(first, 126, size) if size < 65536 else _LONG(first, 127, size)


def _no_utf8(error: UnicodeEncodeError) -> EncodeError:
    return EncodeError(f"no UTF-8 for this text: {error}")


_SHORT_TEXT = [bytes((0x81, size)) for size in range(126)]
_SHORT_BINARY = [bytes((0x82, size)) for size in range(126)]
_MEDIUM = struct.Struct(">BBH").pack
_LONG = struct.Struct(">BBQ").pack
