"""The dialect of sockjs/websocket-multiplex: text frames, each with the topic that it is of.

``sub,topic`` begins a channel, ``msg,topic,payload`` carries data on it, ``uns,topic`` ends it.
The client library escapes topics, so that they have no comma.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from unisock import Channel, EncodeError, ProtocolError
from unisock.abc import Connection, Dialect, Multiplexer, Party, Receiver, Stage
from unisock.codecs import Codec
from unisock.framing import TEXT
from unisock.messages import Close, Message, Packet, Wire, printable
from unisock.plain import PlainDialect

__all__ = ["WebSocketMultiplex", "escape", "unescape"]

log = logging.getLogger("unisock.multiplex")


class WebSocketMultiplex(Dialect):
    """Channels only: a connection has no spark of its own, but for a client's, which joins them."""

    name = "websocket-multiplex"

    def __init__(self, codec: Codec, options: Any = None) -> None:
        super().__init__(codec, options)
        self.inner = PlainDialect(codec)
        self._warned = False

    def converse(self, connection: Connection, stage: Stage) -> Receiver:
        if not stage.has_channels and not self._warned:
            self._warned = True
            log.warning(
                "the dialect websocket-multiplex has channels only, and no plugin serves any: "
                "Server(plugins=[Multiplex()])"
            )
        return TopicMultiplexer(connection, stage, self)

    def encode_data(self, payload: object) -> Wire:
        raise EncodeError("this dialect speaks on channels only: multiplex.join(spark, name)")

    def encode(self, packet: Packet) -> Wire:
        return self.encode_data(packet)


class TopicMultiplexer(Multiplexer):
    """One connection of topics."""

    __slots__ = ("dialect", "party")

    def __init__(self, connection: Connection, stage: Stage, dialect: WebSocketMultiplex) -> None:
        super().__init__(connection, stage)
        self.dialect = dialect
        self.party: Party | None = None
        if stage.is_client:
            self.party = stage.enter(connection, dialect, opener=self)

    def on_message(self, message: Message) -> None:
        try:
            self._on_frame(message)
        except ProtocolError as error:
            log.info("%r: %s", self.connection.handshake, printable(str(error), 200))
            self.connection.close(Close(error.code, printable(str(error))))

    def _on_frame(self, message: Message) -> None:
        if not isinstance(message, str):
            raise ProtocolError("websocket-multiplex has text messages only", code=1003)
        kind, *rest = message.split(",", 2)
        topic = rest[0] if rest else ""
        channel = self.channels.get(topic)
        match kind, len(rest):
            case "msg", 2:
                if channel is not None:  # else it crossed our word that the channel is over
                    channel.arrived(rest[1])
            case "sub", 1:
                if channel is None:
                    self.join(TopicChannel(self, topic))
            case "uns", 1:
                if channel is not None:
                    channel.ended(channel.told(1000, ""))
            case _:
                raise ProtocolError(f"no frame of websocket-multiplex: {printable(message, 60)}")

    def open(self, name: str, auth: object = None) -> Party:
        closing = self.connection.closing
        if closing is not None:
            raise closing.error()
        if auth is not None:
            raise EncodeError("websocket-multiplex has no place for auth")
        self.check(name)
        topic = escape(name)
        if topic in self.channels:
            raise ValueError(f"the channel {name!r} is joined already, and there is one of a name")
        channel = TopicChannel(self, topic, ours=True)
        self.channels[topic] = channel
        channel.resumed()
        self.stage.join(channel, ours=True)
        assert channel.party is not None
        return channel.party

    def on_close(self, close: Close) -> None:
        super().on_close(close)
        if self.party is not None:
            self.party.on_close(close)

    def on_interrupt(self, close: Close) -> None:
        super().on_interrupt(close)
        if self.party is not None:
            self.party.on_interrupt(close)

    def on_resume(self) -> None:
        super().on_resume()
        if self.party is not None:
            self.party.on_resume()


class TopicChannel(Channel):
    """One topic: a channel of text messages, in which the plain dialect is spoken."""

    __slots__ = ("_multiplexer",)

    def __init__(self, multiplexer: TopicMultiplexer, topic: str, *, ours: bool = False) -> None:
        super().__init__(
            multiplexer.connection,
            unescape(topic),
            key=topic,
            ours=ours,
            framing=TEXT,
            forget=multiplexer.forget,
        )
        self._multiplexer = multiplexer

    def wrap(self, frame: Wire) -> Wire:
        if isinstance(frame, tuple):
            return tuple([f"msg,{self.key},{_text(message)}" for message in frame])
        return f"msg,{self.key},{_text(frame)}"

    def part(self, close: Close) -> None:
        self._multiplexer.say(f"uns,{self.key}")

    def resumed(self) -> None:
        self._multiplexer.say(f"sub,{self.key}")
        self.receiver.on_resume()

    def admitted(self, stage: Stage) -> None:
        self.attach(self._multiplexer.dialect.inner.converse(self, stage))
        self.begin()

    def take(self, item: str) -> None:
        self.receiver.on_message(item)


def _text(message: Message) -> str:
    assert isinstance(message, str)  # the framing lets no other through
    return message


_PLAIN = re.compile(r"[^A-Za-z0-9@*_+./-]")
_ESCAPED = re.compile(r"%u([0-9A-Fa-f]{4})|%([0-9A-Fa-f]{2})")


def escape(name: str) -> str:
    """The name as JavaScript's ``escape()`` writes it (ECMA-262, annex B.2.1.1)."""

    def replace(found: re.Match[str]) -> str:
        units = found[0].encode("utf-16-be")
        numbers = [units[at] << 8 | units[at + 1] for at in range(0, len(units), 2)]
        return "".join([f"%{n:02X}" if n < 256 else f"%u{n:04X}" for n in numbers])

    return _PLAIN.sub(replace, name)


def unescape(topic: str) -> str:
    """The name in a topic (ECMA-262, annex B.2.1.2). Half a surrogate pair stays as it came."""

    def replace(found: re.Match[str]) -> str:
        return chr(int(found[1] or found[2], 16))

    name = _ESCAPED.sub(replace, topic)
    try:
        return name.encode("utf-16-be", "surrogatepass").decode("utf-16-be")
    except UnicodeDecodeError:
        return topic
