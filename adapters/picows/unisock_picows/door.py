"""What all clients of a server share: how they get in, and who is there."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias, cast

import aiofastnet
import aiofastnet.selector_transport as fast  # type: ignore[import-not-found]

from unisock.abc import Gateway, Listener
from unisock.sockets import address_of
from unisock.timers import Timer

from .ears import Ears
from .options import Options
from .parts import Parts
from .turn import Turn

__all__ = ["Client", "Door", "Doors", "Visitor"]

ACCEPTS = 64
"""Clients that are accepted at once, before those who are there get their turn."""
REST_SECONDS = 1.0
"""How long nobody is accepted when the system has no more files."""
READ_BYTES = 65_536
"""What is read at once."""
TLS_BUFFER_BYTES = 32_768
"""Each of the two buffers of a TLS connection."""

_put_under = cast(
    "Callable[[asyncio.AbstractEventLoop, socket.socket, asyncio.BaseProtocol], object]",
    fast.SelectorSocketTransport,  # pyright: ignore[reportUnknownMemberType]
)

_Seat: TypeAlias = Callable[
    [Callable[[], asyncio.BaseProtocol], socket.socket],
    Awaitable[tuple[asyncio.BaseTransport, asyncio.BaseProtocol]],
]
"""Puts a transport between a protocol and a socket."""

log = logging.getLogger("unisock")


class Client(ABC):
    """Whoever is there."""

    __slots__ = ()

    @abstractmethod
    def abort(self) -> None:
        """Cut it off; it calls `Door.discard` when it is gone."""


class Visitor(Client):
    """Who has to say what he wants, and has a time for it."""

    __slots__ = ()

    @abstractmethod
    def expire(self) -> None:
        """The time is over."""


class Door:
    """All clients of one server."""

    def __init__(self, gateway: Gateway, options: Options, parts: Parts) -> None:
        self.gateway = gateway
        self.options = options
        self.parts = parts
        self.ears = Ears(parts.ear, options.read_buffer_bytes, options.parsers)
        self.turn = Turn()
        # Where reads go that are handled within the callback that announces them. A read without a
        # buffer costs aiofastnet an allocation of 256 KiB.
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.secure = gateway.ssl_context is not None
        self._clients: set[Client] = set()
        # Those between requests or in the middle of one's head, and when their time is over. They
        # all have the same, so that the next is always the first; and one timer does for all.
        self._waiting: dict[Visitor, float] = {}
        self._timer: Timer | None = None
        self._empty = asyncio.Event()
        self.closed = False

    def add(self, client: Client) -> None:
        """A new client."""
        self._clients.add(client)

    def discard(self, client: Client) -> None:
        """A client is gone, or became another."""
        self._clients.discard(client)
        self.heard(client)
        if not self._clients:
            self._empty.set()

    def expect(self, client: Visitor) -> None:
        """A request is expected of this client within ``handshake_seconds``; perhaps another has to
        give way.
        """
        timers, seconds = self.gateway.runtime.timers, self.gateway.limits.handshake_seconds
        self._waiting.pop(client, None)
        self._waiting[client] = timers.now + seconds
        if self._timer is None:
            self._timer = timers.call_later(seconds, self._look)
        if len(self._waiting) > self.options.handshakes:
            most = self.options.handshakes
            log.info("a client was cut off: over the option handshakes = %d", most)
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.abort()

    def _look(self) -> None:
        """See whose time is over."""
        self._timer = None
        timers = self.gateway.runtime.timers
        while self._waiting:
            client, due = next(iter(self._waiting.items()))
            left = due - timers.now
            if left > 0:
                self._timer = timers.call_later(left, self._look)
                return
            del self._waiting[client]
            client.expire()

    def heard(self, client: Client) -> None:
        """Its request's head has come, or none is expected any more."""
        self._waiting.pop(cast("Visitor", client), None)

    async def abort(self) -> None:
        """Cut off all clients, and wait until they are gone."""
        self.closed = True
        for client in [*self._clients]:
            client.abort()
        while self._clients:
            self._empty.clear()
            await self._empty.wait()


class Doors(Listener):
    """Open ports.

    uvloop and aiofastnet could accept by themselves. But when there are no more files, uvloop cuts
    clients off and tells nobody, and aiofastnet goes round in circles.

    :param make_client: a protocol for a client's transport
    :param lean: the option of that name
    """

    def __init__(
        self,
        gateway: Gateway,
        make_client: Callable[[], asyncio.BufferedProtocol],
        *,
        lean: bool = False,
    ) -> None:
        self._gateway = gateway
        self._make_client = make_client
        self._loop = asyncio.get_running_loop()
        self._seat = _seat(gateway, self._loop, lean=lean)
        # Those who are not in yet.
        self._arriving: dict[asyncio.Task[None], socket.socket] = {}
        self._sockets = gateway.sockets()
        self.addresses = tuple(address_of(bound) for bound in self._sockets)
        for bound in self._sockets:
            self._open(bound)

    def close(self) -> None:
        sockets, self._sockets = self._sockets, []
        for bound in sockets:
            self._loop.remove_reader(bound)
            bound.close()

    async def stop(self) -> None:
        """Close, and turn away those who are not in yet; but who has no more than a turn to wait is
        let in first. (uvloop, when it is cancelled there, tells his protocol that he came, and
        never that he went.)
        """
        self.close()
        if self._gateway.ssl_context is not None:
            for task in self._arriving:
                task.cancel()
        if self._arriving:
            await asyncio.wait([*self._arriving])

    def _open(self, bound: socket.socket) -> None:
        if bound in self._sockets:
            self._loop.add_reader(bound, self._accept, bound)

    def _accept(self, bound: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                accepted, _ = bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("no client is accepted for %g s: %s", REST_SECONDS, error)
                self._loop.remove_reader(bound)
                self._loop.call_later(REST_SECONDS, self._open, bound)
                return
            if self._seat is None:
                # What `connect_accepted_socket` does, without a task for each client.
                accepted.setblocking(False)
                _put_under(self._loop, accepted, self._make_client())
            else:
                task = self._loop.create_task(self._let_in(self._seat, accepted))
                self._arriving[task] = accepted
                task.add_done_callback(self._arrived)

    async def _let_in(self, seat: _Seat, accepted: socket.socket) -> None:
        try:
            await seat(self._make_client, accepted)
        except (OSError, ssl.CertificateError):
            accepted.close()  # no TLS, no common cipher, gone away, too slow
        except Exception:
            accepted.close()
            log.exception("exception while a client was let in")

    def _arrived(self, task: asyncio.Task[None]) -> None:
        accepted = self._arriving.pop(task)
        if task.cancelled():
            accepted.close()


def _seat(gateway: Gateway, loop: asyncio.AbstractEventLoop, *, lean: bool) -> _Seat | None:
    """How to get a transport that has to be waited for; `None` where there is no need to wait."""
    limits, context = gateway.limits, gateway.ssl_context
    if context is not None:
        return partial(
            aiofastnet.connect_accepted_socket,
            loop,
            ssl=context,
            ssl_handshake_timeout=limits.handshake_seconds,
            ssl_shutdown_timeout=limits.close_seconds,
            ssl_incoming_bio_size=TLS_BUFFER_BYTES,
            ssl_outgoing_bio_size=TLS_BUFFER_BYTES,
        )
    if lean and type(loop).__module__.partition(".")[0] == "uvloop":
        return loop.connect_accepted_socket
    return None
