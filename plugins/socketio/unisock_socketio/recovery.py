"""Clients that come back after a cut, and find all as it was.

A spark outlives its connection for a while: it stays in its rooms and audiences, and what is sent
to it is kept. The client names the session by a secret, and the last event that it has seen; what
came after that is sent again.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque

import anyio

from unisock import Close, EncodeError, Sent
from unisock.limits import Overflow
from unisock.messages import Wire
from unisock.timers import Timer

from .encoding import offset_of
from .namespace import Host, Namespace
from .options import Recovery

__all__ = ["RecoverableNamespace", "Sessions"]

log = logging.getLogger("unisock.socketio")

_TAKEN_OVER = Close(1001, "the client has come back on another connection")


class Sessions:
    """The clients of an endpoint that can come back, by their secret.

    :ivar settings: for how long, and how much is kept
    """

    def __init__(self, settings: Recovery) -> None:
        self.settings = settings
        self._known: dict[str, RecoverableNamespace] = {}
        self._away: dict[RecoverableNamespace, None] = {}

    def add(self, session: RecoverableNamespace) -> None:
        """A new client."""
        self._known[session.pid] = session

    def find(self, pid: object, namespace: str) -> RecoverableNamespace | None:
        """The client with this secret."""
        session = self._known.get(pid) if isinstance(pid, str) else None
        return session if session is not None and session.namespace == namespace else None

    def gone(self, session: RecoverableNamespace) -> None:
        """A client has lost its connection."""
        self._away[session] = None
        if len(self._away) > self.settings.max_sessions:
            oldest = next(iter(self._away))
            log.info("%r: given up: over the limit max_sessions", oldest.handshake)
            oldest.give_up()

    def back(self, session: RecoverableNamespace) -> None:
        """It has another."""
        self._away.pop(session, None)

    def forget(self, session: RecoverableNamespace) -> None:
        """It will not come back."""
        self._away.pop(session, None)
        self._known.pop(session.pid, None)


class RecoverableNamespace(Namespace):
    """One client in one namespace, whose connection may be another tomorrow.

    :ivar pid: the secret
    """

    __slots__ = (
        "_back",
        "_broke",
        "_fresh",
        "_id",
        "_log",
        "_sessions",
        "_size",
        "_timer",
        "_whole",
        "pid",
    )

    def __init__(self, host: Host, namespace: str, auth: object, sessions: Sessions) -> None:
        super().__init__(host, namespace, auth)
        self.pid = secrets.token_urlsafe(18)
        self._id = ""
        self._sessions = sessions
        # What was sent last: the offset, the event, and its size. Volatile ones are not kept, but
        # the client may have seen one of them last.
        self._log: deque[tuple[str, Wire | None, int]] = deque()
        self._size = 0
        # Nothing has been dropped from the log.
        self._whole = True
        # How many events have come into it since the connection broke.
        self._fresh = 0
        self._broke: Close | None = None
        self._timer: Timer | None = None
        self._back: anyio.Event | None = None

    def _welcome(self, id: str) -> None:
        self._id = id
        self._sessions.add(self)
        self.host.welcome(self.namespace, id, self.pid)

    # Sending.

    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        if self.closed is not None:
            return Sent.DROPPED
        offset = offset_of(frame)
        if self._broke is not None:
            if offset is None or overflow is Overflow.DROP_NEWEST:
                return Sent.DROPPED
            self._fresh += 1
            self._keep(offset, frame)
            return Sent.QUEUED if self.closed is None else Sent.DROPPED
        try:
            sent = self.pass_on(frame, overflow)
        except EncodeError as error:  # in the midst of a broadcast
            log.warning("%r: %s", self.handshake, error)
            return Sent.DROPPED
        if offset is not None and sent is not Sent.DROPPED:
            self._keep(offset, None if overflow is Overflow.DROP_NEWEST else frame)
        return sent

    def _keep(self, offset: str, wire: Wire | None) -> None:
        settings = self._sessions.settings
        size = 0
        if wire is not None:
            size = sum(map(len, wire)) if isinstance(wire, tuple) else len(wire)
        self._log.append((offset, wire, size))
        self._size += size
        while len(self._log) > settings.max_messages or self._size > settings.max_bytes:
            self._size -= self._log.popleft()[2]
            self._whole = False
        if self._broke is not None and self._fresh > len(self._log):
            log.info("%r: given up: over max_messages or max_bytes of recovery", self.handshake)
            self.give_up()

    async def drain(self) -> None:
        while self._broke is not None and self.closed is None:
            if self._back is None:
                self._back = anyio.Event()
            await self._back.wait()
        await super().drain()

    # Coming and going.

    def interrupted(self, close: Close) -> None:
        """The connection broke."""
        self._broke = close
        self._fresh = 0
        self._held = None  # it is in the log
        seconds = self._sessions.settings.max_disconnection_duration / 1000
        self._timer = self.host.stage.runtime.timers.call_later(seconds, self.give_up)
        self.receiver.on_interrupt(close)
        if self.closed is None:
            self._sessions.gone(self)

    def give_up(self) -> None:
        """It will not come back."""
        self.ended(self._broke or Close(1006, "transport close"))

    def missed_since(self, offset: object) -> list[Wire] | None:
        """The events after this one; `None` if they are not all there any more.

        :param offset: that of the last event that the client has seen; `None` if it has seen none
        """
        missed: list[Wire] = []
        for known, wire, _ in reversed(self._log):
            if known == offset:
                break
            if wire is not None:
                missed.append(wire)
        else:
            if offset is not None or not self._whole:
                return None
        missed.reverse()
        return missed

    def resume(self, host: Host, missed: list[Wire]) -> None:
        """The client is back, on another connection, perhaps before anybody saw that the one before
        was broken.
        """
        if self._broke is None:
            self.receiver.on_interrupt(_TAKEN_OVER)
        before, self.host = self.host, host
        self._leave(before)
        self._broke = None
        self._held = None
        self._sessions.back(self)
        self.lower = host.connection
        self.handshake = host.connection.handshake
        self._forget = host.forget
        host.channels[self.namespace] = self
        if self._holds:
            self.lower.hold()
        host.welcome(self.namespace, self._id, self.pid)
        for wire in missed:
            self.lower.write(wire)
        self._settle()
        self.receiver.on_resume()

    def _leave(self, before: Host) -> None:
        before.forget(self)
        if before.connection.closed is None:
            if self._holds:
                before.connection.release()
            if not before.channels:
                before.connection.close(_TAKEN_OVER)

    def ended(self, close: Close) -> None:
        if self.closed is None:
            self._sessions.forget(self)
            super().ended(close)
            self._settle()

    def _settle(self) -> None:
        """Nobody waits for it any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        back, self._back = self._back, None
        if back is not None:
            back.set()
