"""How messages become frames, with and without compression."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Sequence

from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode

from unisock.errors import EncodeError
from unisock.framing import Framing, WebSocketFraming
from unisock.messages import Message

try:
    from websockets.speedups import apply_mask
except ImportError:  # the library without its extension module
    from websockets.utils import apply_mask

__all__ = ["COMPRESSION", "OFFER", "MaskedFraming", "framing_for"]

SMALLEST = 1024
"""Characters or bytes below which a message goes out as it is: to deflate it costs more than it
saves."""

_SETTINGS = {"memLevel": 5}

COMPRESSION = ServerPerMessageDeflateFactory(
    # A message compressed without regard to those before it is the same for every client, so a
    # broadcast compresses once; and no client costs a window of memory while it is idle.
    server_no_context_takeover=True,
    client_max_window_bits=12,
    compress_settings=_SETTINGS,
)
"""What is agreed to when a client offers permessage-deflate (RFC 7692 section 7.1)."""


OFFER = ClientPerMessageDeflateFactory(
    client_no_context_takeover=True, client_max_window_bits=12, compress_settings=_SETTINGS
)
"""What a client offers."""


class MaskedFraming(Framing):
    """A client's frames: masked (RFC 6455 section 5.3), and compressed if that was agreed on."""

    __slots__ = ("_extensions",)

    def __init__(self, extensions: Sequence[Extension]) -> None:
        self._extensions = extensions

    def frame(self, message: Message) -> bytes:
        if self._extensions:
            return _to_frame(message).serialize(mask=True, extensions=self._extensions)
        if isinstance(message, str):
            first, payload = 0x81, _encoded(message)
        else:
            first, payload = 0x82, message
        size, mask = len(payload), secrets.token_bytes(4)
        if size < 126:
            header = _SHORT(first, 0x80 | size, mask)
        elif size < 65536:
            header = _MEDIUM(first, 0xFE, size, mask)
        else:
            header = _LONG(first, 0xFF, size, mask)
        return header + apply_mask(payload, mask)


_SHORT = struct.Struct(">BB4s").pack
_MEDIUM = struct.Struct(">BBH4s").pack
_LONG = struct.Struct(">BBQ4s").pack


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise EncodeError(f"no UTF-8 for this text: {error}") from error


def _to_frame(message: Message) -> Frame:
    if not isinstance(message, str):
        return Frame(Opcode.BINARY, message)
    return Frame(Opcode.TEXT, _encoded(message))


class DeflateFraming(WebSocketFraming):
    """Compressed frames (RFC 7692), each on its own.

    :param window_bits: the size of the window that was agreed on
    """

    __slots__ = ("_extensions",)

    def __init__(self, window_bits: int) -> None:
        self._extensions = [PerMessageDeflate(True, True, 15, window_bits, _SETTINGS)]

    def frame(self, message: Message) -> bytes:
        if len(message) < SMALLEST:
            return super().frame(message)
        return _to_frame(message).serialize(mask=False, extensions=self._extensions)


# One object for all connections of all servers that agreed on the same: they share frames.
_PLAIN = WebSocketFraming()
_DEFLATED = {bits: DeflateFraming(bits) for bits in range(9, 16)}


def framing_for(extensions: Sequence[Extension]) -> Framing:
    """The framing for a connection that agreed on these extensions."""
    for extension in extensions:
        if isinstance(extension, PerMessageDeflate):
            return _DEFLATED[extension.local_max_window_bits]
    return _PLAIN
