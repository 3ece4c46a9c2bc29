"""The in-process adapter: the reference for other adapters, and everybody's test double.

There is no socket: `MemoryAdapter.connect` gives the client's end of a connection whose other end
is a spark of the server. All else is as in production: admission, limits, slow readers, closing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio
from anyio.abc import TaskStatus

from .abc import Adapter, Gateway, Listener, Upgrade
from .capabilities import Capabilities
from .connection import LOST, BufferedConnection
from .errors import ConfigError, HandshakeRejected
from .exchange import Body, Reader, Request, Response, Streamed
from .framing import TEXT_AND_BINARY
from .handshake import Address, Handshake
from .messages import Close, Message, Origin

__all__ = ["MemoryAdapter", "MemoryDownload", "MemoryPeer", "Refused"]

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
        backends=("asyncio", "trio"),
        websocket=True,
        http=True,
        fragments=False,
        tls=False,
        unix=False,
    )

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__(options)
        self._gateway: Gateway | None = None
        self._listener = _MemoryListener()
        self._exchanges: set[Callable[[], None]] = set()

    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        self._gateway = gateway
        self._listener = _MemoryListener()
        task_status.started(self._listener)
        try:
            await anyio.sleep_forever()
        finally:
            self._gateway = None
            for give_up in [*self._exchanges]:
                give_up()

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
        body: bytes = b"",
    ) -> Response:
        """The whole answer to a plain HTTP request. To cancel it is to go away.

        :raises ConfigError: the server does not run, or listens no more
        :raises ConnectionLost: the server cut a streamed answer
        """
        answer = await self._exchange(target, method, headers, peer, body)
        if isinstance(answer, Streamed):
            download = MemoryDownload(answer, self._exchanges)
            try:
                pieces = [piece async for piece in download]
            finally:
                download.drop()
            return Response(answer.status, b"".join(pieces), answer.headers)
        headers = (*answer.headers, ("Content-Length", str(len(answer.body))))
        return Response(answer.status, b"" if method == "HEAD" else answer.body, headers)

    async def stream(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        peer: Address = Address("127.0.0.1", 1),  # noqa: B008 - a frozen value
        body: bytes = b"",
    ) -> MemoryDownload:
        """The answer to a plain HTTP request, chunk by chunk.

        :raises ConfigError: the server does not run, or listens no more
        """
        answer = await self._exchange(target, method, headers, peer, body)
        return MemoryDownload(answer, self._exchanges)

    async def _exchange(
        self,
        target: str,
        method: str,
        headers: Sequence[tuple[str, str]],
        peer: Address,
        body: bytes,
    ) -> Response:
        handshake = Handshake(target=target, method=method, headers=headers, peer=peer)
        pieces = deque([body] if body else [])

        async def receive() -> bytes:
            await anyio.lowlevel.checkpoint()
            return pieces.popleft() if pieces else b""

        with anyio.CancelScope() as scope:
            self._exchanges.add(scope.cancel)
            try:
                # A large body comes bit by bit, as from a socket.
                whole = body if len(body) <= HIGH_WATER else None
                answer = await self._ask(
                    Request(handshake, upgrade=False, receive=receive, whole=whole)
                )
            finally:
                self._exchanges.discard(scope.cancel)
            assert isinstance(answer, Response)
            return answer
        raise LOST.error()

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


class MemoryDownload(Body):
    """A client that reads a response chunk by chunk.

    :ivar status: the HTTP status
    :ivar headers: the headers
    :ivar ended: whether the body is whole
    """

    def __init__(self, response: Response, exchanges: set[Callable[[], None]]) -> None:
        self.status = response.status
        self.headers = response.headers
        self._exchanges = exchanges
        self.ended = False
        self._over = False
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._full = False
        self._arrival = anyio.Event()
        self._reader: Reader | None = None
        if isinstance(response, Streamed):
            exchanges.add(self.drop)
            self._reader = response.start(self)
            if self._over:
                exchanges.discard(self.drop)
            if self._size >= HIGH_WATER and not self._over:
                self._full = True
                self._reader.congested()
        else:
            self.write(b"" if response.status in (204, 304) else response.body)
            self.end()

    async def receive(self) -> bytes:
        """The next chunk; ``b""`` at the end.

        :raises ConnectionLost: the server cut the body off
        """
        while not self._chunks:
            if self._over:
                if self.ended:
                    return b""
                raise LOST.error()
            await self._arrival.wait()
        chunk = self._chunks.popleft()
        self._size -= len(chunk)
        if self._full and self._size < HIGH_WATER // 4 and not self._over:
            self._full = False
            assert self._reader is not None
            self._reader.relieved()
        return chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.receive():
            yield chunk

    def drop(self) -> None:
        """Go away."""
        if not self._over:
            self.cut()
            if self._reader is not None:
                self._reader.gone()

    # Called by who answers.

    def write(self, chunk: bytes) -> None:
        if self._over or not chunk:
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._wake()
        if self._size >= HIGH_WATER and not self._full and self._reader is not None:
            self._full = True
            self._reader.congested()

    def end(self) -> None:
        self.ended = self.ended or not self._over
        self.cut()

    def cut(self) -> None:
        self._over = True
        self._exchanges.discard(self.drop)
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
