"""The channels of one connection, whatever their wire looks like."""

from __future__ import annotations

from ..errors import HandshakeRejected, LimitExceeded
from ..limits import Overflow
from ..messages import Close, Wire
from .connection import Connection, Receiver
from .encoder import Opener
from .stage import Channel, Stage

__all__ = ["Multiplexer"]


class Multiplexer(Receiver, Opener):
    """The receiver of a connection that carries channels: a dialect derives its own from it.

    :ivar channels: by `Channel.key`; those that the application still thinks about are among them
    """

    __slots__ = ("channels", "connection", "stage")

    def __init__(self, connection: Connection, stage: Stage) -> None:
        self.connection = connection
        self.stage = stage
        self.channels: dict[object, Channel] = {}

    def check(self, name: str) -> None:
        """Look whether there may be one more channel, with this name.

        :raises ValueError: no channel can be called that
        :raises LimitExceeded: there are too many, or the name is too long
        """
        limits = self.stage.limits
        if not name:
            raise ValueError("a channel has a name")
        try:
            size = len(name.encode())
        except UnicodeEncodeError as error:
            raise ValueError(f"no channel can be called {name!r}: {error}") from error
        if size > limits.channel_name_bytes:
            raise LimitExceeded("channel_name_bytes", limits.channel_name_bytes)
        if len(self.channels) >= limits.channels_per_connection:
            raise LimitExceeded("channels_per_connection", limits.channels_per_connection)

    def join(self, channel: Channel) -> None:
        """The other side wants this channel."""
        try:
            self.check(channel.channel)
        except LimitExceeded as error:
            channel.refused(HandshakeRejected(str(error), status=503, code=error.code))
        except ValueError as error:
            channel.refused(HandshakeRejected(str(error), status=400))
        else:
            self.channels[channel.key] = channel
            self.stage.join(channel)

    def say(self, wire: Wire) -> None:
        """Send a word about channels, which must not be lost: who is too slow for it is cut off."""
        self.connection.write(wire, Overflow.DISCONNECT)

    def forget(self, channel: Channel) -> None:
        """A channel has ended."""
        if self.channels.get(channel.key) is channel:
            del self.channels[channel.key]

    # From the connection.

    def on_close(self, close: Close) -> None:
        for channel in [*self.channels.values()]:
            channel.ended(close)

    def on_interrupt(self, close: Close) -> None:
        for channel in [*self.channels.values()]:
            channel.receiver.on_interrupt(close)

    def on_resume(self) -> None:
        for channel in [*self.channels.values()]:
            channel.resumed()
