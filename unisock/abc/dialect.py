"""What messages mean."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from ..assets import Asset
from ..codecs import Codec
from ..options import NoOptions
from .adapter import Gate
from .connection import Connection, Receiver
from .encoder import Encoder
from .greeting import Greeting
from .stage import Stage

__all__ = ["Dialect"]


class Dialect(Encoder):
    """What a client family says inside messages. One object serves all connections of an endpoint.

    It is the encoder of its sparks, unless it has several for the channels of one connection.

    :cvar name: what the configuration calls it
    :cvar Options: a struct of what can be set in the endpoint's table ``options``
    :cvar ClientOptions: a struct of what `connect` can be told; may be derived from ``Options``
    :cvar carrier: the connector that its clients use, unless told
    :cvar path: where its servers are found, if the URL has no path
    :cvar asks_later: its clients say who they are when the connection is there: the endpoint's
        ``authorize`` is asked by `Stage.join` for each channel, and not before
    :cvar refusal: the HTTP status for clients that ``authorize`` turns away, unless it names one
    :param options: one of the two structs
    """

    name: ClassVar[str]
    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    ClientOptions: ClassVar[type[msgspec.Struct]] = NoOptions
    carrier: ClassVar[str] = "websocket"
    path: ClassVar[str] = "/"
    asks_later: ClassVar[bool] = False
    refusal: ClassVar[int] = 403

    def __init__(self, codec: Codec, options: Any = None) -> None:
        super().__init__(codec)
        self.options = self.Options() if options is None else options

    def install(self, gate: Gate) -> Mapping[str, Asset]:
        """It is to be spoken at this endpoint.

        :returns: documents beneath the endpoint's path, by what stands behind it, such as ``/spec``
        :raises ConfigError: it cannot be
        """
        return {}

    @abstractmethod
    def converse(self, connection: Connection, stage: Stage) -> Receiver:
        """Begin to listen to a new connection. State of the conversation lives in the receiver."""

    def greet(self, connection: Connection) -> Greeting | None:
        """What a client has to say on each new connection, before `converse` for the first one;
        `None` for nothing.
        """
        return None
