"""How messages become frames, with and without compression."""

from __future__ import annotations

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
        return _to_frame(message).serialize(mask=True, extensions=self._extensions)


def _to_frame(message: Message) -> Frame:
    if not isinstance(message, str):
        return Frame(Opcode.BINARY, message)
    try:
        return Frame(Opcode.TEXT, message.encode())
    except UnicodeEncodeError as error:
        raise EncodeError(f"no UTF-8 for this text: {error}") from error


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
