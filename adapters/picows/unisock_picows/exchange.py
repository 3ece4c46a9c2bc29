"""One request and its answer."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Sequence

import anyio

from unisock.abc import Gateway, Upgrade
from unisock.exchange import Body, Held, Reader, Request, Response, Streamed
from unisock.handshake import Handshake

from .responses import CONTINUE, LAST_CHUNK, as_chunk, head

__all__ = ["Exchange", "Line"]

HIGH_WATER = 65_536
"""Bytes of a request's body that may wait for who reads it, before reading stops."""

_CHUNKED = ("Transfer-Encoding", "chunked")

log = logging.getLogger("unisock")


class Line(ABC):
    """The HTTP connection, as its exchange sees it. None of these raises."""

    __slots__ = ()

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send."""

    @abstractmethod
    def pause_reading(self) -> None:
        """Read no more, so that the client feels it."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Read again."""

    @abstractmethod
    def abort(self) -> None:
        """Cut the connection."""

    @abstractmethod
    def upgrade(self, upgrade: Upgrade) -> None:
        """Make it a WebSocket.

        :raises ValueError: a header has no form in HTTP
        """

    @property
    @abstractmethod
    def crowded(self) -> bool:
        """Whether the client sent more than its request, so that the connection cannot go on."""

    @abstractmethod
    def answered(self, *, keep_alive: bool) -> None:
        """The answer is written, to its end."""


