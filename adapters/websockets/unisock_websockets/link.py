"""The two halves that a driver joins: the link that carries bytes, and the sink that understands
them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from unisock.handshake import Address

__all__ = ["HIGH_WATER", "LOW_WATER", "NOWHERE", "Link", "Sink"]

HIGH_WATER = 65_536
"""Bytes that may wait in a link before its sink hears that it is congested."""
LOW_WATER = 16_384
"""Bytes that are left when its sink hears that it is relieved."""


class Sink(ABC):
    """Who hears what comes over a link. Nothing in here does input or output."""

    __slots__ = ()

    @abstractmethod
    def received(self, data: bytes) -> None:
        """Bytes from the client."""

    @abstractmethod
    def input_ended(self) -> bool:
        """The client will send no more.

        :returns: whether the link is to stay open, because an answer is on its way
        """

    @abstractmethod
    def lost(self) -> None:
        """The link is gone, in whatever way. May be called twice."""

    @abstractmethod
    def congested(self) -> None:
        """More than `HIGH_WATER` bytes wait in the link."""

    @abstractmethod
    def relieved(self) -> None:
        """No more than `LOW_WATER` bytes are left of them."""


class _Nowhere(Sink):
    """Hears for a link that is gone: a sink knows its link, and would never be freed else but by
    the collector of cycles.
    """

    __slots__ = ()

    def received(self, data: bytes) -> None: ...

    def input_ended(self) -> bool:
        return False

    def lost(self) -> None: ...

    def congested(self) -> None: ...

    def relieved(self) -> None: ...


NOWHERE: Sink = _Nowhere()


class Link(ABC):
    """A byte stream to one client, as its sink sees it. No method blocks, and none raises.

    :ivar sink: who hears
    :ivar peer: the client's address
    :ivar secure: whether it is TLS
    :ivar full: whether it is congested
    """

    __slots__ = ("full", "peer", "secure", "sink")

    sink: Sink
    peer: Address
    secure: bool
    full: bool

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send, as soon as the client takes it. May call ``sink.congested``."""

    @abstractmethod
    def finish(self) -> None:
        """Send no more after what was written. What still arrives is for the sink to throw away:
        to close with bytes unread would send a TCP reset, which can overtake what was written.
        """

    @abstractmethod
    def close(self) -> None:
        """Close when all is sent that was written; ``sink.lost`` follows."""

    @abstractmethod
    def abort(self) -> None:
        """Close at once; ``sink.lost`` follows."""

    @abstractmethod
    def pause_reading(self) -> None:
        """Read no more, so that the client feels it."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Read again."""
