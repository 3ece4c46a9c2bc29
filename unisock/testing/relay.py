"""A wire between clients and a server, which a test can block or cut."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from .running import task_group
from .wire import Place

__all__ = ["Relay", "relaying"]

WINDOW = 32_768
SEGMENT = 1400
"""What one packet carries on most networks. On loopback it would be 64 KiB, and kernels size their
buffers by it: to megabytes, before a slow reader is felt."""
_RESET = struct.pack("ii", 1, 0)


class Relay:
    """Passes bytes on between clients and a server, with the small buffers of a real network.

    :ivar place: where clients connect
    :ivar news: how often something came from the server
    """

    def __init__(self, there: Place) -> None:
        self._there = there
        self._listener = _small(socket.socket())
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.place = Place("127.0.0.1", self._listener.getsockname()[1])
        self.news = 0
        self._scopes: set[anyio.CancelScope] = set()
        self._flowing = anyio.Event()
        self._flowing.set()
        self._changed = anyio.Event()

    def block(self) -> None:
        """Pass nothing on, in either direction, and tell nobody: a pulled cable."""
        self._flowing = anyio.Event()

    def clear(self) -> None:
        """Pass on again, beginning with what was held up."""
        self._flowing.set()

    def cut(self) -> None:
        """Reset every connection, on both sides."""
        for scope in self._scopes:
            scope.cancel()

    async def hears(self, times: int) -> None:
        """Wait until something has come from the server so many times more."""
        goal = self.news + times
        while self.news < goal:
            await self._changed.wait()

    async def run(self, group: TaskGroup) -> None:
        """Accept clients until cancelled."""
        with self._listener:
            while True:
                await anyio.wait_readable(self._listener)
                with contextlib.suppress(OSError):
                    client, _ = self._listener.accept()
                    client.setblocking(False)
                    group.start_soon(self._carry, client)

    async def _carry(self, client: socket.socket) -> None:
        with client, _small(socket.socket()) as server, anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                with contextlib.suppress(BlockingIOError):
                    server.connect((self._there.host, self._there.port))
                await anyio.wait_writable(server)
                async with anyio.create_task_group() as group:
                    group.start_soon(self._pass_on, client, server, group.cancel_scope)
                    group.start_soon(self._pass_on, server, client, group.cancel_scope)
                return
            finally:
                self._scopes.discard(scope)
                if scope.cancel_called:
                    for end in (client, server):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    async def _pass_on(
        self, source: socket.socket, sink: socket.socket, both: anyio.CancelScope
    ) -> None:
        from_server = source.getpeername()[1] == self._there.port
        try:
            while data := await self._read(source):
                if from_server:
                    self._note()
                while data:
                    await anyio.wait_writable(sink)
                    data = data[sink.send(data) :]
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            both.cancel()

    async def _read(self, source: socket.socket) -> bytes:
        while True:
            await anyio.wait_readable(source)
            if not self._flowing.is_set():
                await self._flowing.wait()
            with contextlib.suppress(BlockingIOError):
                return source.recv(WINDOW)

    def _note(self) -> None:
        self.news += 1
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


@asynccontextmanager
async def relaying(there: Place) -> AsyncGenerator[Relay]:
    """A relay to a server's TCP port, while the block runs."""
    async with task_group() as group:
        relay = Relay(there)
        group.start_soon(relay.run, group)
        try:
            yield relay
        finally:
            group.cancel_scope.cancel()


def _small(end: socket.socket) -> socket.socket:
    end.setblocking(False)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        end.setsockopt(socket.SOL_SOCKET, option, WINDOW)
    with contextlib.suppress(OSError):  # not every system lets one choose it
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    return end
