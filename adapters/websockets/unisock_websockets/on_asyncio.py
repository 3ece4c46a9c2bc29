"""Input and output with asyncio: callbacks, and no task but for what has to be awaited."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import cast

import anyio
from anyio.abc import TaskStatus

from unisock.abc import Gateway, Listener
from unisock.handshake import Address
from unisock.sockets import address_of, peer_address

from .opening import Door, Opening
from .options import Options
from .transport_link import TransportLink

__all__ = ["serve"]

log = logging.getLogger("unisock")


async def serve(gateway: Gateway, options: Options, task_status: TaskStatus[Listener]) -> None:
    """Serve until cancelled."""
    loop = asyncio.get_running_loop()
    listener = AsyncioListener(gateway.sockets())
    async with anyio.create_task_group() as group:
        links = Links(Door(gateway, options, group.start_soon), gateway.ssl_context)
        try:
            for bound in listener.sockets:
                # TLS comes later, by our own hand: a client that does not get on with its TLS
                # handshake is then like any other that does not get on. A Unix socket, too: since
                # Python 3.13, `create_unix_server` would remove one that other processes share.
                server = await loop.create_server(lambda: AsyncioLink(links), sock=bound)
                listener.servers.append(server)
            task_status.started(listener)
            await anyio.sleep_forever()
        finally:
            listener.close()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await links.abort()


class AsyncioListener(Listener):
    """Open ports of an asyncio loop."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets
        self.servers: list[asyncio.Server] = []
        self.addresses = tuple(address_of(bound) for bound in sockets)

    def close(self) -> None:
        for server in self.servers:
            server.close()
        for bound in self.sockets:
            bound.close()


class Links:
    """All links of a server."""

    def __init__(self, door: Door, ssl_context: ssl.SSLContext | None) -> None:
        self.door = door
        self.ssl_context = ssl_context
        self._links: set[AsyncioLink] = set()
        self._aborted = False
        self._empty = asyncio.Event()

    def add(self, link: AsyncioLink) -> bool:
        """A new link; `False` if it comes too late."""
        if not self._aborted:
            self._links.add(link)
        return not self._aborted

    def discard(self, link: AsyncioLink) -> None:
        """A link is gone."""
        self._links.discard(link)
        if not self._links:
            self._empty.set()

    async def abort(self) -> None:
        """Cut all links, and wait until they are gone."""
        self._aborted = True
        for link in [*self._links]:
            link.abort()
        # One round of the loop for those that were accepted but have not been added.
        await asyncio.sleep(0)
        while self._links:
            self._empty.clear()
            await self._empty.wait()


class AsyncioLink(TransportLink):
    """The link to a client."""

    __slots__ = ("_early", "_early_end", "_links")

    def __init__(self, links: Links) -> None:
        self._links = links
        # What arrives while the transport is being exchanged for one with TLS.
        self._early: bytearray | None = None
        self._early_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)
        links = self._links
        context = links.ssl_context
        self.peer: Address = peer_address(transport.get_extra_info("peername"))
        self.secure = context is not None
        self.full = False
        self.use(transport)
        self.sink = opening = Opening(links.door, self)
        if not links.add(self):
            transport.abort()
            return
        if context is not None:
            transport.pause_reading()
            self._early = bytearray()
            links.door.spawn(self._secure, transport, context)
        links.door.enter(opening)

    def data_received(self, data: bytes) -> None:
        if self._early is None:
            self.sink.received(data)
        else:
            self._early += data

    def eof_received(self) -> bool:
        if self._early is not None:
            self._early_end = True
            return False
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._links.discard(self)
        super().connection_lost(exc)

    # TLS.

    async def _secure(self, raw: asyncio.Transport, context: ssl.SSLContext) -> None:
        """Shake hands on TLS. That it ends in time, the sink sees to."""
        secured: asyncio.Transport | None = None
        try:
            secured = await asyncio.get_running_loop().start_tls(
                raw, self, context, server_side=True
            )
        except OSError:
            pass  # of every kind: no TLS, no common cipher, no certificate, gone away
        except Exception:
            log.exception("exception in the TLS handshake with %s", self.peer)
        finally:
            if secured is None:
                raw.abort()
                self.connection_lost(None)
        if secured is None:
            return
        self.use(secured)
        early, self._early = self._early, None
        if early:
            self.sink.received(bytes(early))
        if self._early_end and not self.sink.input_ended():
            secured.close()
