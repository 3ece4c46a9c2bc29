"""The client's end of a connection, raw: no reconnecting, no dialect, every fault at hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

import anyio
import msgspec

from ..handshake import Address, Headers
from ..memory import MemoryAdapter
from ..memory import MemoryPeer as MemoryEnd
from ..memory import Refused as RefusedInMemory
from ..messages import Close, Message

__all__ = ["HIGH_WATER", "BufferedPeer", "MemoryPeer", "Peer", "Refused"]

HIGH_WATER = 65_536
"""Characters or bytes that a peer holds for `Peer.receive`; beyond it, it reads no more."""


class Refused(Exception):
    """The server turned the client away.

    :ivar status: the HTTP status; 0 where the session was refused after it was accepted at HTTP
        level, or cut without an answer
    :ivar headers: the response's headers
    :ivar body: the response's body
    :ivar close: how a session ended that was refused after it was accepted; else `None`
    """

    def __init__(
        self, status: int, headers: Headers, body: bytes = b"", close: Close | None = None
    ) -> None:
        super().__init__(f"{status or close} {body.decode(errors='replace')}".rstrip())
        self.status = status
        self.headers = headers
        self.body = body
        self.close = close

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class Peer(ABC):
    """A connected client. As a context manager, it drops the connection at the end.

    It reads in the background, answers pings, and holds what arrives for `receive`: but no more
    than `HIGH_WATER`. A test that does not `receive` is a slow reader.

    :cvar wire: it speaks RFC 6455 over a byte stream, so it can break that protocol's rules
    :cvar binary: it can send `bytes`
    :ivar subprotocol: the subprotocol agreed on, or ``""``
    """

    wire: ClassVar[bool] = False
    binary: ClassVar[bool] = True

    def __init__(self) -> None:
        self.subprotocol = ""

    @property
    @abstractmethod
    def closed(self) -> Close | None:
        """How the connection ended; `None` while it lives."""

    @abstractmethod
    async def send(self, message: Message) -> None:
        """Send a message; waits while the server does not read.

        :raises ConnectionClosed: the connection is closed
        """

    @abstractmethod
    async def receive(self) -> Message:
        """The next message.

        :raises ConnectionClosed: the connection is closed and everything was read
        """

    @abstractmethod
    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in good order, and wait for the end.

        :param code: 1005 sends a close frame without a code
        """

    @abstractmethod
    async def drop(self) -> None:
        """Vanish without a word, as a pulled cable would look to the server, only sooner."""

    @abstractmethod
    async def wait_closed(self) -> Close:
        """Wait until the connection has ended, and tell how; messages can be received still."""

    @abstractmethod
    def play_dead(self) -> None:
        """Answer no more pings."""

    @abstractmethod
    def stop_reading(self) -> None:
        """Read no more, whatever comes: a slow reader at once."""

    @abstractmethod
    def read_on(self) -> None:
        """Read again after `stop_reading`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.drop()


class BufferedPeer(Peer):
    """A peer whose reader task puts messages here, for `receive`."""

    def __init__(self) -> None:
        super().__init__()
        self.answers_pings = True
        self._closed: Close | None = None
        self._unread: deque[Message] = deque()
        self._size = 0
        self._changed = anyio.Event()
        self._stopped = False
        self._hurrying = False

    @property
    def closed(self) -> Close | None:
        return self._closed

    async def receive(self) -> Message:
        while not self._unread:
            if self.closed is not None:
                raise self.closed.error()
            await self.changed()
        message = self._unread.popleft()
        self._size -= len(message)
        self.wake()
        return message

    async def wait_closed(self) -> Close:
        self._hurrying = True
        self.wake()
        while self.closed is None:
            await self.changed()
        return self.closed

    def play_dead(self) -> None:
        self.answers_pings = False

    def stop_reading(self) -> None:
        self._stopped = True

    def read_on(self) -> None:
        self._stopped = False
        self.wake()

    async def changed(self) -> None:
        """Wait for the next change: a message, the end, a wish to read."""
        await self._changed.wait()

    async def until_readable(self) -> None:
        """Wait while this peer does not want to read."""
        while self._stopped or (self._size >= HIGH_WATER and not self._hurrying):
            await self.changed()

    def deliver(self, message: Message) -> None:
        """A message has arrived."""
        self._unread.append(message)
        self._size += len(message)
        self.wake()

    def finish(self, close: Close) -> None:
        """The connection has ended."""
        if self._closed is None:
            self._closed = close
            self.wake()

    def wake(self) -> None:
        """Have whoever waits for a change look again."""
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


class MemoryPeer(Peer):
    """A client of the memory adapter."""

    def __init__(self, end: MemoryEnd) -> None:
        super().__init__()
        self._end = end
        self.subprotocol = end.handshake.subprotocol

    @classmethod
    async def connect(
        cls,
        adapter: MemoryAdapter,
        target: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        address: str = "127.0.0.1",
    ) -> MemoryPeer:
        """A new client.

        :raises Refused: the server did not accept it
        :raises ConfigError: nobody listens
        """
        try:
            end = await adapter.connect(target, headers=headers, peer=Address(address, 1))
        except RefusedInMemory as refusal:
            answer = refusal.response
            raise Refused(answer.status, Headers(answer.headers), answer.body) from None
        return cls(end)

    @property
    def closed(self) -> Close | None:
        return self._end.closed

    async def send(self, message: Message) -> None:
        await self._end.send(message)

    async def receive(self) -> Message:
        return await self._end.receive()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._end.close(code, reason)

    async def drop(self) -> None:
        self._end.drop()

    async def wait_closed(self) -> Close:
        return await self._end.wait_closed()

    def play_dead(self) -> None:
        self._end.answers_pings = False

    def stop_reading(self) -> None:
        """Nothing to do: in memory, reading is receiving."""

    def read_on(self) -> None:
        """Nothing to do."""
