"""Engine.IO packets and payloads, revisions 4 and 3, without I/O.

A packet is kept as a WebSocket carries it: `str`, or `bytes` for a binary message. A payload is
what an HTTP body carries: one or more packets.

Sources: the Engine.IO protocol, revision 4 (https://socket.io/docs/v4/engine-io-protocol/) and
revision 3 (https://github.com/socketio/engine.io-protocol/tree/v3).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from functools import lru_cache

from unisock import Message, ProtocolError
from unisock.errors import EncodeError, LimitExceeded
from unisock.framing import TEXT_AND_BINARY, Framing

__all__ = [
    "BINARY_TYPE",
    "CLOSE",
    "MESSAGE",
    "NOOP",
    "OPEN",
    "PING",
    "PONG",
    "REVISIONS",
    "TEXT_TYPE",
    "UPGRADE",
    "Revision",
    "Revision3",
    "Revision4",
    "compose",
    "compose_alone",
]

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"

TEXT_TYPE = "text/plain; charset=UTF-8"
BINARY_TYPE = "application/octet-stream"

_SEPARATOR = "\x1e"
_TYPES = frozenset("0123456")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_LENGTH = re.compile(r"([0-9]{1,10}):")


class Revision(ABC):
    """One revision of the protocol.

    :cvar number: what clients call it: ``EIO=4``
    :cvar client_pings: whether the heartbeat comes from the client
    """

    number: int
    client_pings: bool

    @abstractmethod
    def packets(self, *, base64: bool) -> Framing:
        """Makes packets of messages.

        :param base64: the client takes text only
        """

    @abstractmethod
    def decode(self, packet: Message) -> tuple[str, Message]:
        """The type of a packet, and its data.

        :raises ProtocolError: it is none
        """

    @abstractmethod
    def split(self, body: bytes, kind: str, most: int) -> Iterable[Message]:
        """The packets of a payload.

        :param kind: the content type of the body
        :param most: the packets that it may have
        :raises ProtocolError: it is no payload; perhaps while its packets are gone through
        :raises LimitExceeded: it has too many packets
        """

    @abstractmethod
    def join(self, packets: list[Message], *, base64: bool) -> tuple[bytes, str]:
        """The payload with these packets, and its content type.

        :param base64: the client takes text only
        """


class Revision4(Revision):
    """``EIO=4``: packets separated by the record separator, binary ones in base64."""

    number = 4
    client_pings = False

    def packets(self, *, base64: bool) -> Framing:
        return _BASE64_4 if base64 else _PACKETS_4

    def decode(self, packet: Message) -> tuple[str, Message]:
        if isinstance(packet, bytes):
            return MESSAGE, packet
        kind = packet[:1]
        if kind in _TYPES:
            return kind, packet[1:]
        if kind == "b":
            return MESSAGE, _from_base64(packet[1:])
        raise ProtocolError("no Engine.IO packet")

    def split(self, body: bytes, kind: str, most: int) -> Iterable[Message]:
        if kind == BINARY_TYPE:
            raise ProtocolError("revision 4 has no binary payloads")
        if body.count(b"\x1e") >= most:
            raise _too_many(most)
        return _text(body).split(_SEPARATOR)

    def join(self, packets: list[Message], *, base64: bool) -> tuple[bytes, str]:
        texts = [
            packet if isinstance(packet, str) else "b" + b64encode(packet).decode()
            for packet in packets
        ]
        return _SEPARATOR.join(texts).encode(), TEXT_TYPE


class Revision3(Revision):
    """``EIO=3``: packets with their length in front; a payload with a binary one is all binary,
    unless the client takes text only.
    """

    number = 3
    client_pings = True

    def packets(self, *, base64: bool) -> Framing:
        return _BASE64_3 if base64 else _PACKETS_3

    def decode(self, packet: Message) -> tuple[str, Message]:
        if isinstance(packet, bytes):
            if packet and packet[0] <= 6:
                return str(packet[0]), packet[1:]
        elif packet[:1] in _TYPES:
            return packet[0], packet[1:]
        elif packet[:1] == "b" and packet[1:2] in _TYPES:
            return packet[1], _from_base64(packet[2:])
        raise ProtocolError("no Engine.IO packet")

    def split(self, body: bytes, kind: str, most: int) -> Iterable[Message]:
        if not body:
            raise ProtocolError("an empty payload")
        if kind == BINARY_TYPE:
            return _limited(_split_binary(body), most)
        return _limited(_split_text(_text(body)), most)

    def join(self, packets: list[Message], *, base64: bool) -> tuple[bytes, str]:
        if base64 or not any(isinstance(packet, bytes) for packet in packets):
            texts = [
                packet if isinstance(packet, str) else _base64_packet(packet) for packet in packets
            ]
            return "".join([f"{_utf16_length(text)}:{text}" for text in texts]).encode(), TEXT_TYPE
        payload = bytearray()
        for packet in packets:
            data = packet.encode() if isinstance(packet, str) else packet
            payload.append(isinstance(packet, bytes))
            payload += bytes(map(int, str(len(data))))
            payload.append(255)
            payload += data
        return bytes(payload), BINARY_TYPE


def _base64_packet(packet: bytes) -> str:
    """A binary packet of revision 3 as text."""
    return f"b{packet[0]}{b64encode(packet[1:]).decode()}"


def _from_base64(data: str) -> bytes:
    try:
        return b64decode(data, validate=True)
    except ValueError as error:
        raise ProtocolError("a packet that is no base64") from error


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("a payload that is no UTF-8") from error


def _too_many(most: int) -> LimitExceeded:
    return LimitExceeded("max_packets", most, code=413)


def _limited(packets: Iterator[Message], most: int) -> list[Message]:
    limited: list[Message] = []
    for packet in packets:
        if len(limited) >= most:
            raise _too_many(most)
        limited.append(packet)
    return limited


def _utf16_length(text: str) -> int:
    """The length in UTF-16 code units, as JavaScript counts."""
    return len(text) if text.isascii() else len(text) + len(_ASTRAL.findall(text))


def _split_text(text: str) -> Iterator[Message]:
    """Packets with their length in front, in UTF-16 code units."""
    if _ASTRAL.search(text):
        yield from _split_astral(text)
        return
    at = 0
    while at < len(text):
        header = _LENGTH.match(text, at)
        if header is None:
            raise ProtocolError("a payload without a length")
        at = header.end() + int(header[1])
        if at > len(text):
            raise ProtocolError("a payload that is cut off")
        if at > header.end():
            yield text[header.end() : at]


def _split_astral(text: str) -> Iterator[Message]:
    """The same where a character may be two code units."""
    data, at = text.encode("utf-16-le"), 0
    while at < len(data):
        # No header is longer than 22 bytes, and none is cut in the midst of a code unit.
        header = _LENGTH.match(data[at : at + 22].decode("utf-16-le", "replace"))
        if header is None:
            raise ProtocolError("a payload without a length")
        start = at + 2 * header.end()
        at = start + 2 * int(header[1])
        if at > len(data):
            raise ProtocolError("a payload that is cut off")
        try:
            packet = data[start:at].decode("utf-16-le")
        except UnicodeDecodeError as error:
            raise ProtocolError("a payload that cuts a character in two") from error
        if packet:
            yield packet


def _split_binary(body: bytes) -> Iterator[Message]:
    """Packets with a byte for the kind, and the digits of the length as a byte each."""
    at = 0
    while at < len(body):
        end = body.find(255, at + 1, at + 12)
        digits = body[at + 1 : end]
        if body[at] > 1 or end <= at + 1 or max(digits) > 9:
            raise ProtocolError("a payload without a length")
        start = end + 1
        length = int("".join(map(str, digits)))
        packet = body[start : start + length]
        if len(packet) < length:
            raise ProtocolError("a payload that is cut off")
        if packet:
            yield packet if body[at] else _text(packet)
        at = start + length


class _Packets4(Framing):
    """Messages as packets of revision 4."""

    __slots__ = ()

    def frame(self, message: Message) -> Message:
        return "4" + message if isinstance(message, str) else message


class _Base64Packets4(Framing):
    """The same for a client that takes text only."""

    __slots__ = ()

    def frame(self, message: Message) -> Message:
        if isinstance(message, str):
            return "4" + message
        return "b" + b64encode(message).decode()


class _Packets3(Framing):
    """Messages as packets of revision 3."""

    __slots__ = ()

    def frame(self, message: Message) -> Message:
        return "4" + message if isinstance(message, str) else b"\x04" + message


class _Base64Packets3(Framing):
    """The same for a client that takes text only."""

    __slots__ = ()

    def frame(self, message: Message) -> Message:
        if isinstance(message, str):
            return "4" + message
        return "b4" + b64encode(message).decode()


class _Payload(Framing):
    """Packets that wait for an HTTP response.

    :param packets: makes them
    :param separated: whether the separator may not be in them
    """

    __slots__ = ("_packets", "_separated")

    def __init__(self, packets: Framing, *, separated: bool) -> None:
        self._packets = packets
        self._separated = separated

    def frame(self, message: Message) -> Message:
        if isinstance(message, str):
            if self._separated and _SEPARATOR in message:
                raise EncodeError(
                    "Engine.IO separates packets by U+001E over polling, so no text can have it; "
                    "send bytes, or use the json codec"
                )
            if not message.isascii():
                try:
                    message.encode()
                except UnicodeEncodeError as error:
                    raise EncodeError(f"no UTF-8 for this text: {error}") from error
        return self._packets.frame(message)


class _Composed(Framing):
    """Packets as frames of the connection beneath."""

    __slots__ = ("_lower", "_packets")

    def __init__(self, packets: Framing, lower: Framing) -> None:
        self._packets = packets
        self._lower = lower

    def frame(self, message: Message) -> Message:
        return self._lower.frame(self._packets.frame(message))


def compose_alone(revision: Revision, base64: bool, lower: Framing | None) -> Framing:
    """The framing of one session, which shares it with none.

    :param base64: the client takes text only
    :param lower: that of the WebSocket beneath; `None` while the session is polling
    """
    packets = revision.packets(base64=base64)
    if lower is None:
        return _Payload(packets, separated=revision.number >= 4)
    return packets if lower is TEXT_AND_BINARY else _Composed(packets, lower)


@lru_cache(maxsize=256)
def compose(revision: Revision, base64: bool, lower: Framing | None) -> Framing:
    """The same: one object for all sessions of a kind, so that they share frames."""
    return compose_alone(revision, base64, lower)


_PACKETS_4, _BASE64_4 = _Packets4(), _Base64Packets4()
_PACKETS_3, _BASE64_3 = _Packets3(), _Base64Packets3()

REVISIONS: dict[str, Revision] = {"4": Revision4(), "3": Revision3()}
"""By the value of ``EIO``."""