class Exchange(Body):
    """One request and its answer; while that is streamed, its open body.

    :param version: of HTTP: ``1.0`` or ``1.1``
    :param keep_alive: whether the client wants to use the connection again
    :param upgrade: whether it asks for a WebSocket, in good order
    """

    __slots__ = (
        "_chunked",
        "_complete",
        "_cut",
        "_expects",
        "_gone",
        "_held",
        "_keep_alive",
        "_line",
        "_parts",
        "_paused",
        "_pieces",
        "_reader",
        "_scope",
        "_streaming",
        "_upgrade",
        "_version",
        "_waiter",
        "_waiting",
        "handshake",
    )

    def __init__(
        self, line: Line, handshake: Handshake, version: str, *, keep_alive: bool, upgrade: bool
    ) -> None:
        self.handshake = handshake
        self._line = line
        self._version = version
        self._keep_alive = keep_alive
        self._upgrade = upgrade
        self._scope: anyio.CancelScope | None = None
        self._gone = False
        # The answer that waits for something to say.
        self._held: Held | None = None
        # The request's body: what has come of it, and whether that was all.
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._complete = False
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        expect = handshake.headers.get("expect", "")
        self._expects = version == "1.1" and expect.lower() == "100-continue"
        # The streamed answer.
        self._streaming = False
        self._chunked = False
        self._cut = False
        self._reader: Reader | None = None
        # What is written before the reader is known goes out in one write.
        self._parts: list[bytes] | None = None

    # From the connection.

    def feed(self, piece: bytes) -> None:
        """A piece of the request's body."""
        self._expects = False
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting > HIGH_WATER and not self._paused:
            self._paused = True
            self._line.pause_reading()
        self._wake()

    def complete(self) -> None:
        """The request has come to its end."""
        self._expects = False
        self._complete = True
        if self._paused:  # nothing more of it is to come, and it may be taken in one piece
            self._paused = False
            self._line.resume_reading()
        self._wake()

    def congested(self) -> None:
        """The connection's buffer is full."""
        if self._reader is not None:
            self._reader.congested()

    def relieved(self) -> None:
        """The connection's buffer has room again."""
        if self._reader is not None:
            self._reader.relieved()

    def gone(self) -> None:
        """The connection is lost, or nothing more can be read from it."""
        self._gone = True
        if self._scope is not None:
            self._scope.cancel()
        self._streaming = False
        self._pieces.clear()
        held, self._held = self._held, None
        if held is not None:
            held.gone()
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.gone()

    @property
    def begun(self) -> bool:
        """Whether some of the answer is written."""
        return self._streaming

    # The answer.

    def answer(self, gateway: Gateway) -> None:
        """Ask the gateway, and write what it says: at once, if it answers at once."""
        whole = b"".join(self._pieces) if self._complete else None
        request = Request(self.handshake, upgrade=self._upgrade, receive=self._receive, whole=whole)
        answer = gateway.respond(request)
        if isinstance(answer, (Response, Upgrade)):
            self._reply(answer)
        elif isinstance(answer, Held):
            self._held = answer
            answer.wait(self._on_ready)
        else:
            gateway.runtime.spawn(self._wait_for, answer)

    async def _wait_for(self, coming: Awaitable[Response | Upgrade]) -> None:
        answer: Response | Upgrade | None = None
        with anyio.CancelScope() as self._scope:
            if self._gone:
                self._scope.cancel()
            answer = await coming
        if isinstance(answer, Streamed) and self._gone:
            answer.start(self).gone()
        if answer is not None and not self._gone:
            self._reply(answer)

    def _on_ready(self) -> None:
        asyncio.get_running_loop().call_soon(self._release)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._reply(held.response())

    def _reply(self, answer: Response | Upgrade) -> None:
        try:
            self._write_answer(answer)
        except ValueError:
            log.exception("%r: a response has a header that HTTP does not allow", self.handshake)
            self._write_answer(Response.text(500, "Internal server error."))

    def _write_answer(self, answer: Response | Upgrade) -> None:
        if isinstance(answer, Upgrade):
            self._line.upgrade(answer)
        elif isinstance(answer, Streamed):
            self._stream(answer)
        else:
            body = answer.body
            if answer.status in (204, 304):  # no body, and no length (RFC 9110 section 8.6)
                self._line.write(self._head(answer.status, answer.headers))
            else:
                head = self._head(answer.status, answer.headers, len(body))
                self._line.write(head if self.handshake.method == "HEAD" else head + body)
            self._line.answered(keep_alive=self._keep_alive)

    def _stream(self, answer: Streamed) -> None:
        bodiless = self.handshake.method == "HEAD" or answer.status in (204, 304)
        self._chunked = self._version == "1.1" and not bodiless
        if not (self._chunked or bodiless):
            self._keep_alive = False
        headers = (*answer.headers, _CHUNKED) if self._chunked else answer.headers
        self._parts = [self._head(answer.status, headers)]
        self._streaming = not bodiless
        reader = answer.start(self)
        parts, self._parts = self._parts, None
        if self._cut:
            self._line.abort()
            return
        if self._streaming:
            self._reader = reader
        elif bodiless:
            reader.gone()
        ended = not self._streaming
        self._line.write(b"".join(parts))
        if ended:
            self._line.answered(keep_alive=self._keep_alive)

    def _head(
        self, status: int, headers: Sequence[tuple[str, str]], length: int | None = None
    ) -> bytes:
        self._keep_alive = self._keep_alive and self._complete and not self._line.crowded
        words: tuple[str, ...] = ()
        if not self._keep_alive:
            words = ("close",)
        elif self._version == "1.0":
            words = ("keep-alive",)
        return head(status, headers, *words, length=length)

    # The open body of a streamed answer.

    def write(self, chunk: bytes) -> None:
        if self._streaming and chunk:
            self._send(as_chunk(chunk) if self._chunked else chunk)

    def end(self) -> None:
        if not self._streaming:
            return
        if self._chunked:
            self._send(LAST_CHUNK)
        self._streaming = False
        self._reader = None
        if self._parts is None:
            self._line.answered(keep_alive=self._keep_alive)

    def cut(self) -> None:
        if not self._streaming:
            return
        self._streaming = False
        self._reader = None
        self._cut = True
        if self._parts is None:
            self._line.abort()

    def _send(self, data: bytes) -> None:
        if self._parts is None:
            self._line.write(data)
        else:
            self._parts.append(data)

    # The request's body.

    async def _receive(self) -> bytes:
        if self._expects:
            self._expects = False
            self._line.write(CONTINUE)
        while not self._pieces:
            if self._complete:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        piece = self._pieces.popleft()
        self._waiting -= len(piece)
        if self._paused and self._waiting <= HIGH_WATER:
            self._paused = False
            self._line.resume_reading()
        return piece

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
