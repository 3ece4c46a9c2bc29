"""Channels as the plugin substream has them: ``{"substream": name, "args": payload}``.

There is no word to begin one: it is there when somebody speaks on it. The payload
``substream::end`` ends it.
"""

from __future__ import annotations

from typing import Any

from unisock import Close, EncodeError, Message, Packet
from unisock.abc import Encoder
from unisock.codecs import Codec
from unisock.envelope import seal
from unisock.messages import Data, Wire
from unisock.plain_channels import PlainChannel, PlainMultiplexer

__all__ = ["END", "SubstreamChannel", "SubstreamEncoder", "key_of"]

END = "substream::end"


def key_of(name: str) -> tuple[str, str]:
    """What the channel is known by: there is one of a name."""
    return ("", name)


class SubstreamEncoder(Encoder):
    """What is said on substreams; events are in the envelope of primus-emitter there."""

    def encode_data(self, payload: object) -> Wire:
        if payload == END:
            raise EncodeError(f"{END} is no payload: it would end the substream")
        return self.codec.encode(payload)

    def encode(self, packet: Packet) -> Wire:
        if isinstance(packet, Data):
            return self.encode_data(packet.payload)
        return self.codec.encode(seal(packet))


class SubstreamChannel(PlainChannel):
    """One substream."""

    __slots__ = ()

    def __init__(self, multiplexer: PlainMultiplexer, name: str, *, ours: bool = False) -> None:
        super().__init__(multiplexer, key_of(name), ours=ours)

    def enclose(self, codec: Codec) -> tuple[Message, Message]:
        nothing: Any = codec.encode(None)
        whole: Any = codec.encode({"substream": self.channel, "args": None})
        before, _, after = whole.rpartition(nothing)
        return before, after

    def part(self, close: Close) -> None:
        multiplexer = self._multiplexer
        last = {"substream": self.channel, "args": END}
        multiplexer.say(multiplexer.encoder.codec.encode(last))

    def resumed(self) -> None:
        self.receiver.on_resume()
