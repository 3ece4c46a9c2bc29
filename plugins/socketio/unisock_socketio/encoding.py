"""What goes out: packets of the application as packets of Socket.IO, for one namespace."""

from __future__ import annotations

import secrets
from typing import Any
from weakref import WeakValueDictionary

from unisock import Ack, Data, EncodeError, Event, Fault
from unisock import Packet as AnyPacket
from unisock.abc import Encoder
from unisock.codecs import Codec
from unisock.messages import Close, Wire

from .packets import ACK, DISCONNECT, EVENT, Parser

__all__ = [
    "MESSAGE",
    "ClientEncoder",
    "Encoders",
    "NamespaceEncoder",
    "NumberedBytes",
    "NumberedText",
    "NumberingEncoder",
    "event_of",
    "fault_of",
    "offset_of",
]

MESSAGE = "message"
"""The event that a payload goes by: what Socket.IO's ``send`` emits."""


class NamespaceEncoder(Encoder):
    """Speaks to all sparks of one namespace: an event to many is encoded once.

    :ivar namespace: its name
    """

    def __init__(self, codec: Codec, parser: Parser, namespace: str) -> None:
        super().__init__(codec)
        self.namespace = namespace
        self._pack = parser.pack
        self._event = parser.events(namespace)

    def encode_data(self, payload: object) -> Wire:
        return self._event([MESSAGE, payload])

    def encode(self, packet: AnyPacket) -> Wire:
        if type(packet) is Event and packet.id is None:  # what there is most of
            return self._event([packet.name, *packet.args])
        match packet:
            case Event(name, args, number):
                return self._pack(EVENT, self.namespace, [name, *args], number)
            case Ack(number, args, fault):
                answer = [*args] if fault is None else [_refusal(fault)]
                return self._pack(ACK, self.namespace, answer, number)
            case Data(payload):
                return self.encode_data(payload)
            case _:
                kind = type(packet).__name__
                raise EncodeError(f"Socket.IO has no form for {kind} packets")


class ClientEncoder(NamespaceEncoder):
    """The same for a client's own namespace, which ends with its connection."""

    def farewell(self, close: Close) -> Wire:
        return self._pack(DISCONNECT, self.namespace)


class Encoders:
    """The encoders of an endpoint, one for each namespace that somebody is in.

    :ivar parser: makes packets
    """

    def __init__(self, codec: Codec, parser: Parser, kind: type[NamespaceEncoder]) -> None:
        self.parser = parser
        self._codec = codec
        self._kind = kind
        # Clients choose names, where a pattern allows it: those that nobody has any more must go.
        self._known: WeakValueDictionary[str, NamespaceEncoder] = WeakValueDictionary()

    def of(self, namespace: str) -> NamespaceEncoder:
        """The one of this namespace."""
        encoder = self._known.get(namespace)
        if encoder is None:
            encoder = self._known[namespace] = self._kind(self._codec, self.parser, namespace)
        return encoder


# Numbers for events, by which a client says where it was cut off.


class NumberedText(str):
    """A text message with an event that has a number.

    :ivar offset: the number, as the client knows it
    """

    __slots__ = ("offset",)
    offset: str


class NumberedBytes(bytes):
    """The same in binary."""

    offset: str


class NumberingEncoder(NamespaceEncoder):
    """Adds a last argument to each event that wants no answer: its offset."""

    def __init__(self, codec: Codec, parser: Parser, namespace: str) -> None:
        super().__init__(codec, parser, namespace)
        # Those of another process, or of an encoder before this one, mean nothing here.
        self._prefix = secrets.token_urlsafe(6)
        self._last = 0
        self._bare = self._event
        self._event = self._numbered

    def _numbered(self, items: list[object]) -> Wire:
        self._last += 1
        offset = f"{self._prefix}.{self._last:x}"
        items.append(offset)
        wire = self._bare(items)
        if isinstance(wire, tuple):
            return (_numbered(wire[0], offset), *wire[1:])
        return _numbered(wire, offset)


def _numbered(message: str | bytes, offset: str) -> str | bytes:
    numbered: NumberedText | NumberedBytes
    numbered = NumberedText(message) if isinstance(message, str) else NumberedBytes(message)
    numbered.offset = offset
    return numbered


def offset_of(wire: Wire) -> str | None:
    """The offset of the event that this is; `None` if it has none."""
    first = wire[0] if isinstance(wire, tuple) else wire
    return first.offset if isinstance(first, (NumberedText, NumberedBytes)) else None


# Answers that tell of a failure, for which Socket.IO has no form of its own.


def _refusal(fault: Fault) -> dict[str, Any]:
    return {"error": {"code": fault.code, "message": fault.message}}


def fault_of(args: list[Any]) -> Fault | None:
    """The failure that an answer tells of; `None` if it is a good one."""
    match args:
        case [{"error": {"code": str(code), "message": str(message), **more}, **others}] if not (
            more or others
        ):
            return Fault(code, message)
        case _:
            return None


def event_of(items: list[Any], number: int | None) -> Event:
    """The event in the data of a packet."""
    name = items[0]
    return Event(name if type(name) is str else str(name), tuple(items[1:]), number)
