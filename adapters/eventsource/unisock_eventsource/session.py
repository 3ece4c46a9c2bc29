"""A client that listens: one response that does not end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio
import msgspec

from unisock.abc import Gate
from unisock.connection import LOST, BufferedConnection
from unisock.exchange import Body, Reader
from unisock.handshake import Handshake
from unisock.messages import Close, Message, Origin
from unisock.timers import Timer

from .framing import EVENTS, event

__all__ = ["EventStream"]

_LEFT = Close(1005, "the client ended its request", origin=Origin.PEER)
_COMMENT = b":\n\n"


class EventStream(BufferedConnection, Reader):
    """The server's end.

    :param ping: seconds of silence after which a comment is sent; 0 for never
    :param forget: called when it has ended
    :ivar turn: held by the POST that is being read, or waits for the application
    :ivar spoke: something was sent since the last look
    """

    __slots__ = (
        "_body",
        "_forget",
        "_inbox",
        "_paused",
        "_ping",
        "_taken",
        "_timer",
        "spoke",
        "turn",
    )

    def __init__(
        self,
        gate: Gate,
        handshake: Handshake,
        *,
        ping: float,
        forget: Callable[[EventStream], None],
    ) -> None:
        super().__init__(gate, handshake, EVENTS)
        self._body: Body | None = None
        self._ping = ping
        self._forget = forget
        self._timer: Timer | None = None
        self._paused = False
        self._inbox: deque[str] = deque()
        self._taken: anyio.Event | None = None
        self.turn = anyio.Lock()
        self.spoke = True

    def begin(self, body: Body, opening: bytes) -> Reader:
        """Write to this body from now on.

        :param opening: what goes ahead of all messages
        """
        self._body = body
        body.write(opening)
        if self._ping:
            self._wait_for_silence()
        self.gate.open(self)
        return self

    # What the client sends.

    @property
    def waiting(self) -> int:
        """How many POSTs wait, or were given up while they did."""
        return self.turn.statistics().tasks_waiting + len(self._inbox)

    async def posted(self, message: str) -> None:
        """Deliver a message, and wait until the application has taken it.

        If the client drops the POST meanwhile, it is delivered all the same.
        """
        self.heard = True
        self._inbox.append(message)
        self._deliver()
        while self._inbox:
            self._taken = self._taken or anyio.Event()
            await self._taken.wait()

    def _deliver(self) -> None:
        while self._inbox and not self._paused and self.closing is None:
            self.receiver.on_message(self._inbox.popleft())
        if self.closing is not None:
            self._inbox.clear()
        taken = None if self._inbox else self._taken
        if taken is not None:
            self._taken = None
            taken.set()

    # From the body.

    def gone(self) -> None:
        self._body = None
        self.ended(_LEFT)

    # For the core.

    def transmit(self, frame: Message) -> None:
        assert isinstance(frame, bytes)
        self.spoke = True
        if self._body is not None:
            self._body.write(frame)

    def shut(self, close: Close) -> None:
        body, self._body = self._body, None
        if body is not None:
            told = {"code": close.code, "reason": close.reason, "reconnect": close.come_back}
            body.write(event(msgspec.json.encode(told).decode(), "close"))
            body.end()
        self.ended(close)

    def abort(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.cut()
        self.ended(LOST)

    def ended(self, close: Close) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._forget(self)
        super().ended(close)
        self._deliver()

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._deliver()

    def _wait_for_silence(self) -> None:
        self._timer = self.gate.runtime.timers.call_later(self._ping / 2, self._beat_if_silent)

    def _beat_if_silent(self) -> None:
        if self._body is None:
            return
        if not self.spoke:
            self._body.write(_COMMENT)
        # A proxy closes what is silent, and a client that has gone is found by writing to it.
        self.spoke = not self.spoke
        self._wait_for_silence()
