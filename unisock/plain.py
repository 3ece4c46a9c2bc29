"""The plain dialect: a message is a payload in the endpoint's codec.

Where a plugin consumes events, a payload may be an envelope with an event or an answer in it (see
`unisock.envelope`), and where one serves channels, a frame of a channel (see
`unisock.plain_channels`). Everything else stays data.
"""

from __future__ import annotations

from .abc import Connection, Dialect, Party, Receiver, Stage
from .envelope import open_envelope, seal
from .errors import DecodeError, ProtocolError
from .messages import Ack, Close, Event, Message, Packet, Wire
from .plain_channels import PlainMultiplexer

__all__ = ["PlainDialect"]


class PlainDialect(Dialect):
    """For clients without a library of ours: a browser's ``WebSocket``, a script, a device."""

    name = "plain"

    def converse(self, connection: Connection, stage: Stage) -> Receiver:
        if stage.has_channels and self.codec.enclose() is not None:
            return PlainMultiplexer(connection, stage, self)
        party = stage.enter(connection, self)
        if Event in stage.packets or Ack in stage.packets:
            return _EnvelopeReceiver(self, party)
        return _PlainReceiver(self, party)

    def encode_data(self, payload: object) -> Wire:
        return self.codec.encode(payload)

    def encode(self, packet: Packet) -> Wire:
        return self.codec.encode(seal(packet))


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

    def on_interrupt(self, close: Close) -> None:
        self._party.on_interrupt(close)

    def on_resume(self) -> None:
        self._party.on_resume()


class _EnvelopeReceiver(_PlainReceiver):
    __slots__ = ()

    def on_message(self, message: Message) -> None:
        try:
            payload = self._decode(message)
            packet = open_envelope(payload)
        except (DecodeError, ProtocolError) as error:
            self._party.on_violation(error)
            return
        if packet is None:
            self._party.on_data(payload)
        else:
            self._party.on_packet(packet)
