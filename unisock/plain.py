"""The plain dialect: a message is a payload in the endpoint's codec, and nothing else."""

from __future__ import annotations

from .abc import Connection, Dialect, Party, Receiver, Stage
from .errors import DecodeError, EncodeError
from .messages import Close, Data, Message, Packet, Wire

__all__ = ["PlainDialect"]


class PlainDialect(Dialect):
    """For clients without a library of ours: a browser's ``WebSocket``, a script, a device."""

    name = "plain"

    def converse(self, connection: Connection, stage: Stage) -> Receiver:
        return _PlainReceiver(self, stage.enter(connection, self))

    def encode_data(self, payload: object) -> Wire:
        return self.codec.encode(payload)

    def encode(self, packet: Packet) -> Wire:
        if isinstance(packet, Data):
            return self.codec.encode(packet.payload)
        raise EncodeError(f"the plain dialect has no form for {type(packet).__name__} packets")


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
