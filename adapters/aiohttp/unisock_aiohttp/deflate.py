"""permessage-deflate (RFC 7692): what is agreed on, and the frames that go out."""

from __future__ import annotations

import zlib

from aiohttp.http import ws_ext_gen, ws_ext_parse

from unisock.errors import EncodeError
from unisock.framing import Framing, WebSocketFraming
from unisock.messages import Message

__all__ = ["PLAIN", "agree"]

SMALLEST = 1024
"""Characters or bytes below which a message goes out as it is: to deflate it costs more than it
saves."""

MEMORY = 5
"""zlib's ``memLevel``: 16 KiB and the window, while a message is deflated."""


class DeflateFraming(WebSocketFraming):
    """Compressed frames, each on its own, so that a broadcast compresses once.

    :param window_bits: the size of the window that was agreed on
    """

    __slots__ = ("_window_bits",)

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits

    def frame(self, message: Message) -> bytes:
        if len(message) < SMALLEST:
            return super().frame(message)
        try:
            first, payload = (
                (0xC1, message.encode()) if isinstance(message, str) else (0xC2, message)
            )
        except UnicodeEncodeError as error:
            raise EncodeError(f"no UTF-8 for this text: {error}") from error
        deflater = zlib.compressobj(wbits=-self._window_bits, memLevel=MEMORY)
        deflated = (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        return bytes((first,)) + super().frame(deflated)[1:]


# One object for all connections of all servers that agreed on the same: they share frames.
PLAIN: Framing = WebSocketFraming()
_DEFLATED = {bits: DeflateFraming(bits) for bits in range(9, 16)}


def agree(offers: str | None) -> tuple[Framing, str]:
    """What a client's ``Sec-WebSocket-Extensions`` leads to: a framing, and what to answer; ``""``
    where nothing is agreed on.

    Neither side refers to earlier messages (RFC 7692 section 7.1.1): so a broadcast is compressed
    once for all, and an idle connection has no window.
    """
    window_bits, _ = ws_ext_parse(offers, isserver=True)
    if not window_bits:
        return PLAIN, ""
    answer = ws_ext_gen(compress=window_bits, isserver=True, server_notakeover=True)
    return _DEFLATED[window_bits], f"{answer}; client_no_context_takeover"
