"""What messages mean, and who is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from ..codecs import Codec
from ..limits import Limits
from ..messages import Close, Packet, Wire
from .connection import Connection, Receiver, Runtime

__all__ = ["Dialect", "Encoder", "Party", "Stage"]


class Party(ABC):
    """Where a dialect pushes what it understood: the Spark, as the lower floors know it."""

    __slots__ = ()

    @abstractmethod
    def on_data(self, payload: object) -> None:
        """A payload for the application."""

    @abstractmethod
    def on_packet(self, packet: Packet) -> None:
        """A packet of another kind than `Data`."""

    @abstractmethod
    def on_close(self, close: Close) -> None:
        """The connection has ended."""

    @abstractmethod
    def on_violation(self, error: Exception) -> None:
        """The peer sent what is no message of the dialect: report it and close with its code.

        :param error: a `CodecError`, `ProtocolError` or `LimitExceeded`
        """


class Stage(ABC):
    """Where a dialect brings clients before the application: one for each endpoint.

    :ivar packets: the kinds of packet that some plugin consumes
    """

    packets: frozenset[type[Packet]]
    limits: Limits
    runtime: Runtime

    @abstractmethod
    def enter(self, connection: Connection, encoder: Encoder, *, id: str = "") -> Party:
        """Make a spark of this connection, which from now on is spoken to through ``encoder``.

        A dialect may bring several sparks out of one connection: each a channel, with an encoder of
        its own.

        :param id: the spark's id, where the dialect's clients already know one; else it is made
        """


class Encoder(ABC):
    """Turns packets into messages. Sparks with the same encoder object share what it makes."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    @abstractmethod
    def encode_data(self, payload: object) -> Wire:
        """The message, or messages, for ``Data(payload)``.

        :raises EncodeError: the payload has no form in the codec
        """

    @abstractmethod
    def encode(self, packet: Packet) -> Wire:
        """The message, or messages, for any packet.

        :raises EncodeError: the dialect has no form for this kind of packet, or the codec for its
            payload
        """

    def farewell(self, close: Close) -> Wire | None:
        """What is to be said before the connection closes for this reason; `None` for nothing."""
        return None


class Dialect(Encoder):
    """What a client family says inside messages. One object serves all connections of an endpoint.

    It is the encoder of its sparks, unless it has several for the channels of one connection.

    :cvar name: what the configuration calls it
    """

    name: ClassVar[str]

    @abstractmethod
    def converse(self, connection: Connection, stage: Stage) -> Receiver:
        """Begin to listen to a new connection. State of the conversation lives in the receiver."""
