"""A SockJS session as the core sees it: one connection, whatever carries it."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from json import JSONEncoder
from typing import Any, Protocol

import anyio

from unisock import Close, EncodeError, Handshake, LimitExceeded, Message
from unisock.abc import Gate
from unisock.connection import LOST, BufferedConnection
from unisock.framing import Framing

__all__ = ["SOCKJS", "Link", "SockjsConnection"]

SLICE = 64
"""Messages of one frame or POST that are delivered before others have their turn."""
BURST = 16
"""How many times `Limits.inbox_messages` one POST, or all that wait, may hold."""

_quote = JSONEncoder().encode


class _SockjsFraming(Framing):
    """JSON strings, which the session puts into ``a[…]``: a broadcast escapes once for all.

    All but ASCII is escaped, as the protocol asks for what browsers mistreat.
    """

    __slots__ = ()

    binary = False

    def frame(self, message: Message) -> Message:
        if isinstance(message, bytes):
            raise EncodeError("SockJS carries text only: send str, or use the json codec")
        return _quote(message)


SOCKJS: Framing = _SockjsFraming()


class Link(Protocol):
    """The library's session, as its connection uses it."""

    def send(self, frame: str) -> None:
        """Hand a frame to whatever carries the session, or queue it."""

    def say_goodbye(self, close: Close) -> None:
        """Tell the client, as soon as all that is queued is on its way."""

    def cut(self, close: Close) -> None:
        """End now, without a word."""

    def ping(self) -> None:
        """Ask the client for a sign of life."""


class SockjsConnection(BufferedConnection):
    """The connection of a session."""

    __slots__ = ("_held_bytes", "_held_messages", "_link", "_posting", "_resumed", "pings")

    def __init__(
        self, gate: Gate, handshake: Handshake, framing: Framing, link: Link, *, pings: bool
    ) -> None:
        super().__init__(gate, handshake, framing)
        self.pings = pings
        self._link = link
        self._resumed: anyio.Event | None = None
        self._posting: anyio.Lock | None = None
        self._held_messages = 0
        self._held_bytes = 0

    def transmit(self, frame: Message) -> None:
        assert isinstance(frame, str)
        self._link.send(frame)

    def shut(self, close: Close) -> None:
        self._link.say_goodbye(close)

    def abort(self) -> None:
        self._link.cut(self.closing or LOST)

    def ping(self) -> None:
        if self._resumed is None:
            self._link.ping()
        else:
            self.heard = True  # nobody reads the answer until the application has caught up

    def ended(self, close: Close) -> None:
        super().ended(close)
        self.resume_reading()

    def pause_reading(self) -> None:
        if self._resumed is None:
            self._resumed = anyio.Event()

    def resume_reading(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.set()

    def arrived(self, messages: Sequence[str]) -> Coroutine[Any, Any, None] | None:
        """Deliver what came in one frame: at once, or by the coroutine that is returned."""
        self.heard = True
        if self._resumed is not None or len(messages) > SLICE:
            return self._deliver(messages)
        for number, message in enumerate(messages):
            if self._resumed is not None:
                return self._deliver(messages[number:])
            self._push(message)
        return None

    async def posted(self, messages: Sequence[str], size: int) -> None:
        """Deliver what came in one POST: after those that came before, and while the application
        wants to read. Meanwhile the client waits for the answer.

        :param size: of the POST, in bytes
        :raises LimitExceeded: too much waits already; the connection is being closed
        """
        self.heard = True
        limits = self.gate.limits
        self._held_messages += len(messages)
        self._held_bytes += size
        try:
            if self._held_messages > BURST * limits.inbox_messages:
                self._refuse(LimitExceeded("inbox_messages", limits.inbox_messages))
            if self._held_bytes > BURST * limits.message_bytes:
                self._refuse(LimitExceeded("message_bytes", limits.message_bytes))
            if self._posting is None:
                self._posting = anyio.Lock()
            async with self._posting:
                await self._deliver(messages)
        finally:
            self._held_messages -= len(messages)
            self._held_bytes -= size

    def _refuse(self, error: LimitExceeded) -> None:
        self.close(Close(error.code, str(error)))
        raise error

    async def _deliver(self, messages: Sequence[str]) -> None:
        for number, message in enumerate(messages, 1):
            while self._resumed is not None:
                await self._resumed.wait()
            if self.closing is not None:
                return
            self._push(message)
            if number % SLICE == 0:
                await anyio.lowlevel.checkpoint()

    def _push(self, message: str) -> None:
        limit = self.gate.limits.message_bytes
        if len(message) > limit or (len(message) * 4 > limit and len(message.encode()) > limit):
            self.close(Close(1009, f"over the limit message_bytes = {limit}"))
        else:
            self.receiver.on_message(message)
