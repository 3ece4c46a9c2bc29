"""The objects by which events travel inside payloads: the envelope of primus-emitter.

``{"type": 0, "data": ["name", …], "id": 1}`` is an event, ``{"type": 1, "data": […], "id": 1}`` its
answer. An answer that tells of a failure has ``"error": {"code": …, "message": …}`` besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from .errors import EncodeError, ProtocolError
from .messages import Ack, Data, Event, Fault, Packet

__all__ = ["open_envelope", "seal"]

EVENT, ACK = 0, 1


def seal(packet: Packet) -> object:
    """The payload that a packet becomes.

    :raises EncodeError: there is no form for this kind of packet
    """
    match packet:
        case Data():
            return packet.payload
        case Event():
            event = {"type": EVENT, "data": [packet.name, *packet.args]}
            return event if packet.id is None else {**event, "id": packet.id}
        case Ack():
            ack = {"type": ACK, "id": packet.id, "data": list(packet.args)}
            return ack if packet.fault is None else {**ack, "error": packet.fault}
        case _:
            kind = type(packet).__name__
            raise EncodeError(f"this dialect has no form for {kind} packets")


def open_envelope(payload: object) -> Packet | None:
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
