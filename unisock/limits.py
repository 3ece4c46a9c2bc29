"""The caps on all that a peer can make grow, each with a default that suits the open internet.

A limit is named wherever it is enforced: in the error, in the close reason and in the log.
`docs/reference/limits.md` says for each what happens when it is reached.
"""

from __future__ import annotations

from enum import StrEnum
from math import isfinite

import msgspec

__all__ = ["Heartbeat", "Limits", "Overflow"]


class Overflow(StrEnum):
    """What happens to a message for a client whose outbox is full, if the sender does not wait."""

    WAIT = "wait"
    """The sender waits after all: for the slow members only, and after the others were served."""
    DROP_OLDEST = "drop-oldest"
    """The oldest message that still waits makes room."""
    DROP_NEWEST = "drop-newest"
    """The new message is dropped."""
    DISCONNECT = "disconnect"
    """The client is cut off with 4008 and may come back."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The caps of a server or of one endpoint. Sizes are in bytes, times in seconds."""

    message_bytes: int = 1_048_576
    """One message from a client, put together and inflated."""
    fragments: int = 1024
    """Fragments (RFC 6455 section 5.4) that one message may come in."""
    inbox_messages: int = 64
    """Messages that wait for a busy handler before reading from the client stops."""
    outbox_bytes: int = 1_048_576
    """What may wait for a slow client; beyond it `overflow` decides."""
    outbox_messages: int = 1000
    """The same, counted in messages."""
    connections: int = 65_536
    """Connections of the whole server."""
    connections_per_address: int = 16_384
    """Connections from one IPv4 address or IPv6 /64 network."""
    handshake_seconds: float = 10.0
    """From the first byte to the end of the opening handshake's request."""
    authorize_seconds: float = 10.0
    """For the `authorize` handler."""
    close_seconds: float = 5.0
    """For the closing handshake; the connection is cut after it."""
    rooms_per_spark: int = 128
    """Rooms that one client may be in."""
    room_name_bytes: int = 200
    """The length of a room's name, in UTF-8."""
    channels_per_connection: int = 128
    """Channels that one connection may split into."""
    channel_name_bytes: int = 200
    """The length of a channel's name, in UTF-8."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise ValueError(f"{name}: must be a number more than 0")


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a silent connection is found dead. Any traffic is life: only the silent are pinged."""

    interval: float = 25.0
    """A ping is sent after at most this many seconds of silence; 0 turns heartbeats off."""
    timeout: float = 20.0
    """Seconds after the ping in which the client must say something."""

    def __post_init__(self) -> None:
        if not (isfinite(self.interval) and self.interval >= 0):
            raise ValueError("interval: must be a number of seconds, or 0 for no heartbeats")
        if not (isfinite(self.timeout) and self.timeout > 0):
            raise ValueError("timeout: must be a number of seconds more than 0")
