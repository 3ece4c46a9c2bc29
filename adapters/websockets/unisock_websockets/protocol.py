"""RFC 6455 as the websockets library knows it, with the limits and answers of unisock."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Sequence

from websockets.client import ClientProtocol
from websockets.extensions import ClientExtensionFactory, ServerExtensionFactory
from websockets.frames import Close as CloseFrame
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from unisock.errors import DecodeError, LimitExceeded
from unisock.limits import Limits
from unisock.messages import Close, Message, printable

__all__ = ["Bounded", "PartialMessage", "WebSocketClient", "WebSocketServer", "too_big"]


# The library tells of each connection at level INFO; the core does that itself, for every adapter.
_log = logging.getLogger("unisock.websockets")
_log.setLevel(logging.WARNING)


class Bounded(Protocol):
    """The sans-I/O protocol of one connection, either side."""

    _message_bytes = 0

    def limit(self, message_bytes: int) -> None:
        """Set the limit of a message, once the endpoint is known.

        It is only the first line: frames that are a little too large come through. The library
        applies it to the control frames between fragments too, which have 125 bytes at most and
        no part in the message's size; and where nothing is left of it, it inflates without any.
        """
        self._message_bytes = message_bytes
        self.max_message_size = message_bytes + 125

    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        """End the connection because of what the peer sent (RFC 6455 section 7.1.7)."""
        closed = self.close_rcvd
        if closed is not None and self.state is State.OPEN:
            # A close in the midst of a fragmented message is a close like any other: the library
            # takes it for an error, the public conformance suite does not.
            self.close_rcvd = None
            self.send_close(None if closed.code == CloseCode.NO_STATUS_RCVD else closed.code)
            self.close_rcvd = closed
        elif code == CloseCode.MESSAGE_TOO_BIG:
            reason = str(too_big(self._message_bytes))
        super().fail(code, reason)

    def close_frame(self, close: Close) -> bytes:
        """The frame that tells the peer of this close (RFC 6455 section 5.5.1)."""
        payload = b""
        if Close.sendable(close.code):
            payload = CloseFrame(close.code, printable(close.reason)).serialize()
        return Frame(Opcode.CLOSE, payload).serialize(mask=self.side is Side.CLIENT)


class WebSocketServer(Bounded, ServerProtocol):
    """A server's side.

    :param compression: what to agree to, if the client offers it
    """

    def __init__(self, compression: ServerExtensionFactory | None) -> None:
        super().__init__(extensions=None if compression is None else [compression], logger=_log)


class WebSocketClient(Bounded, ClientProtocol):
    """A client's side.

    :param compression: what to offer
    """

    def __init__(
        self,
        uri: WebSocketURI,
        subprotocols: Sequence[str],
        compression: ClientExtensionFactory | None,
    ) -> None:
        super().__init__(
            uri,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            extensions=None if compression is None else [compression],
            logger=_log,
        )


def too_big(limit: int) -> LimitExceeded:
    """A message is larger than the endpoint takes."""
    return LimitExceeded("message_bytes", limit, code=CloseCode.MESSAGE_TOO_BIG)


class PartialMessage:
    """A message whose last fragment is still to come (RFC 6455 section 5.4), in one buffer.

    :param text: whether it is text
    """

    __slots__ = ("_buffer", "_count", "_limits", "_text")

    def __init__(self, limits: Limits, *, text: bool) -> None:
        self._buffer = bytearray()
        self._count = 0
        self._limits = limits
        # Text is checked as it comes, so that nobody has to wait for the end of what is none.
        self._text = codecs.getincrementaldecoder("utf-8")() if text else None

    def add(self, frame: Frame) -> Message | None:
        """Add a fragment; returns the message if it was the last one.

        :raises LimitExceeded: it has too many fragments, or too many bytes
        :raises DecodeError: it is no UTF-8
        """
        self._count += 1
        limits = self._limits
        if self._count > limits.fragments:
            raise LimitExceeded("fragments", limits.fragments, code=CloseCode.MESSAGE_TOO_BIG)
        self._buffer += frame.data
        if len(self._buffer) > limits.message_bytes:
            raise too_big(limits.message_bytes)
        if self._text is not None:
            try:
                self._text.decode(bytes(frame.data), frame.fin)
            except UnicodeDecodeError as error:
                raise DecodeError("invalid UTF-8") from error
        if not frame.fin:
            return None
        return bytes(self._buffer) if self._text is None else self._buffer.decode()
