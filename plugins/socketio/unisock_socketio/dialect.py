"""The dialect: Socket.IO, on an endpoint and for a client."""

from __future__ import annotations

from typing import Any, TypeAlias

from unisock import ConfigError
from unisock.abc import Connection, Dialect, Greeting, Receiver, Stage
from unisock.codecs import Codec
from unisock.messages import Close, Packet, Wire

from .client import ClientConversation, Hello, Memory
from .encoding import ClientEncoder, Encoders, NamespaceEncoder, NumberingEncoder
from .msgpack import MsgpackParser
from .options import ClientOptions, Options, Recovery
from .packets import Parser, TextParser
from .recovery import Sessions
from .server import ServerConversation

__all__ = ["SocketioDialect"]

_Options: TypeAlias = Options  # the class below has attributes of these names
_ClientOptions: TypeAlias = ClientOptions


class SocketioDialect(Dialect):
    """Socket.IO, revision 5; and revision 4 with clients that come by revision 3 of Engine.IO.

    The namespace ``/`` is the endpoint itself, and its spark has no channel. All others are
    channels: ``multiplex.channel("/chat")``.

    :raises ConfigError: the endpoint has a codec of its own
    """

    name = "socketio"
    Options = Options
    ClientOptions = ClientOptions
    carrier = "engineio"
    path = "/socket.io/"
    asks_later = True

    def __init__(self, codec: Codec, options: Any = None) -> None:
        super().__init__(codec, options)
        if codec.name != "json":
            raise ConfigError(
                f"Socket.IO has its own form of messages, and not the codec '{codec.name}': leave "
                'codec out; with MessagePack, clients want options = { parser = "msgpack" }',
                key="codec",
            )
        given: Any = self.options
        self._parser = _parser(given)
        self._sessions: Sessions | None = None
        self._memory: Memory | None = None
        kind: type[NamespaceEncoder] = NamespaceEncoder
        if isinstance(given, _ClientOptions):
            self._memory = Memory(given)
        else:
            self._settings: _Options = given
            if given.recovery:
                settings = Recovery() if given.recovery is True else given.recovery
                kind, self._sessions = NumberingEncoder, Sessions(settings)
        self._encoders = Encoders(codec, self._parser, kind)
        self._encoder = self._encoders.of("/")
        if self._memory is not None:
            self._encoder = ClientEncoder(codec, self._parser, self._memory.options.namespace)

    def converse(self, connection: Connection, stage: Stage) -> Receiver:
        if self._memory is not None:
            encoder = self._encoder
            return ClientConversation(connection, stage, self._encoders, encoder, self._memory)
        return ServerConversation(connection, stage, self._encoders, self._settings, self._sessions)

    def greet(self, connection: Connection) -> Greeting | None:
        return None if self._memory is None else Hello(connection, self._parser, self._memory)

    def encode_data(self, payload: object) -> Wire:
        return self._encoder.encode_data(payload)

    def encode(self, packet: Packet) -> Wire:
        return self._encoder.encode(packet)

    def farewell(self, close: Close) -> Wire | None:
        return self._encoder.farewell(close)


def _parser(options: _Options | _ClientOptions) -> Parser:
    kind = MsgpackParser if options.parser == "msgpack" else TextParser
    return kind(options.max_attachments)
