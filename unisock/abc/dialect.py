"""What messages mean."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from .connection import Connection, Receiver
from .encoder import Encoder
from .stage import Stage

__all__ = ["Dialect"]


class Dialect(Encoder):
    """What a client family says inside messages. One object serves all connections of an endpoint.

    It is the encoder of its sparks, unless it has several for the channels of one connection.

    :cvar name: what the configuration calls it
    """

    name: ClassVar[str]

    @abstractmethod
    def converse(self, connection: Connection, stage: Stage) -> Receiver:
        """Begin to listen to a new connection. State of the conversation lives in the receiver."""
