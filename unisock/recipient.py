"""The half of a Spark that sends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Generator
from types import CoroutineType
from typing import Any, cast

import anyio

from .abc import Connection, Encoder
from .config import Endpoint
from .errors import ConnectionClosed
from .handshake import Handshake
from .lane import Lane
from .limits import Limits, Overflow
from .messages import Close, Packet, Sent, Wire, printable
from .pipeline import DROP, Pipeline

__all__ = ["DONE", "Recipient"]

# To read a member of an enum from its class costs as much as to write a message.
_SENT, _WAIT = Sent.SENT, Overflow.WAIT


class Recipient(ABC):
    """The half of a Spark that sends: who the client is, and how to reach it.

    :ivar id: unique among the server's sparks and hard to guess
    :ivar connection: the message pipe beneath
    :ivar encoder: what is spoken on it; sparks with the same one share encoded messages
    :ivar pipeline: the compiled handlers of its endpoint
    """

    __slots__ = ("_outgoing", "_state", "connection", "encoder", "id", "pipeline")

    def __init__(
        self, id: str, connection: Connection, encoder: Encoder, pipeline: Pipeline
    ) -> None:
        self.id = id
        self.connection = connection
        self.encoder = encoder
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
        return self.connection.user

    @property
    def channel(self) -> str:
        """The name of the channel that it is on; ``""`` for a connection of its own."""
        return self.connection.channel

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
        where = f"{self.endpoint.path} {printable(self.channel)}".rstrip()
        return f"<Spark {self.id} {where} {self.transport} {state}>"

    def send(self, item: Any) -> CoroutineType[Any, Any, None]:
        """Send a payload; await the result, which waits while the client is slow.

        Messages arrive in the order of the calls; only tasks that all wait for a full outbox may
        overtake one another. The payload is encoded and handed over at once;
        like `asyncio.StreamWriter`, awaiting yields to other tasks only if there is a need to wait.
        So a plain ``def`` handler can end with ``return spark.send(reply)``: it costs no task, and
        still nothing more is read from a client that does not take its replies.

        :raises EncodeError: the payload has no form in the endpoint's codec
        :raises ConnectionClosed: the client is gone, or goes meanwhile
        """
        if self.pipeline.outgoing:
            if self.pipeline.outgoing_async:
                outcome = _Outcome()
                self._outgoing_lane().add(self._send_transformed, item, outcome)
                return _coroutine(outcome.wait())
            item = self.transform(item)
            if item is DROP:
                return DONE
        wire = self.encoder.encode_data(item)
        sent = self.connection.write(wire, _WAIT)
        if sent is _SENT:
            return DONE
        return _coroutine(self._wait(wire, sent))

    def send_nowait(self, item: Any, overflow: Overflow | None = None) -> Sent:
        """Send a payload without ever waiting.

        :param overflow: what to do when the outbox is full; the endpoint's policy unless given
        :returns: `Sent.SENT`, `Sent.QUEUED` or `Sent.DROPPED`
        :raises EncodeError: the payload has no form in the endpoint's codec
        """
        if self.pipeline.outgoing:
            if self.pipeline.outgoing_async:
                lane = self._outgoing_lane()
                if self.closed is not None or len(lane) >= self.pipeline.limits.outbox_messages:
                    self.pipeline.dropped(1)
                    return Sent.DROPPED
                lane.add(self._send_transformed, item, None)
                return Sent.QUEUED
            item = self.transform(item)
            if item is DROP:
                return Sent.DROPPED
        return self.connection.write(self.encoder.encode_data(item), overflow)

    async def send_packet(self, packet: Packet) -> None:
        """Send a packet as it is, past the transforms; wait while the client is slow.

        :raises EncodeError: the encoder has no form for it
        :raises ConnectionClosed: the client is gone
        """
        wire = self.encoder.encode(packet)
        await self._wait(wire, self.connection.write(wire, _WAIT))

    def send_packet_nowait(self, packet: Packet, overflow: Overflow | None = None) -> Sent:
        """Send a packet as it is, past the transforms, without ever waiting.

        :raises EncodeError: the encoder has no form for it
        """
        return self.connection.write(self.encoder.encode(packet), overflow)

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
            words = self.encoder.farewell(close)
            if words is not None:
                self.connection.write(words)
            self.connection.close(close)

    @abstractmethod
    def failed(self, error: Exception) -> Any:
        """An exception in the application's code for this client; an awaitable, or `None`."""

    async def _wait(self, wire: Wire, sent: Sent) -> None:
        """Wait until a wire is in the driver's hands that the outbox took, or did not."""
        connection = self.connection
        while sent is not _SENT:
            await connection.drain()
            if sent is Sent.QUEUED:
                return
            sent = connection.write(wire, _WAIT)

    def transform(self, item: Any) -> Any:
        """The payload after the outgoing transforms, all of them sync, or `DROP`."""
        for transform in self.pipeline.outgoing:
            item = transform(self, item)
            if item is DROP:
                break
        return item

    async def _send_transformed(self, item: Any, outcome: _Outcome | None) -> None:
        error: Exception | None = None
        try:
            item = await Pipeline.transform(self.pipeline.outgoing, self, item)
            if item is not DROP:
                wire = self.encoder.encode_data(item)
                await self._wait(wire, self.connection.write(wire, _WAIT))
        except Exception as caught:
            error = caught
        if outcome is not None:
            outcome.set(error)
        elif error is not None and not isinstance(error, ConnectionClosed):
            raise error

    def _outgoing_lane(self) -> Lane:
        if self._outgoing is None:
            self._outgoing = Lane(self.pipeline.runtime.spawn_light, self.failed)
        return self._outgoing


_ENDED = cast("Generator[Any, Any, None]", iter(()))


class _Done(Coroutine[Any, Any, None]):
    """A coroutine that has ended already: what `Recipient.send` gives when there was no wait."""

    __slots__ = ()

    def send(self, value: Any) -> Any:
        raise StopIteration

    def throw(self, *error: Any) -> Any:
        raise error[0]

    def close(self) -> None:
        """There is nothing to close."""

    def __await__(self) -> Generator[Any, Any, None]:
        return _ENDED


DONE = cast("CoroutineType[Any, Any, None]", _Done())


def _coroutine(waiting: Coroutine[Any, Any, None]) -> CoroutineType[Any, Any, None]:
    # What `async def` gives is a CoroutineType to one type checker and a Coroutine to another.
    return cast("CoroutineType[Any, Any, None]", waiting)


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
