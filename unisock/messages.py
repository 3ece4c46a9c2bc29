"""The values that travel between the layers: messages, packets, and how a connection ended."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Literal, TypeAlias

import msgspec

from .errors import (
    ClosedByPeer,
    ClosedLocally,
    ConnectionClosed,
    ConnectionLost,
    ConnectionRejected,
)

__all__ = [
    "Ack",
    "Close",
    "ControlFrame",
    "Data",
    "Delivery",
    "Event",
    "Fault",
    "Message",
    "Origin",
    "Packet",
    "Sent",
    "Wire",
    "printable",
]

Message: TypeAlias = str | bytes
"""What a connection carries: text or binary (RFC 6455 section 5.6)."""

Wire: TypeAlias = Message | tuple[Message, ...]
"""What a packet becomes: one message, or several that belong together and stay together."""


class ControlFrame(msgspec.Struct, frozen=True):
    """A ping or a pong (RFC 6455 sections 5.5.2 and 5.5.3), as `Connection.overhear` tells of it.

    :ivar sent: this side sent it
    """

    kind: Literal["ping", "pong"]
    payload: bytes = b""
    sent: bool = False


class Packet(msgspec.Struct, frozen=True):
    """What a message means. Dialects and plugins add kinds of their own by deriving from it."""


class Data(Packet, frozen=True):
    """A payload for the application's ``on_message``."""

    payload: object


class Event(Packet, frozen=True):
    """A named event.

    :ivar id: what the `Ack` is to repeat; `None` when no answer is awaited
    """

    name: str
    args: tuple[object, ...] = ()
    id: int | None = None


class Fault(msgspec.Struct, frozen=True):
    """Why an event got no proper answer.

    :ivar code: a word for programs, such as ``invalid-arguments``
    :ivar message: a sentence for people
    """

    code: str
    message: str = ""


class Ack(Packet, frozen=True):
    """The answer to the event with this id.

    :ivar fault: why it failed; `None` if it did not
    """

    id: int
    args: tuple[object, ...] = ()
    fault: Fault | None = None


class Sent(IntEnum):
    """What became of one message."""

    DROPPED = 0
    """Nothing was sent: the connection is closed, or its outbox was full."""
    QUEUED = 1
    """It waits in the outbox, because the client is slow."""
    SENT = 2
    """It was handed to the driver."""


class Delivery(msgspec.Struct, frozen=True):
    """What became of one message to many."""

    sent: int = 0
    queued: int = 0
    dropped: int = 0

    @staticmethod
    def of(sent: Sent) -> Delivery:
        """What became of one message to one client."""
        return _TO_ONE[sent]


class Origin(Enum):
    """Who ended a connection."""

    LOCAL = "local"
    PEER = "peer"
    LOST = "lost"
    REJECTED = "rejected"
    """The server told a client not to come back."""


_TO_ONE = {
    Sent.SENT: Delivery(sent=1),
    Sent.QUEUED: Delivery(queued=1),
    Sent.DROPPED: Delivery(dropped=1),
}
_COME_BACK = frozenset({1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015})
_SENDABLE = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
_ERRORS: dict[Origin, type[ConnectionClosed]] = {
    Origin.LOCAL: ClosedLocally,
    Origin.PEER: ClosedByPeer,
    Origin.LOST: ConnectionLost,
    Origin.REJECTED: ConnectionRejected,
}


class Close(msgspec.Struct, frozen=True):
    """How a connection ends.

    :ivar code: RFC 6455 section 7.4; 3000–4999 are the application's
    :ivar reason: at most 123 bytes of UTF-8 go over the wire
    :ivar reconnect: whether the client should come back; `None` reads it from the code
    :ivar origin: who ended it
    """

    code: int = 1000
    reason: str = ""
    reconnect: bool | None = None
    origin: Origin = Origin.LOCAL

    @property
    def come_back(self) -> bool:
        """Whether the client should come back.

        Where nobody said, the code decides. Of the registered codes, those that tell of a passing
        trouble (1001, 1005, 1006, 1011–1015) invite it back. Of the application's, the lower half
        of each thousand (3000–3499, 4000–4499) does, and the upper half does not.
        """
        if self.reconnect is not None:
            return self.reconnect
        if self.code >= 3000:
            return self.code % 1000 < 500
        return self.code in _COME_BACK

    def error(self) -> ConnectionClosed:
        """This close as the exception that a reader or writer meets."""
        return _ERRORS[self.origin](self.code, self.reason, self.come_back)

    @classmethod
    def from_server(cls, code: int, reason: str) -> Close:
        """A close as a client was told it: of its server, or of a channel that it had begun."""
        close = cls(code, reason, origin=Origin.PEER)
        if code in (1000, 1005) or close.come_back:
            return close
        return cls(code, reason, origin=Origin.REJECTED)

    @staticmethod
    def sendable(code: int) -> bool:
        """Whether a close frame may carry the code (RFC 6455 section 7.4.2)."""
        return code in _SENDABLE or 3000 <= code <= 4999

    @classmethod
    def checked(cls, code: int, reason: str, reconnect: bool | None) -> Close:
        """A close of this side's making.

        :raises ValueError: the code may not be sent, or the reason is too long or has control
            characters
        """
        if not cls.sendable(code):
            raise ValueError(f"close code {code} cannot be sent; use 1000 or 3000–4999")
        if len(reason.encode()) > 123:
            raise ValueError("a close reason has at most 123 bytes of UTF-8")
        if not reason.isprintable():
            raise ValueError("a close reason cannot have control characters")
        return cls(code, reason, reconnect)


def printable(text: str, most: int = 123) -> str:
    """Text that may come from a peer, made fit for a close reason or a log line.

    :param most: the length in bytes of UTF-8
    """
    if text.isascii() and text.isprintable() and len(text) <= most:
        return text
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return clean.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
