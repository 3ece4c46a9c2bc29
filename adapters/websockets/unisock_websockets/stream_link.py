"""A client's link on any byte stream of anyio: two tasks, one for each direction. It serves where
there is no transport of asyncio: on trio, and through proxies.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from enum import Enum

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from unisock.handshake import Address

from .client_link import ClientLink
from .link import HIGH_WATER, LOW_WATER, NOWHERE, Sink

__all__ = ["StreamLink"]

log = logging.getLogger("unisock")

CHUNK = 65_536
"""Bytes that are read or written at once."""


class _Then(Enum):
    """What is to be done when all is written."""

    GO_ON = "go on"
    FINISH = "finish"
    CLOSE = "close"


class StreamLink(ClientLink):
    """A link on a stream that is connected, with TLS or without."""

    __slots__ = ("_changed", "_paused", "_pending", "_scope", "_stream", "_then")

    def __init__(self, stream: ByteStream, peer: Address, *, secure: bool) -> None:
        self.sink: Sink = NOWHERE
        self.peer = peer
        self.secure = secure
        self.full = False
        self._stream = stream
        self._scope = anyio.CancelScope()
        self._pending = bytearray()
        self._then = _Then.GO_ON
        self._paused = False
        self._changed = anyio.Event()

    # For who dials.

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    async def receive(self) -> bytes:
        return await self._stream.receive(CHUNK)

    async def aclose(self) -> None:
        await anyio.aclose_forcefully(self._stream)

    async def run(self) -> None:
        try:
            with self._scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._guard, self._write)
                    await self._guard(self._read)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self._stream)
            sink, self.sink = self.sink, NOWHERE
            sink.lost()

    # From the sink.

    def write(self, data: bytes) -> None:
        self._pending += data
        self._wake()
        if not self.full and len(self._pending) > HIGH_WATER:
            self.full = True
            self.sink.congested()

    def finish(self) -> None:
        self._then = _Then.FINISH
        self._wake()

    def close(self) -> None:
        self._then = _Then.CLOSE
        self._wake()

    def abort(self) -> None:
        self._scope.cancel()

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._wake()

    # In between.

    async def _guard(self, half: Callable[[], Awaitable[None]]) -> None:
        """The end of one half is the end of both."""
        try:
            await half()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            pass
        except Exception:
            log.exception("exception in a connection to %s", self.peer)
        self._scope.cancel()

    async def _read(self) -> None:
        while True:
            while self._paused:
                await self._changed.wait()
            try:
                data = await self._stream.receive(CHUNK)
            except anyio.EndOfStream:
                break
            self.sink.received(data)
        if not self.sink.input_ended():
            self.close()
        await anyio.sleep_forever()  # until all is written

    async def _write(self) -> None:
        pending = self._pending
        while True:
            while pending:
                chunk = bytes(pending[:CHUNK])
                del pending[:CHUNK]
                await self._stream.send(chunk)
                if self.full and len(pending) <= LOW_WATER:
                    self.full = False
                    self.sink.relieved()
            if self._then is _Then.CLOSE:
                return
            if self._then is _Then.FINISH and not isinstance(self._stream, TLSStream):
                self._then = _Then.GO_ON  # and meanwhile, it may be told to close
                with contextlib.suppress(OSError):
                    await self._stream.send_eof()
                continue
            if self._then is _Then.FINISH:
                return  # with TLS there is no half of a stream that could stay open
            await self._changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
