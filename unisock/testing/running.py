"""A server that runs for a test, and the clients that the test connects to it."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

import anyio
import sniffio
from anyio.abc import TaskGroup, TaskStatus

from ..errors import ConfigError
from ..gateway import ServerGateway
from ..handshake import Address, Headers
from ..hub import Hub
from ..memory import MemoryAdapter
from ..server import Server
from .download import Download, HttpConnection, MemoryDownload
from .peers import MemoryPeer, Peer
from .wire import Answer, Place

__all__ = ["Running", "serving", "start", "task_group"]

GOODBYE_SECONDS = 5.0


class Running:
    """A server that runs.

    :ivar server: the server
    :ivar addresses: where it listens
    :ivar gateway: the server as an adapter sees it, also after it has stopped
    :ivar stopped: set when `Server.serve` has returned
    """

    def __init__(
        self, server: Server, group: TaskGroup, trust: ssl.SSLContext | None = None
    ) -> None:
        self.server = server
        self.addresses: tuple[Address, ...] = ()
        self.stopped = anyio.Event()
        self.gateway: ServerGateway
        self._group = group
        self._scope = anyio.CancelScope()
        self._trust = trust
        self._peers: list[Peer] = []

    @property
    def hub(self) -> Hub:
        """The server's live sparks."""
        return self.server.hub

    @cached_property
    def place(self) -> Place:
        """Where clients reach it."""
        listen = self.server.settings.listen
        tls = None
        if listen.tls is not None:
            tls = self._trust or ssl.create_default_context(cafile=listen.tls.certificate)
        if listen.unix is not None:
            return Place(unix=listen.unix, tls=tls)
        host, port = self.addresses[0]
        return Place(host, port, tls=tls)

    @property
    def url(self) -> str:
        """``ws://127.0.0.1:54321`` or the like, for any WebSocket client; a path goes behind it.

        :raises ConfigError: it listens in memory or on a Unix socket, where no URL leads
        """
        return self._url("ws")

    @property
    def http_url(self) -> str:
        """The same with ``http``."""
        return self._url("http")

    @property
    def in_memory(self) -> bool:
        """Whether it listens in memory."""
        return isinstance(self.server.adapter, MemoryAdapter)

    async def connect(
        self,
        path: str | None = None,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
        kind: str | None = None,
    ) -> Peer:
        """A new client, of the kind that the endpoint wants. It is dropped when the server stops.

        :param path: path and query; the first endpoint's unless given
        :param kind: ``memory``, ``websocket`` or ``sockjs``, if not what the endpoint wants
        :raises Refused: the server did not accept it
        :raises OSError: nobody listens any more
        """
        if path is None:
            path = self.server.settings.endpoints[0].path
        pairs = [*headers.items()] if isinstance(headers, Mapping) else [*headers]
        kind = kind or self._kind(path)
        if kind == "memory":
            peer: Peer = await self._connect_in_memory(path, pairs, subprotocols)
        elif kind == "sockjs":
            from .sockjs import SockjsPeer

            peer = await SockjsPeer.connect(
                self.place, path, group=self._group, headers=pairs, subprotocols=subprotocols
            )
        elif kind == "websocket":
            from .websocket import WebSocketPeer

            peer = await WebSocketPeer.connect(
                self.place, path, group=self._group, headers=pairs, subprotocols=subprotocols
            )
        else:
            raise ValueError(f"kind is memory, websocket or sockjs, not {kind!r}")
        self._peers = [old for old in self._peers if old.closed is None]
        self._peers.append(peer)
        return peer

    async def request(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answer:
        """The answer to a plain HTTP request.

        :raises OSError: nobody listens any more
        """
        adapter = self.server.adapter
        if not isinstance(adapter, MemoryAdapter):
            return await self.place.request(target, method=method, headers=headers, body=body)
        try:
            answer = await adapter.request(target, method=method, headers=headers, body=body)
        except ConfigError as error:
            raise ConnectionRefusedError(str(error)) from None
        return Answer(answer.status, Headers(answer.headers), answer.body)

    async def stream(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Download:
        """The answer to a plain HTTP request, as soon as its head is there.

        :raises OSError: nobody listens any more
        """
        adapter = self.server.adapter
        if isinstance(adapter, MemoryAdapter):
            given = [("Host", self.authority), *headers]
            return MemoryDownload(
                await adapter.stream(target, method=method, headers=given, body=body)
            )
        connection = await HttpConnection.open(self.place)
        try:
            await connection.send(target, method=method, headers=headers, body=body)
            return await connection.response(method=method)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await connection.drop()
            raise

    async def serve(self, *, task_status: TaskStatus[None]) -> None:
        """Run the server until it is drained."""

        try:
            with self._scope:
                await self.server.serve(task_status=_Started(self, task_status))
        finally:
            self.stopped.set()

    def cancel(self) -> None:
        """Stop the server at once, without draining."""
        self._scope.cancel()

    async def stop(self) -> None:
        """Drop all clients, then drain the server.

        :raises TimeoutError: it does not stop
        """
        with anyio.fail_after(2 * GOODBYE_SECONDS):
            for peer in self._peers:
                await peer.drop()
            if not self.stopped.is_set():
                with contextlib.suppress(ConfigError):  # it stops by itself, right now
                    await self.server.drain(GOODBYE_SECONDS)
                await self.stopped.wait()

    async def _connect_in_memory(
        self, path: str, headers: list[tuple[str, str]], subprotocols: Sequence[str]
    ) -> Peer:
        adapter = self.server.adapter
        if not isinstance(adapter, MemoryAdapter):
            raise ValueError(f"the adapter '{adapter.name}' does not listen in memory")
        if subprotocols:
            headers.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
        try:
            return await MemoryPeer.connect(
                adapter, path, headers=[("Host", self.authority), *headers]
            )
        except ConfigError as error:
            raise ConnectionRefusedError(str(error)) from None

    @property
    def authority(self) -> str:
        """The ``Host`` that clients send: for a same-origin ``Origin`` header."""
        return "memory" if self.in_memory else self.place.authority

    def _kind(self, path: str) -> str:
        if self.in_memory:
            return "memory"
        path = path.partition("?")[0]
        own = self.server.adapter.capabilities.sessions
        for endpoint in self.server.settings.endpoints:
            if endpoint.path == path:
                return endpoint.protocol or (own[0] if own else "websocket")
        return "websocket"

    def _url(self, scheme: str) -> str:
        if self.in_memory or self.place.unix is not None:
            raise ConfigError("there is no URL for a server in memory or on a Unix socket")
        secure = "s" if self.place.tls is not None else ""
        return f"{scheme}{secure}://{self.place.authority}"


class _Started(TaskStatus[tuple[Address, ...]]):
    """Learns the addresses of a server from `Server.serve`."""

    def __init__(self, running: Running, task_status: TaskStatus[None]) -> None:
        self._running = running
        self._task_status = task_status

    def started(self, value: tuple[Address, ...] | None = None) -> None:
        self._running.addresses = value or ()
        self._running.gateway = self._running.server.gateway
        self._task_status.started()


async def start(
    server: Server,
    group: TaskGroup,
    *,
    trust: ssl.SSLContext | None = None,
    **settings: Any,
) -> Running:
    """Run a server in a task group: on this event loop, and on a free port unless told otherwise.

    :param trust: how clients check its certificate; by that certificate itself unless given
    :param settings: any field of `Settings`, above what the server has
    """
    listen = {"port": 0, **settings.pop("listen", {})}
    server.override(
        "the test",
        {"backend": sniffio.current_async_library(), "listen": listen, **settings},
    )
    running = Running(server, group, trust)
    await group.start(running.serve)
    return running


@asynccontextmanager
async def serving(
    server: Server, *, trust: ssl.SSLContext | None = None, **settings: Any
) -> AsyncGenerator[Running]:
    """Run a server while the block runs; see `start`."""
    async with task_group() as group:
        running = await start(server, group, trust=trust, **settings)
        try:
            yield running
            await running.stop()
        finally:
            group.cancel_scope.cancel()


@asynccontextmanager
async def task_group() -> AsyncGenerator[TaskGroup]:
    """A task group whose single error comes out as itself: a failed assertion stays readable."""
    try:
        async with anyio.create_task_group() as group:
            yield group
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) != 1:
            raise
        raise errors.exceptions[0] from None
