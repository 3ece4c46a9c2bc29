"""An accepted WebSocket (ASGI's connection scope ``websocket``)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import anyio

from unisock import Close, EncodeError, Message
from unisock.abc import Upgrade
from unisock.connection import LOST, BufferedConnection
from unisock.framing import Framing, WebSocketFraming
from unisock.messages import Origin, printable

from .live import HIGH_WATER, LOW_WATER
from .scope import Event, Send
from .wire import FrameWire, Wire

__all__ = ["AsgiConnection", "Ear", "ending"]

MESSAGE_COST = 64
"""Bytes that a waiting message counts for, besides its own: many empty ones are not free."""

log = logging.getLogger("unisock")


class _AsgiFraming(Framing):
    """Frames are messages, which the host puts on the wire."""

    __slots__ = ()

    def frame(self, message: Message) -> Message:
        if isinstance(message, str) and not message.isascii():
            try:
                message.encode()
            except UnicodeEncodeError as error:
                raise EncodeError(f"no UTF-8 for this text: {error}") from error
        return message


# One object each for all connections: they share frames.
_MESSAGES, _FRAMES = _AsgiFraming(), WebSocketFraming()


class Ear:
    """Who receives, and stops it while a close frame is sent: granian sends none before.

    :ivar listening: where to receive
    :ivar silent: to be set when it is cancelled, and nobody receives
    :ivar again: to be waited for then
    """

    __slots__ = ("again", "listening", "silent")

    def __init__(self) -> None:
        self.listening = anyio.CancelScope()
        self.silent = anyio.Event()
        self.again = anyio.Event()

    async def hush(self) -> None:
        """Wait until nobody receives."""
        self.listening.cancel()
        await self.silent.wait()


class AsgiConnection(BufferedConnection):
    """The server's end of an accepted WebSocket.

    What is written waits for ``await send(…)``, in a task that is there only while something waits;
    or goes out as frames where the host lets us at its wire.
    The host's own pings find a dead client: ASGI has none.

    :param leave: ends the application's task, on which the host hangs up
    """

    __slots__ = (
        "_ear",
        "_flushing",
        "_frames",
        "_full",
        "_leave",
        "_paused",
        "_pending",
        "_pending_size",
        "_resumed",
        "_send",
        "_wire",
    )

    def __init__(
        self,
        upgrade: Upgrade,
        send: Send,
        wire: Wire | None,
        ear: Ear,
        leave: Callable[[], None],
    ) -> None:
        frames = wire if isinstance(wire, FrameWire) else None
        framing = _MESSAGES if frames is None else _FRAMES
        super().__init__(upgrade.gate, upgrade.handshake, framing)
        self._send = send
        self._wire = wire
        self._frames = frames
        self._ear = ear
        self._leave = leave
        self._pending: deque[tuple[Event, int]] = deque()
        self._pending_size = 0
        self._full = False
        self._flushing: anyio.CancelScope | None = None
        self._paused = False
        self._resumed: anyio.Event | None = None
        if wire is not None:
            wire.bound(upgrade.gate.limits)
        if frames is not None:
            frames.tell(self.congested, self.relieved)

    # Reading.

    async def readable(self) -> None:
        """Wait while reading is paused."""
        while self._paused:
            self._resumed = anyio.Event()
            await self._resumed.wait()

    def arrived(self, event: Event) -> None:
        """A message from the client."""
        text: str | None = event.get("text")
        data: Any = event.get("bytes")
        message = text if text is not None else data if type(data) is bytes else bytes(data or b"")
        limit = self.gate.limits.message_bytes
        self.heard = True
        if len(message) > limit or (
            # No letter has more than four bytes.
            isinstance(message, str) and 4 * len(message) > limit and len(message.encode()) > limit
        ):
            self.close(Close(1009, f"over the limit message_bytes = {limit}"))
        else:
            self.receiver.on_message(message)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.set()

    # Writing.

    def transmit(self, frame: Message) -> None:
        if self._frames is not None:
            assert isinstance(frame, bytes)
            self._frames.write(frame)
            return
        kind = "text" if isinstance(frame, str) else "bytes"
        self._put({"type": "websocket.send", kind: frame}, len(frame) + MESSAGE_COST)
        if self._pending_size >= HIGH_WATER and not self._full:
            self._full = True
            self.congested()

    def _put(self, event: Event, size: int) -> None:
        self._pending.append((event, size))
        self._pending_size += size
        if self._flushing is None:
            self._flushing = anyio.CancelScope()
            self.gate.runtime.spawn(self._flush, self._flushing)

    async def _flush(self, scope: anyio.CancelScope) -> None:
        """Send what waits, until nothing does."""
        pending = self._pending
        try:
            with scope:
                while pending:
                    event = pending[0][0]
                    if event["type"] == "websocket.close":
                        await self._ear.hush()
                    await self._send(event)
                    self._pending_size -= pending.popleft()[1]
                    if self._full and self._pending_size <= LOW_WATER:
                        self._full = False
                        self.relieved()
        except OSError:
            pass  # the client has left (ASGI specification 2.4); the reader is told of it too
        except Exception as error:
            # The host closes as well, and may have done so a moment ago.
            log.debug("%r: the host does not take a message: %r", self.handshake, error)
            self.abort()
        finally:
            self._flushing = None
            if self._ear.silent.is_set():
                self._ear.again.set()

    # Closing.

    def shut(self, close: Close) -> None:
        code = close.code if Close.sendable(close.code) else 1000
        reason = printable(close.reason)
        if self._frames is not None:
            self._frames.flush()
        self._put({"type": "websocket.close", "code": code, "reason": reason}, 0)
        self.resume_reading()  # for the client's close frame

    def abort(self) -> None:
        if self.closed is not None:
            return  # the host may still be sending the last words
        if self._wire is not None:
            self._wire.cut()
        self.ended(LOST)
        self._leave()

    def ended(self, close: Close) -> None:
        self._pending.clear()
        self._pending_size = 0
        if self._flushing is not None:
            self._flushing.cancel()
        self.resume_reading()
        if self._frames is not None:
            self._frames.tell(_nothing, _nothing)  # no cycle of references is left
        super().ended(close)


def _nothing() -> None:
    """It has ended: there is nobody to tell."""


def ending(event: Event, wire: Wire | None, spec_version: str) -> Close:
    """How a WebSocket ended, by the host's ``websocket.disconnect``.

    :param spec_version: of ASGI, as the host says; ``""`` if it does not
    """
    if wire is not None and wire.fault is not None:
        return wire.fault
    code: int = event.get("code", 1005)
    if code == 1006 or (code == 1005 and spec_version >= "2.4" and "reason" not in event):
        # A host that tells reasons, and tells none, saw no close frame: so it is with uvicorn.
        return LOST
    reason = printable(event.get("reason") or "")
    # Only servers send 1012: it is the host that closes, because it stops.
    return Close(code, reason, origin=Origin.LOCAL if code == 1012 else Origin.PEER)
