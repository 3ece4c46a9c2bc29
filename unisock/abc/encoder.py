"""What sparks are to the floors below, and how packets become messages."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..codecs import Codec
from ..messages import Close, Packet, Wire

__all__ = ["Encoder", "Opener", "Party"]


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
    def wants(self, packet: Packet) -> bool:
        """Whether some plugin has a use for this packet, for a dialect that can take a message in
        two ways.
        """

    @abstractmethod
    def on_close(self, close: Close) -> None:
        """The connection has ended."""

    @abstractmethod
    def on_interrupt(self, close: Close) -> None:
        """A client's connection broke and is being made anew; see `Receiver.on_interrupt`."""

    @abstractmethod
    def on_resume(self) -> None:
        """A client's connection is there again; see `Receiver.on_resume`."""

    @abstractmethod
    def on_violation(self, error: Exception) -> None:
        """The peer sent what is no message of the dialect: report it and close with its code.

        :param error: a `CodecError`, `ProtocolError` or `LimitExceeded`
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


class Opener(ABC):
    """Begins channels on a connection, where the dialect lets this side do so."""

    __slots__ = ()

    @abstractmethod
    def open(self, name: str, auth: object = None) -> Party:
        """Begin a channel.

        :param auth: what the other side's ``authorize`` handler is given
        :returns: its spark
        :raises ValueError: no channel can be called that
        :raises LimitExceeded: there are too many
        :raises ConnectionClosed: the connection is closed
        """
