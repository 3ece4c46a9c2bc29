"""What goes over the wire: packets of SockJS protocol 0.3.3, and the JSON in them. No I/O.

From the server: ``o`` open, ``h`` heartbeat, ``a[…]`` messages, ``c[code,"reason"]`` close. From
the client: an array of strings, and over WebSocket one string as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from typing import Any, cast

import msgspec

from unisock.errors import EncodeError, LimitExceeded, ProtocolError
from unisock.framing import Framing
from unisock.messages import Close, Message, Origin, Wire, printable

__all__ = [
    "FROM_CLIENT",
    "HEARTBEAT",
    "INTERRUPTED",
    "OPEN",
    "QUOTED",
    "PacketFraming",
    "decode",
    "decode_close",
    "disconnect",
    "messages",
    "quote",
    "quote_briefly",
]

OPEN = b"o"
HEARTBEAT = b"h"

_encode = msgspec.json.encode
_decode_list = msgspec.json.Decoder(list[str]).decode
_decode_either = msgspec.json.Decoder(list[str] | str).decode


def quote(message: Message) -> bytes:
    """A message as a JSON string, in ASCII: browsers mistreat much of what is beyond.

    :raises EncodeError: it is not text
    """
    if isinstance(message, bytes):
        raise EncodeError("SockJS carries text only: send str, or use the json codec")
    if message.isascii():
        return _encode(message)
    return encode_basestring_ascii(message).encode()


def quote_briefly(message: Message) -> bytes:
    """A message as a JSON string for a server, which takes UTF-8, and has a limit for a POST.

    :raises EncodeError: it is not text
    """
    if isinstance(message, str):
        try:
            return _encode(message)
        except UnicodeEncodeError:  # half a surrogate pair
            pass
    return quote(message)


def messages(quoted: bytes) -> bytes:
    """The packet for messages that were quoted, and joined by commas."""
    return b"a[" + quoted + b"]"


def disconnect(close: Close) -> bytes:
    """The packet that ends a session."""
    return b"c[%d,%b]" % (close.code, quote(close.reason))


INTERRUPTED = disconnect(Close(1002, "Connection interrupted"))
"""What a client is told that comes back to a session whose request it broke off."""


class _Quoted(Framing):
    """Messages as JSON strings, which a response puts into ``a[…]``: a broadcast escapes once."""

    __slots__ = ("_quote",)

    binary = False

    def __init__(self, quote: Callable[[Message], bytes]) -> None:
        self._quote = quote

    def frame(self, message: Message) -> Message:
        return self._quote(message)

    def frames(self, wire: Wire) -> Wire:
        if isinstance(wire, tuple):
            return b",".join([self._quote(message) for message in wire])
        return self._quote(wire)


QUOTED: Framing = _Quoted(quote)
FROM_CLIENT: Framing = _Quoted(quote_briefly)


class PacketFraming(Framing):
    """Messages as packets in the frames of a WebSocket: a broadcast escapes and frames once.

    :param below: the WebSocket's own framing
    :param client: they go to a server
    """

    __slots__ = ("_frame", "_prefix", "_quote", "below")

    binary = False

    def __init__(self, below: Framing, *, client: bool = False) -> None:
        self.below = below
        self._prefix = "" if client else "a"
        self._quote = quote_briefly if client else quote
        self._frame = below.frame

    def packet(self, wire: Wire) -> str:
        """The packet for a message, or for several that belong together.

        :raises EncodeError: the session cannot carry it
        """
        if isinstance(wire, tuple):
            quoted = b",".join([self._quote(message) for message in wire])
        else:
            quoted = self._quote(wire)
        return f"{self._prefix}[{quoted.decode()}]"

    def frame(self, message: Message) -> Message:
        return self._frame(self.packet(message))

    def frames(self, wire: Wire) -> Wire:
        return self._frame(self.packet(wire))


def decode(data: str | bytes, most: int, *, single: bool = False) -> list[str]:
    """The messages in what a client sent.

    :param most: how many there may be
    :param single: one string without the brackets will do
    :raises ProtocolError: it is anything but an array of strings
    :raises LimitExceeded: there are more
    """
    if not data:
        raise _fault("Payload expected.")
    try:
        found = _decode_either(data) if single else _decode_list(data)
    except msgspec.ValidationError:
        raise _fault("Payload expected.") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        found = _decode_odd(data, single)
    if isinstance(found, str):
        return [found]
    if len(found) > most:
        raise LimitExceeded("post_messages", most, code=413)
    return found


_decode_close = msgspec.json.Decoder(tuple[int, str]).decode


def decode_close(data: str | bytes) -> Close:
    """How the server ends a session, from what follows its ``c``.

    :raises ProtocolError: it is no code and reason
    """
    try:
        code, reason = _decode_close(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise _fault("Broken close packet.") from None
    return Close(code, printable(reason), origin=Origin.PEER)


def _decode_odd(data: str | bytes, single: bool) -> list[str] | str:
    """Half a surrogate pair, which JavaScript makes by cutting an emoji in two, becomes U+FFFD, as
    it does in a browser's own WebSocket.
    """
    try:
        text = data.decode() if isinstance(data, bytes) else data
        value: Any = json.loads(text) if "\\ud" in text or "\\uD" in text else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, str) and single:
        return _whole(value)
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    found = [_whole(item) for item in items if isinstance(item, str)]
    if len(found) < len(items):
        raise _fault("Broken JSON encoding.")
    return found


def _whole(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _fault(reason: str) -> ProtocolError:
    return ProtocolError(reason, code=1007)
