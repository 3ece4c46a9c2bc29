"""From polling to a WebSocket: the probe, and the change over."""

from __future__ import annotations

from unisock import Close, Message
from unisock.abc import Connection, Receiver
from unisock.timers import Timer

from .session import EngineioSession

__all__ = ["offer"]

NUDGE_SECONDS = 0.1
"""From the probe to the noop that frees the client's waiting poll, and from one noop to the next:
time for what is under way to get there by polling."""

_UNWANTED = Close(1002, "this session has a WebSocket")
_BAD = Close(1002, "bad upgrade")
_LATE = Close(1002, "upgrade timeout")


def offer(session: EngineioSession, lower: Connection) -> None:
    """A client of a polling session has opened a WebSocket. One at a time may try."""
    if session.candidate is not None or not session.polling or session.closing is not None:
        lower.close(_UNWANTED)
        return
    session.candidate = lower
    lower.attach(_Trial(session, lower))


class _Trial(Receiver):
    """Hears a WebSocket until it takes over, or fails to."""

    __slots__ = ("_lower", "_nudge", "_probed", "_session", "_timeout")

    def __init__(self, session: EngineioSession, lower: Connection) -> None:
        timers = session.gate.runtime.timers
        self._session = session
        self._lower = lower
        self._probed = False
        self._nudge: Timer | None = None
        self._timeout = timers.call_later(session.settings.upgrade_timeout, self._give_up)

    def on_message(self, message: Message) -> None:
        if message == "2probe":
            self._lower.write("3probe")
            if not self._probed:
                self._probed = True
                self._session.moving(True)
                self._schedule()
        elif message == "5" and self._probed:
            self._done()
            self._session.upgrade(self._lower)
        else:
            self._lower.close(_BAD)

    def on_close(self, close: Close) -> None:
        """Polling goes on."""
        self._done()
        if self._session.candidate is self._lower:
            self._session.candidate = None
            self._session.moving(False)

    def _schedule(self) -> None:
        self._nudge = self._session.gate.runtime.timers.call_later(NUDGE_SECONDS, self._again)

    def _again(self) -> None:
        if self._session.candidate is self._lower:
            self._session.nudge()
            self._schedule()

    def _give_up(self) -> None:
        self._lower.close(_LATE)

    def _done(self) -> None:
        for timer in (self._timeout, self._nudge):
            if timer is not None:
                timer.cancel()
