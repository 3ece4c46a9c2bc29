"""What messages mean."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import msgspec

from ..codecs import Codec
from ..options import NoOptions
from .connection import Connection, Receiver
from .encoder import Encoder
from .stage import Stage

__all__ = ["Dialect"]


class Dialect(Encoder):
    """What a client family says inside messages. One object serves all connections of an endpoint.

    It is the encoder of its sparks, unless it has several for the channels of one connection.

    :cvar name: what the configuration calls it
    :cvar Options: a struct of what can be set in the endpoint's table ``options``
    :param options: one of those
    """

    name: ClassVar[str]
    Options: ClassVar[type[msgspec.Struct]] = NoOptions

    def __init__(self, codec: Codec, options: Any = None) -> None:
        super().__init__(codec)
        self.options = self.Options() if options is None else options

    @abstractmethod
    def converse(self, connection: Connection, stage: Stage) -> Receiver:
        """Begin to listen to a new connection. State of the conversation lives in the receiver."""
