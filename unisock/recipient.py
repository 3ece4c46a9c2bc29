"""The half of a Spark that sends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import anyio

from .abc import Connection, Dialect
from .config import Endpoint
from .errors import ConnectionClosed
from .handshake import Handshake
from .lane import Lane
from .limits import Limits, Overflow
from .messages import Close, Packet, Sent, Wire
from .pipeline import DROP, Pipeline

__all__ = ["Recipient"]


class Recipient(ABC):
    """The half of a Spark that sends: who the client is, and how to reach it.

    :ivar id: unique among the server's sparks and hard to guess
    :ivar connection: the message pipe beneath
    :ivar dialect: what is spoken on it; sparks with one dialect object share encoded messages
    :ivar pipeline: the compiled handlers of its endpoint
    """

    __slots__ = ("_outgoing", "_state", "connection", "dialect", "id", "pipeline")

    def __init__(
        self, id: str, connection: Connection, dialect: Dialect, pipeline: Pipeline
    ) -> None:
        self.id = id
        self.connection = connection
        self.dialect = dialect
        self.pipeline = pipeline
        self._state: dict[str, Any] | None = None
        self._outgoing: Lane | None = None

    @property
    def handshake(self) -> Handshake:
        """The request that opened the connection."""
        return self.connection.handshake

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that it came in by."""
        return self.pipeline.endpoint

    @property
    def limits(self) -> Limits:
        """The caps that hold for it."""
        return self.pipeline.limits

    @property
    def state(self) -> dict[str, Any]:
        """A place for the application to keep what it knows about this client."""
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def user(self) -> Any:
        """What the ``authorize`` handler returned; `None` without one."""
        return self.connection.handshake.user

    @property
    def transport(self) -> str:
        """How the session is carried at present: ``websocket``, ``xhr-streaming``, …"""
        return self.connection.handshake.transport

    @property
    def latency(self) -> float | None:
        """The last measured round trip in seconds; `None` before the first heartbeat."""
        return self.connection.latency

    @property
    def closed(self) -> Close | None:
        """How it ended; `None` while it lives."""
        return self.connection.closed

    def __repr__(self) -> str:
        state = "open" if self.closed is None else f"closed {self.closed.code}"
        return f"<Spark {self.id} {self.endpoint.path} {self.transport} {state}>"

    async def send(self, item: Any) -> None:
        """Send a payload; wait while the client is slow.

        Messages arrive in the order of the calls. Like `asyncio.StreamWriter`, it yields to other
        tasks only when it has to wait.

        :raises EncodeError: the payload has no form in the endpoint's codec
        :raises ConnectionClosed: the client is gone, or goes meanwhile
        """
        if self.pipeline.outgoing_async:
            outcome = _Outcome()
            self._outgoing_lane().add(self._send_transformed, (item, outcome))
            await outcome.wait()
            return
        if self.pipeline.outgoing:
            item = self.transform(item)
        if item is not DROP:
            await self._write(self.dialect.encode_data(item))

    def send_nowait(self, item: Any, overflow: Overflow | None = None) -> Sent:
        """Send a payload without ever waiting.

        :param overflow: what to do when the outbox is full; the endpoint's policy unless given
        :returns: `Sent.SENT`, `Sent.QUEUED` or `Sent.DROPPED`
        :raises EncodeError: the payload has no form in the endpoint's codec
        """
        if self.pipeline.outgoing_async:
            lane = self._outgoing_lane()
            if self.closed is not None or len(lane) >= self.pipeline.limits.outbox_messages:
                return Sent.DROPPED
            lane.add(self._send_transformed, (item, None))
            return Sent.QUEUED
        if self.pipeline.outgoing:
            item = self.transform(item)
            if item is DROP:
                return Sent.DROPPED
        return self.connection.write(self.dialect.encode_data(item), overflow)

    async def send_packet(self, packet: Packet) -> None:
        """Send a packet as it is, past the transforms; wait while the client is slow.

        :raises EncodeError: the dialect has no form for it
        :raises ConnectionClosed: the client is gone
        """
        await self._write(self.dialect.encode(packet))

    async def close(
        self, code: int = 1000, reason: str = "", *, reconnect: bool | None = None
    ) -> None:
        """Close the connection, and wait until it is closed. What was sent before goes first.

        :param code: RFC 6455 section 7.4; 3000–4999 are the application's
        :param reason: at most 123 bytes of UTF-8
        :param reconnect: whether the client should come back; by default the code says it, see
            `Close.come_back`
        :raises ValueError: the code cannot be sent, or the reason is too long
        """
        self.close_nowait(code, reason, reconnect=reconnect)
        await self.connection.wait_closed()

    def close_nowait(
        self, code: int = 1000, reason: str = "", *, reconnect: bool | None = None
    ) -> None:
        """Start to close the connection; see `close`."""
        self._say_goodbye(Close.checked(code, reason, reconnect))

    def _say_goodbye(self, close: Close) -> None:
        if self.closed is None:
            words = self.dialect.farewell(close)
            if words is not None:
                self.connection.write(words)
            self.connection.close(close)

    @abstractmethod
    def failed(self, error: Exception) -> Any:
        """An exception in the application's code for this client; an awaitable, or `None`."""

    async def _write(self, wire: Wire) -> None:
        connection = self.connection
        sent = connection.write(wire, Overflow.WAIT)
        while sent is not Sent.SENT:
            await connection.drain()
            if sent is Sent.QUEUED:
                return
            sent = connection.write(wire, Overflow.WAIT)

    def transform(self, item: Any) -> Any:
        """The payload after the outgoing transforms, all of them sync, or `DROP`."""
        for transform in self.pipeline.outgoing:
            item = transform(self, item)
            if item is DROP:
                break
        return item

    async def _send_transformed(self, job: tuple[Any, _Outcome | None]) -> None:
        item, outcome = job
        error: Exception | None = None
        try:
            item = await Pipeline.transform(self.pipeline.outgoing, self, item)
            if item is not DROP:
                await self._write(self.dialect.encode_data(item))
        except Exception as caught:
            error = caught
        if outcome is not None:
            outcome.set(error)
        elif error is not None and not isinstance(error, ConnectionClosed):
            raise error

    def _outgoing_lane(self) -> Lane:
        if self._outgoing is None:
            self._outgoing = Lane(self.pipeline.runtime, self.failed)
        return self._outgoing


class _Outcome:
    """How a send ended that another task carries out."""

    __slots__ = ("_done", "_error")

    def __init__(self) -> None:
        self._done = anyio.Event()
        self._error: Exception | None = None

    def set(self, error: Exception | None) -> None:
        self._error = error
        self._done.set()

    async def wait(self) -> None:
        await self._done.wait()
        if self._error is not None:
            raise self._error
