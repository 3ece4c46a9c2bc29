"""A link on a transport of asyncio: callbacks, and no task."""

from __future__ import annotations

import asyncio

from .link import HIGH_WATER, LOW_WATER, NOWHERE, Link

__all__ = ["TransportLink"]


class TransportLink(asyncio.Protocol, Link):
    """What both sides of a connection have in common on asyncio."""

    __slots__ = ("_transport",)

    _transport: asyncio.Transport

    # From asyncio.

    def data_received(self, data: bytes) -> None:
        self.sink.received(data)

    def eof_received(self) -> bool:
        # With TLS there is no half of a stream that could stay open.
        return self.sink.input_ended() and not self.secure

    def connection_lost(self, exc: Exception | None) -> None:
        sink, self.sink = self.sink, NOWHERE
        sink.lost()

    def pause_writing(self) -> None:
        self.full = True
        self.sink.congested()

    def resume_writing(self) -> None:
        self.full = False
        self.sink.relieved()

    # From the sink.

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def finish(self) -> None:
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    # For who derives.

    def use(self, transport: asyncio.Transport) -> None:
        """Write to this transport from now on."""
        transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        self._transport = transport
