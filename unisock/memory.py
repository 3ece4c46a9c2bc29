"""The in-process adapter: the reference for other adapters, and everybody's test double.

There is no socket: `MemoryAdapter.connect` gives the client's end of a connection whose other end
is a spark of the server. All else is as in production: admission, limits, slow readers, closing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import anyio
from anyio.abc import TaskStatus

from .abc import Adapter, Gateway, Listener, Upgrade
from .capabilities import Capabilities
from .connection import LOST, BufferedConnection
from .errors import ConfigError, HandshakeRejected
from .exchange import Request, Response
from .framing import TEXT_AND_BINARY
from .handshake import Address, Handshake
from .messages import Close, Message, Origin

__all__ = ["MemoryAdapter", "MemoryPeer", "Refused"]

HIGH_WATER = 65_536
"""Bytes that the client may leave unread before the server notices."""


class Refused(HandshakeRejected):
    """The server answered with a plain HTTP response.

    :ivar response: the answer
    """

    def __init__(self, response: Response) -> None:
        super().__init__(response.body.decode(), status=max(400, response.status))
        self.response = response


class MemoryAdapter(Adapter):
    """Serves connections within the process."""

    name = "memory"
    capabilities = Capabilities(
        backends=("asyncio", "trio"), websocket=True, fragments=False, tls=False, unix=False
    )

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__(options)
        self._gateway: Gateway | None = None
        self._listener = _MemoryListener()

    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        self._gateway = gateway
        self._listener = _MemoryListener()
        task_status.started(self._listener)
        try:
            await anyio.sleep_forever()
        finally:
            self._gateway = None

    async def connect(
        self,
        target: str = "/ws",
        *,
        headers: Sequence[tuple[str, str]] = (),
        peer: Address = Address("127.0.0.1", 1),  # noqa: B008 - a frozen value
    ) -> MemoryPeer:
        """The client's end of a new connection.

        :param target: path and query
        :raises Refused: the server did not accept the WebSocket
        :raises ConfigError: the server does not run, or listens no more
        """
        handshake = Handshake(target=target, headers=headers, peer=peer)
        answer = await self._ask(Request(handshake, upgrade=True))
        if isinstance(answer, Response):
            raise Refused(answer)
        return MemoryPeer(answer)

    async def request(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        peer: Address = Address("127.0.0.1", 1),  # noqa: B008 - a frozen value
    ) -> Response:
        """The answer to a plain HTTP request without a body.

        :raises ConfigError: the server does not run, or listens no more
        """
        handshake = Handshake(target=target, method=method, headers=headers, peer=peer)
        answer = await self._ask(Request(handshake, upgrade=False))
        assert isinstance(answer, Response)
        headers = (*answer.headers, ("Content-Length", str(len(answer.body))))
        return Response(answer.status, b"" if method == "HEAD" else answer.body, headers)

    async def _ask(self, request: Request) -> Response | Upgrade:
        if self._gateway is None or self._listener.closed:
            raise ConfigError("no server listens in memory")
        return await self._gateway.answer(request)


class MemoryPeer:
    """The client's end of a connection in memory.

    :ivar handshake: what the server saw
    :ivar closed: how the connection ended; `None` while it lives
    :ivar answers_pings: whether heartbeats are answered
    """

    def __init__(self, upgrade: Upgrade) -> None:
        self.handshake = upgrade.handshake
        self.closed: Close | None = None
        self.answers_pings = True
        self._unread: deque[Message] = deque()
        self._size = 0
        self._arrival = anyio.Event()
        self._connection = _MemoryConnection(upgrade, self)
        upgrade.open(self._connection)

    async def send(self, message: Message) -> None:
        """Send a message; waits while the server does not read.

        :raises ConnectionClosed: the connection is closed
        """
        await anyio.lowlevel.checkpoint()
        while self.closed is None and self._connection.paused is not None:
            await self._connection.paused.wait()
        if self.closed is not None:
            raise self.closed.error()
        self._connection.arrived(message)

    async def receive(self) -> Message:
        """The next message.

        :raises ConnectionClosed: the connection is closed and everything was read
        """
        while not self._unread:
            if self.closed is not None:
                raise self.closed.error()
            await self._arrival.wait()
        message = self._unread.popleft()
        self._size -= len(message)
        if self._size < HIGH_WATER // 4:
            self._connection.relieved()
        return message

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in good order."""
        await anyio.lowlevel.checkpoint()
        self._connection.ended(Close(code, reason, origin=Origin.PEER))

    async def wait_closed(self) -> Close:
        """Wait for the end; what arrived before it can be received still."""
        while self.closed is None:
            await self._arrival.wait()
        return self.closed

    def drop(self) -> None:
        """Vanish without a word."""
        self._connection.ended(LOST)

    # Called by the connection.

    def deliver(self, message: Message) -> bool:
        """Take a message from the server; returns whether the buffer is full now."""
        self._unread.append(message)
        self._size += len(message)
        self._wake()
        return self._size >= HIGH_WATER

    def finish(self, close: Close) -> None:
        """Learn that the connection is closed."""
        self.closed = close
        self._wake()

    def _wake(self) -> None:
        arrival, self._arrival = self._arrival, anyio.Event()
        arrival.set()


class _MemoryListener(Listener):
    addresses = (Address("memory"),)

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class _MemoryConnection(BufferedConnection):
    """The server's end."""

    __slots__ = ("_peer", "paused")

    pings = True

    def __init__(self, upgrade: Upgrade, peer: MemoryPeer) -> None:
        super().__init__(upgrade.gate, upgrade.handshake, TEXT_AND_BINARY)
        self._peer = peer
        self.paused: anyio.Event | None = None

    def arrived(self, message: Message) -> None:
        limit = self.gate.limits.message_bytes
        size = len(message) if isinstance(message, bytes) else len(message.encode())
        self.heard = True
        if size > limit:
            self.close(Close(1009, f"over the limit message_bytes = {limit}"))
        else:
            self.receiver.on_message(message)

    def transmit(self, frame: Message) -> None:
        if self._peer.deliver(frame):
            self.congested()

    def shut(self, close: Close) -> None:
        self._end(Close(close.code, close.reason, origin=Origin.PEER))

    def abort(self) -> None:
        self._end(LOST)

    def ended(self, close: Close) -> None:
        if self.closed is None:
            self._end(Close(close.code, close.reason), close)

    def ping(self) -> None:
        if self._peer.answers_pings:
            self.ponged()

    def pause_reading(self) -> None:
        if self.paused is None:
            self.paused = anyio.Event()

    def resume_reading(self) -> None:
        paused, self.paused = self.paused, None
        if paused is not None:
            paused.set()

    def _end(self, seen_by_peer: Close, seen_here: Close = LOST) -> None:
        if self._peer.closed is None:
            self._peer.finish(seen_by_peer)
        self.resume_reading()
        super().ended(seen_here)
