"""A client's link, as it is dialled: first the handshake is read from it, then a sink hears."""

from __future__ import annotations

import asyncio
import ssl
from abc import abstractmethod
from typing import cast

import anyio

from unisock.handshake import Address, parse_ip
from unisock.url import Url

from .link import NOWHERE, Link
from .transport_link import TransportLink

__all__ = ["AsyncioClientLink", "ClientLink"]


class ClientLink(Link):
    """A link to a server.

    Until there is a sink, bytes are exchanged with `send` and `receive`; then `run` runs.
    """

    __slots__ = ()

    @abstractmethod
    async def send(self, data: bytes) -> None:
        """Send, while there is no sink."""

    @abstractmethod
    async def receive(self) -> bytes:
        """Some bytes, while there is no sink.

        :raises anyio.EndOfStream: there are no more
        :raises anyio.BrokenResourceError: the connection broke
        :raises ssl.SSLError: the server broke it, for a reason of TLS
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Cut it, while there is no sink."""

    @abstractmethod
    async def run(self) -> None:
        """Be there until the end. To cancel it cuts the link."""


class AsyncioClientLink(TransportLink, ClientLink):
    """A link on a transport of asyncio, which calls the sink itself."""

    __slots__ = ("_ended", "_gone", "_head", "_news", "_why")

    def __init__(self, peer: Address, *, secure: bool) -> None:
        self.sink = NOWHERE
        self.peer = peer
        self.secure = secure
        self.full = False
        # What arrived while there is no sink, and whether that was all.
        self._head = b""
        self._ended = False
        self._why: Exception | None = None
        self._news = asyncio.Event()
        self._gone = asyncio.Event()

    @classmethod
    async def open(cls, url: Url, context: ssl.SSLContext | None, name: str) -> AsyncioClientLink:
        """Connect, by TLS with a context.

        :param name: what the server's certificate is checked for
        :raises OSError: it cannot be reached, or TLS fails
        """
        loop = asyncio.get_running_loop()
        peer = Address(url.host, url.port) if url.unix is None else Address(url.unix)
        link = cls(peer, secure=context is not None)
        wanted = name if context is not None else None
        if url.unix is not None:
            await loop.create_unix_connection(
                lambda: link, url.unix, ssl=context, server_hostname=wanted
            )
        else:
            # Several addresses are tried side by side (RFC 8305 section 8). Where there is but one,
            # that would only risk its socket: asyncio forgets it if it is cancelled amid the race.
            race = None if parse_ip(url.host) is not None else 0.25
            await loop.create_connection(
                lambda: link,
                url.host,
                url.port,
                ssl=context,
                server_hostname=wanted,
                happy_eyeballs_delay=race,
            )
        return link

    # From asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.use(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        if self.sink is NOWHERE:
            # One read at a time: the sink must find the rest still unread.
            self._head += data
            self._transport.pause_reading()
            self._news.set()
        else:
            self.sink.received(data)

    def eof_received(self) -> bool:
        self._ended = True
        self._news.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._why = exc
        self._news.set()
        self._gone.set()
        super().connection_lost(exc)

    # For who dials.

    async def send(self, data: bytes) -> None:
        self._transport.write(data)

    async def receive(self) -> bytes:
        if not self._head and not self._ended:
            self._news.clear()
            self._transport.resume_reading()
            await self._news.wait()
        head, self._head = self._head, b""
        if head:
            return head
        if isinstance(self._why, ssl.SSLError):  # it does not know this side's certificate, say
            raise self._why
        if self._gone.is_set():
            raise anyio.BrokenResourceError from self._why
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        self._transport.abort()
        await self._gone.wait()

    async def run(self) -> None:
        try:
            await self._gone.wait()
        finally:
            self._transport.abort()
            with anyio.CancelScope(shield=True):
                await self._gone.wait()
            super().connection_lost(None)  # it may have gone before there was a sink
