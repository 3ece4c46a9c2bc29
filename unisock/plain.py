"""The plain dialect: a message is a payload in the endpoint's codec.

Where a plugin consumes events, an object ``{"type": 0, "data": ["name", …], "id": 1}`` is an event
and ``{"type": 1, "data": […], "id": 1}`` its answer: the envelope of primus-emitter. An answer that
tells of a failure has ``"error": {"code": …, "message": …}`` besides. Everything else stays data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from .abc import Connection, Dialect, Party, Receiver, Stage
from .errors import DecodeError, EncodeError, ProtocolError
from .messages import Ack, Close, Data, Event, Fault, Message, Packet, Wire

__all__ = ["PlainDialect"]

EVENT, ACK = 0, 1


class PlainDialect(Dialect):
    """For clients without a library of ours: a browser's ``WebSocket``, a script, a device."""

    name = "plain"

    def converse(self, connection: Connection, stage: Stage) -> Receiver:
        party = stage.enter(connection, self)
        if Event in stage.packets or Ack in stage.packets:
            return _EnvelopeReceiver(self, party)
        return _PlainReceiver(self, party)

    def encode_data(self, payload: object) -> Wire:
        return self.codec.encode(payload)

    def encode(self, packet: Packet) -> Wire:
        match packet:
            case Data():
                return self.codec.encode(packet.payload)
            case Event():
                event = {"type": EVENT, "data": [packet.name, *packet.args]}
                return self.codec.encode(event if packet.id is None else {**event, "id": packet.id})
            case Ack():
                ack = {"type": ACK, "id": packet.id, "data": list(packet.args)}
                return self.codec.encode(
                    ack if packet.fault is None else {**ack, "error": packet.fault}
                )
            case _:
                kind = type(packet).__name__
                raise EncodeError(f"the plain dialect has no form for {kind} packets")


class _PlainReceiver(Receiver):
    __slots__ = ("_decode", "_party")

    def __init__(self, dialect: PlainDialect, party: Party) -> None:
        self._decode = dialect.codec.decode
        self._party = party

    def on_message(self, message: Message) -> None:
        try:
            payload = self._decode(message)
        except DecodeError as error:
            self._party.on_violation(error)
        else:
            self._party.on_data(payload)

    def on_close(self, close: Close) -> None:
        self._party.on_close(close)


class _EnvelopeReceiver(_PlainReceiver):
    __slots__ = ()

    def on_message(self, message: Message) -> None:
        try:
            payload = self._decode(message)
            packet = _open_envelope(payload)
        except (DecodeError, ProtocolError) as error:
            self._party.on_violation(error)
            return
        if packet is None:
            self._party.on_data(payload)
        else:
            self._party.on_packet(packet)


def _open_envelope(payload: object) -> Packet | None:
    """The packet in a payload; `None` if it is data.

    :raises ProtocolError: it is an envelope with something else in it
    """
    if not isinstance(payload, dict):
        return None
    fields = cast("dict[object, Any]", payload)
    kind, data, number = fields.get("type"), fields.get("data"), fields.get("id")
    if type(kind) is not int or kind not in (EVENT, ACK) or not isinstance(data, list):
        return None
    if number is not None and type(number) is not int:
        raise ProtocolError("the id of an envelope is an integer")
    args = tuple(cast("list[object]", data))
    if kind == ACK:
        if number is None:
            raise ProtocolError("an answer has the id of its event")
        return Ack(number, args, _fault(fields.get("error")))
    if not args or not isinstance(args[0], str):
        raise ProtocolError("the data of an event begins with its name")
    return Event(args[0], args[1:], number)


def _fault(error: object) -> Fault | None:
    if error is None:
        return None
    try:
        return msgspec.convert(error, Fault) if isinstance(error, Mapping) else Fault(str(error))
    except msgspec.ValidationError as wrong:
        raise ProtocolError(f"the error of an answer: {wrong}") from wrong
