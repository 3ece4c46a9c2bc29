"""Messages in fragments, without I/O."""

from __future__ import annotations

import codecs

from unisock.errors import LimitExceeded, ProtocolError
from unisock.limits import Limits
from unisock.messages import Message

__all__ = ["PartialMessage", "not_utf8", "too_big"]

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class PartialMessage:
    """A message whose last fragment is still to come (RFC 6455 section 5.4), in one buffer.

    :param text: whether it is text
    """

    __slots__ = ("_buffer", "_count", "_decoder", "_limits")

    def __init__(self, limits: Limits, *, text: bool) -> None:
        self._buffer = bytearray()
        self._count = 0
        self._limits = limits
        # Text is checked as it comes, so that nobody has to wait for the end of what is none.
        self._decoder = _Utf8Decoder() if text else None

    def add(self, payload: bytes, *, final: bool) -> Message | None:
        """Add a fragment; returns the message if it was the last one.

        :raises LimitExceeded: it has too many fragments, or too many bytes
        :raises ProtocolError: it is no UTF-8
        """
        limits = self._limits
        self._count += 1
        if self._count > limits.fragments:
            raise LimitExceeded("fragments", limits.fragments, code=1009)
        if len(self._buffer) + len(payload) > limits.message_bytes:
            raise too_big(limits.message_bytes)
        self._buffer += payload
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, final)
            except UnicodeDecodeError:
                raise not_utf8() from None
        if not final:
            return None
        return bytes(self._buffer) if self._decoder is None else self._buffer.decode()


def too_big(limit: int) -> LimitExceeded:
    """A message is larger than the endpoint takes."""
    return LimitExceeded("message_bytes", limit, code=1009)


def not_utf8() -> ProtocolError:
    """A text message is none."""
    return ProtocolError("a text message is not UTF-8", code=1007)
