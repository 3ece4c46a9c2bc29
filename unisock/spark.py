"""One client, as the application sees it."""

from __future__ import annotations

import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Mapping
from typing import Any

import anyio
from anyio.abc import ByteStream, ObjectStream

from .abc import Connection, Encoder, Opener, Party
from .audience import Combining
from .bytestream import MessageByteStream
from .errors import ConnectionClosed, UnisockError
from .lane import Lane
from .messages import Close, Packet, printable
from .pipeline import Pipeline, awaited
from .recipient import DONE, Recipient

__all__ = ["Spark"]

log = logging.getLogger("unisock")


class Spark(Recipient, Combining, Party, ObjectStream[Any]):
    """One client: send to it, hear from it, close it.

    It is an `anyio.abc.ObjectStream` of decoded payloads.

    :ivar opener: begins channels on its connection; `None` where its dialect has none
    """

    __slots__ = ("_arrival", "_inbox", "_lane", "_paused", "opener")

    def __init__(
        self,
        id: str,
        connection: Connection,
        encoder: Encoder,
        pipeline: Pipeline,
        *,
        opener: Opener | None = None,
    ) -> None:
        super().__init__(id, connection, encoder, pipeline)
        self.opener = opener
        self._lane: Lane | None = None
        self._inbox: deque[Any] | None = deque() if pipeline.inbox else None
        self._arrival: anyio.Event | None = None
        self._paused = False

    # Receiving, where a session or a client reads.

    async def receive(self) -> Any:
        """The next payload.

        :raises ClosedByPeer: the client closed, and all it had sent was received
        :raises ConnectionLost: the connection broke, and all that had arrived was received
        :raises ClosedLocally: this side closed
        """
        inbox = self._inbox
        if inbox is None:
            raise UnisockError(
                f"messages of {self.endpoint.path} go to its on_message handler; receive() and "
                "`async for` belong in a session: @server.session"
            )
        while not inbox:
            # What is in the lane has arrived, and is on its way through async transforms.
            if self.closed is not None and self._lane is None:
                raise self.closed.error()
            if self._arrival is None:
                self._arrival = anyio.Event()
            await self._arrival.wait()
        item = inbox.popleft()
        self._relieve()
        return item

    def arrive(self, payload: Any) -> None:
        """Put a payload into the inbox that `receive` reads."""
        inbox = self._inbox
        if inbox is None:
            return
        inbox.append(payload)
        self._arrived()
        self._hold_back()

    def _arrived(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.set()

    async def aclose(self) -> None:
        """`close`, as anyio's streams call it."""
        await self.close()

    async def send_eof(self) -> None:
        """A connection has no half-closed state: the same as `aclose`."""
        await self.close()

    def as_byte_stream(self, encoding: str = "utf-8") -> ByteStream:
        """This connection as a pipe of bytes, for whatever speaks `anyio.abc.ByteStream`.

        :param encoding: of text messages, for sessions or codecs that carry no binary ones
        :raises UnisockError: the endpoint has no session, or its codec is not ``raw`` or ``text``
        """
        codec = self.encoder.codec.name
        if self._inbox is None or codec not in ("raw", "text"):
            raise UnisockError(
                "a byte stream needs a session and the raw or text codec; "
                f"{self.endpoint.path} has the codec {codec}"
                + ("" if self._inbox is not None else " and no session")
            )
        as_text = codec == "text" or not self.connection.framing.binary
        return MessageByteStream(self, encoding if as_text else None)

    @property
    def extra_attributes(self) -> Mapping[Any, Any]:
        """No typed attributes: everything is on `handshake`."""
        return {}

    # What the floors below push.

    def start(self) -> None:
        """Begin: the open handler, and the session if there is one."""
        pipeline = self.pipeline
        if pipeline.session is not None:
            pipeline.runtime.spawn(self._run_session)
        elif pipeline.on_open is not None:
            self._call(pipeline.on_open, self)

    def on_data(self, payload: Any) -> None:
        deliver = self.pipeline.deliver
        if deliver is None or self._lane is not None:
            direct = self.pipeline.direct
            if direct is not None:
                self._queue(direct, self, payload)
            else:
                self._queue(self.pipeline.run, self, payload)
            return
        try:
            result = deliver(self, payload)
        except Exception as error:
            self._report(error)
        else:
            if result is not None:
                self._continue(result)

    def on_packet(self, packet: Packet) -> None:
        handler = self.pipeline.packets.get(type(packet))
        if handler is None:
            log.debug("%r: nobody takes %s packets", self, type(packet).__name__)
        elif self._lane is not None and type(packet) not in self.pipeline.at_once:
            self._queue(handler, self, packet)
        else:
            self._call(handler, self, packet)

    def wants(self, packet: Packet) -> bool:
        wanted = self.pipeline.wanted.get(type(packet))
        return wanted is not None and wanted(self, packet)

    def on_violation(self, error: Exception) -> None:
        log.info("%r: %s", self, printable(str(error), 200))
        if self.pipeline.on_error is not None:
            self._call(self.pipeline.on_error, self, error)
        self._say_goodbye(Close(getattr(error, "code", 1002), printable(str(error))))

    def on_close(self, close: Close) -> None:
        self.pipeline.leave(self, close)
        self._arrived()
        if self.pipeline.session is None:
            self._finish(close)

    def on_interrupt(self, close: Close) -> None:
        self.pipeline.interrupted(self, close)

    def on_resume(self) -> None:
        self.pipeline.resumed(self)

    def _finish(self, close: Close) -> None:
        pipeline = self.pipeline
        if self._lane is not None:
            self._queue(self._run_close, close)
            return
        if pipeline.on_close is not None:
            self._call(pipeline.on_close, self, close)
        if self._lane is None:
            pipeline.forget(self)
        else:
            self._queue(pipeline.forget, self)

    async def _run_close(self, close: Close) -> None:
        on_close = self.pipeline.on_close
        try:
            if on_close is not None:
                await awaited(on_close(self, close))
        finally:
            self.pipeline.forget(self)

    async def _run_session(self) -> None:
        pipeline = self.pipeline
        try:
            if pipeline.on_open is not None:
                await awaited(pipeline.on_open(self))
            assert pipeline.session is not None
            await awaited(pipeline.session(self))
        except Exception as error:
            reported = self.failed(error)
            if reported is not None:
                await reported
        if self.closed is None:
            self._say_goodbye(Close())
            await self.connection.wait_closed()
        if self.closed is not None:
            self._queue(self._run_close, self.closed)

    # Calling the application.

    def _call(self, function: Any, *args: Any) -> None:
        """Call a handler now; if it is async, its end comes before the next message."""
        try:
            result = function(*args)
        except Exception as error:
            self._report(error)
        else:
            if result is not None:
                self._continue(result)

    def _continue(self, result: Any) -> None:
        if result is not DONE and inspect.isawaitable(result):
            self._queue(awaited, result)

    def _queue(self, step: Any, *args: Any) -> None:
        lane, pipeline = self._lane, self.pipeline
        if lane is None:
            low = pipeline.limits.inbox_messages // 2
            self._lane = lane = Lane(pipeline.runtime.spawn_light, self.failed, self._idle, low)
        lane.add(step, *args)
        if self._inbox or len(lane.steps) >= pipeline.limits.inbox_messages:
            self._hold_back()

    def _idle(self) -> None:
        self._relieve()
        lane = self._lane
        if lane is not None and not lane.steps:
            self._lane = None
            if self.closed is not None:
                self._arrived()

    def _hold_back(self) -> None:
        """Stop reading while too much waits for the application."""
        full = self._waiting() >= self.pipeline.limits.inbox_messages
        if full and not self._paused and self.connection.closing is None:
            self._paused = True
            self.connection.hold()

    def _say_goodbye(self, close: Close) -> None:
        super()._say_goodbye(close)
        if self._paused:  # else the client's answer to the close would never be read
            self._paused = False
            self.connection.release()

    def _relieve(self) -> None:
        if self._paused and self._waiting() <= self.pipeline.limits.inbox_messages // 2:
            self._paused = False
            self.connection.release()

    def _waiting(self) -> int:
        return len(self._lane or ()) + len(self._inbox or ())

    def _report(self, error: Exception) -> None:
        reported = self.failed(error)
        if reported is not None:
            self._continue(reported)

    def failed(self, error: Exception) -> Awaitable[None] | None:
        """An exception in the application: log it, tell ``on_error``, close with 1011."""
        if isinstance(error, ConnectionClosed) and self.connection.closing is not None:
            return None  # it was about to use a connection that had just gone
        log.error("%r: exception in a handler", self, exc_info=error)
        result: Any = None
        if self.pipeline.on_error is not None:
            try:
                result = self.pipeline.on_error(self, error)
            except Exception:
                log.exception("%r: exception in on_error", self)
        if inspect.isawaitable(result):
            return self._failed_later(result)
        if result is not True:
            self._say_goodbye(Close(1011, "internal error"))
        return None

    async def _failed_later(self, reported: Awaitable[Any]) -> None:
        try:
            handled = await reported
        except Exception:
            log.exception("%r: exception in on_error", self)
            handled = False
        if handled is not True:
            self._say_goodbye(Close(1011, "internal error"))
