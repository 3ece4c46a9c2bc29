"""Events inside payloads, in the envelopes of Primus' plugins.

primus-emitter has ``{"type": 0, "data": ["name", …], "id": 1}`` and, for the answer,
``{"type": 1, "data": […], "id": 1}``: see `unisock.envelope`. primus-emit has
``{"emit": ["name", …]}``. primus-responder has
``{"plugin": "primus-responder", "requestId": "…", "data": …}`` and ``responseId`` in the answer;
an answer of ours that tells of a failure has ``error`` besides.
"""

from __future__ import annotations

import re
from typing import Any, cast

from unisock import Ack, EncodeError, Event, Packet, ProtocolError
from unisock.envelope import ACK as ANSWER
from unisock.envelope import EVENT, open_envelope, seal

from .options import ClientOptions

__all__ = ["RESPONDER", "Envelopes", "RequestId"]

RESPONDER = "primus-responder"
REQUEST = "request"
"""The event that primus-responder raises for a request."""
MAX_ID = 64
"""Characters in the id of a request."""

OF_CLIENTS = frozenset(
    {
        "close",
        "data",
        "destroy",
        "end",
        "error",
        "offline",
        "online",
        "open",
        "readyStateChange",
        "reconnect",
        "reconnect failed",
        "reconnect scheduled",
        "reconnect timeout",
        "reconnected",
        "timeout",
    }
)
"""What a Primus client raises by itself. It ignores events of the other side's by these names."""
OF_SERVERS = frozenset({"data", "end", "error", "heartbeat", "readyStateChange"})
"""The same of a Primus server."""


class RequestId(int):
    """The id of a request by primus-responder: a text, where other events have numbers."""

    text: str

    def __new__(cls, text: str) -> RequestId:
        """:param text: at most `MAX_ID` characters"""
        self = super().__new__(cls, int.from_bytes(text.encode("utf-8", "surrogatepass")))
        self.text = text
        return self


class Envelopes:
    """How events look on the connections of one endpoint.

    :param reserved: names that the other side raises by itself
    """

    __slots__ = ("_emit", "_reserved", "_responder")

    def __init__(self, options: ClientOptions, reserved: frozenset[str]) -> None:
        self._emit = options.events == "emit"
        self._responder = options.responder
        self._reserved = reserved

    def seal(self, packet: Packet) -> object:
        """The payload that a packet becomes.

        :raises EncodeError: there is no form for it
        """
        match packet:
            case Event(name, args, number):
                self._check(name)
                if self._responder and name == REQUEST and number is not None:
                    return {"plugin": RESPONDER, "requestId": str(number), "data": _one(args)}
                if self._emit:
                    return _emit(name, args, number)
            case Ack(id=RequestId() as number, args=args, fault=fault):
                answer = {"plugin": RESPONDER, "responseId": number.text, "data": _one(args)}
                return answer if fault is None else {**answer, "error": fault}
            case _:
                pass
        return seal(packet)

    def open(self, payload: dict[Any, Any]) -> Packet | None:
        """The packet in a payload; `None` if it is data.

        :raises ProtocolError: it is an envelope with something else in it
        """
        if self._responder and payload.get("plugin") == RESPONDER:
            return _open_responder(payload)
        if not self._emit:
            return open_envelope(payload)
        event: object = payload.get("emit")
        if not isinstance(event, list):
            return None
        return open_envelope({"type": EVENT, "data": cast("object", event)})

    def _check(self, name: str) -> None:
        if name in self._reserved or name.startswith(("incoming::", "outgoing::")):
            raise EncodeError(f"Primus raises {name!r} itself, and ignores it from the other side")


def _emit(name: str, args: tuple[object, ...], number: int | None) -> object:
    if number is not None:
        raise EncodeError(
            f'primus-emit has no answers, and {name!r} wants one; set events = "emitter" where '
            "clients have primus-emitter"
        )
    return {"emit": [name, *args]}


def _one(args: tuple[object, ...]) -> object:
    if len(args) > 1:
        raise EncodeError(f"{RESPONDER} carries one value, not {len(args)}")
    return args[0] if args else None


def _open_responder(payload: dict[Any, Any]) -> Packet:
    asked, answered = payload.get("requestId"), payload.get("responseId")
    args = [payload["data"]] if "data" in payload else []
    if isinstance(asked, str) and 0 < len(asked) <= MAX_ID:
        return Event(REQUEST, tuple(cast("list[object]", args)), RequestId(asked))
    if asked is None and isinstance(answered, str):
        # Ids of ours are numbers; whatever else is answered, nobody has asked.
        number = int(answered) if re.fullmatch("[1-9][0-9]{0,17}", answered) else 0
        told = {"type": ANSWER, "id": number, "data": args, "error": payload.get("error")}
        return cast("Packet", open_envelope(told))
    raise ProtocolError(
        f"an envelope of {RESPONDER} has a requestId or a responseId, of at most {MAX_ID} "
        "characters"
    )
