"""Input and output with trio: a reader for each client, and a writer while something waits."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from enum import Enum
from typing import TypeAlias

import trio
from anyio.abc import TaskStatus

from unisock.abc import Gateway, Listener
from unisock.sockets import address_of, peer_address

from .link import HIGH_WATER, LOW_WATER, NOWHERE, Link
from .opening import Door, Opening
from .options import Options

__all__ = ["serve"]

log = logging.getLogger("unisock")

CHUNK = 65_536
"""Bytes that are read or written at once."""
_BUSY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_TlsStream: TypeAlias = "trio.SSLStream[trio.SocketStream]"


async def serve(gateway: Gateway, options: Options, task_status: TaskStatus[Listener]) -> None:
    """Serve until cancelled."""
    listener = TrioListener(gateway.sockets())
    try:
        async with trio.open_nursery() as nursery:
            door = Door(gateway, options, nursery.start_soon)
            for bound in listener.sockets:
                nursery.start_soon(_accept, bound, door, gateway.ssl_context)
            task_status.started(listener)
            await trio.sleep_forever()
    finally:
        listener.close()


class TrioListener(Listener):
    """Open ports of a trio loop."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets
        self.addresses = tuple(address_of(bound) for bound in sockets)

    def close(self) -> None:
        for bound in self.sockets:
            if bound.fileno() != -1:
                trio.lowlevel.notify_closing(bound)
                bound.close()


async def _accept(bound: socket.socket, door: Door, context: ssl.SSLContext | None) -> None:
    while True:
        try:
            client, name = bound.accept()
        except BlockingIOError:
            try:
                await trio.lowlevel.wait_readable(bound)
            except trio.ClosedResourceError:
                return
        except OSError as error:
            if bound.fileno() == -1:
                return
            if error.errno in _BUSY:
                log.error("cannot accept connections for now: %s", error)
                await trio.sleep(1)
        else:
            client.setblocking(False)
            door.spawn(TrioLink(client, name, door, context).run)
            await trio.lowlevel.checkpoint()


class _Then(Enum):
    """What is to be done when all is written."""

    GO_ON = "go on"
    FINISH = "finish"
    CLOSE = "close"


class TrioLink(Link):
    """A link on a socket of trio."""

    __slots__ = (
        "_changed",
        "_client",
        "_closed",
        "_door",
        "_paused",
        "_pending",
        "_stream",
        "_then",
        "_tls",
        "_writing",
    )

    def __init__(
        self, client: socket.socket, name: object, door: Door, context: ssl.SSLContext | None
    ) -> None:
        self.peer = peer_address(name)
        self.secure = context is not None
        self.full = False
        self._door = door
        # The socket itself, too: what it takes at once needs no task to be written.
        self._client = client
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(client))
        self._tls: _TlsStream | None = None
        if context is not None:
            self._tls = trio.SSLStream(self._stream, context, server_side=True)
        self._pending = bytearray()
        self._then = _Then.GO_ON
        self._writing = self._paused = self._closed = False
        self._changed: trio.Event | None = None
        self.sink = opening = Opening(door, self)
        door.enter(opening)

    async def run(self) -> None:
        """Read until the end."""
        stream = self._tls or self._stream
        try:
            if self._tls is not None:
                await self._tls.do_handshake()
            while True:
                while self._paused and not self._closed:
                    await self._change()
                data = await stream.receive_some(CHUNK)
                if not data:
                    break
                self.sink.received(bytes(data))
            if not self.sink.input_ended():
                self.close()
            while not self._closed:
                await self._change()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except Exception:
            log.exception("exception in a connection from %s", self.peer)
        finally:
            self.abort()
            sink, self.sink = self.sink, NOWHERE
            sink.lost()

    # From the sink.

    def write(self, data: bytes) -> None:
        if self._closed:
            return
        rest: bytes | memoryview = data
        if self._tls is None and not self._writing:
            try:
                rest = memoryview(data)[self._client.send(data) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self.abort()
                return
        if rest:
            self._pending += rest
            self._write_out()
            if not self.full and len(self._pending) > HIGH_WATER:
                self.full = True
                self.sink.congested()

    def finish(self) -> None:
        self._end(_Then.FINISH)

    def close(self) -> None:
        self._end(_Then.CLOSE)

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            self._pending.clear()
            self._stream.socket.close()
            self._wake()

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._wake()

    # Writing.

    def _end(self, then: _Then) -> None:
        self._then = then
        if not self._writing and not self._closed:
            if self._tls is None:
                self._end_plain()
            else:
                self._write_out()

    def _end_plain(self) -> None:
        if self._then is _Then.CLOSE:
            self.abort()
        elif self._then is _Then.FINISH:
            try:
                self._client.shutdown(socket.SHUT_WR)
            except OSError:
                self.abort()

    def _write_out(self) -> None:
        if not self._writing:
            self._writing = True
            self._door.spawn(self._write_all)

    async def _write_all(self) -> None:
        stream, pending = self._tls or self._stream, self._pending
        try:
            while pending:
                chunk = bytes(pending[:CHUNK])
                await stream.send_all(chunk)
                del pending[: len(chunk)]
                if self.full and len(pending) <= LOW_WATER:
                    self.full = False
                    self.sink.relieved()
            if self._tls is not None and self._then is not _Then.GO_ON:
                # With TLS there is no half of a stream that could stay open.
                await self._tls.aclose()
                self.abort()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.abort()
        except Exception:
            log.exception("exception in a connection to %s", self.peer)
            self.abort()
        finally:
            self._writing = False
        if self._tls is None and not self._closed:
            self._end_plain()

    # Waiting.

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()
