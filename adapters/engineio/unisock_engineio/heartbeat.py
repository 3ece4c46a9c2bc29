"""A session's heartbeat: from the server in revision 4, from the client in revision 3."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from unisock import Close, Handshake, Origin
from unisock.abc import Gate
from unisock.connection import BufferedConnection

from .packets import PING, PONG, Revision, compose
from .settings import Settings

__all__ = ["BeatingSession"]

_PING_TIMEOUT = Close(1006, "ping timeout", origin=Origin.LOST)


class BeatingSession(BufferedConnection):
    """A session, as its heartbeat sees it.

    Any packet is a sign of life; an answer to a ping begins the next interval.

    :param base64: the client takes text only
    """

    __slots__ = ("_paused", "_since", "revision", "settings")

    pings = True

    def __init__(
        self,
        gate: Gate,
        handshake: Handshake,
        settings: Settings,
        revision: Revision,
        *,
        base64: bool,
    ) -> None:
        super().__init__(gate, handshake, compose(revision, base64, None))
        self.settings = settings
        self.revision = revision
        self.heard = False
        self._paused = False
        self._since = gate.runtime.timers.now

    @abstractmethod
    def say(self, packet: str) -> bool:
        """Send a packet of the protocol's own; `False` if there is no room for it."""

    def watch(self) -> None:
        settings = self.settings
        if self.revision.client_pings:
            self._set_pulse(settings.interval + settings.timeout, self._time_is_up)
        else:
            self._set_pulse(settings.interval, self._time_to_ping)

    def expired(self) -> bool:
        """Whether it has been silent for too long. The timer may be a little late to say so."""
        overdue = self.gate.runtime.timers.now >= self._deadline_of_life
        return overdue and not self.heard and not self._paused

    def time_out(self) -> None:
        """It has been silent for too long."""
        self.fail(_PING_TIMEOUT)

    @property
    def _deadline_of_life(self) -> float:
        return self._since + self.settings.interval + self.settings.timeout

    def _set_pulse(self, delay: float, call: Callable[[], None] | None = None) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
        self._pulse = self.gate.runtime.timers.call_later(delay, call or self._time_is_up)

    def _time_to_ping(self) -> None:
        now = self.gate.runtime.timers.now
        if self.heard:
            self._since = now - self.settings.interval
        self._pinged_at = now
        self.ping()

    def ping(self) -> None:
        self.heard = False
        now, deadline = self.gate.runtime.timers.now, self._deadline_of_life
        if self.say(PING):
            self._set_pulse(deadline - now)
        elif now < deadline:  # the outbox of the WebSocket is full
            self._set_pulse(self.settings.timeout / 4, self.ping)
        else:
            self._time_is_up()

    def _time_is_up(self) -> None:
        now, settings = self.gate.runtime.timers.now, self.settings
        if not (self.heard or self._paused):
            if now < self._deadline_of_life:
                self._set_pulse(self._deadline_of_life - now)
            else:
                self.time_out()
        elif self.revision.client_pings:
            self.heard = False
            self._since = now
            self._set_pulse(settings.interval + settings.timeout)
        else:
            self.heard = True
            self._time_to_ping()

    def on_heartbeat(self) -> None:
        """A ping or pong from the client came."""
        if self.revision.client_pings:
            self._since = self.gate.runtime.timers.now
            self.heard = False
            self.say(PONG)
        elif self._pinged_at is not None:
            self.ponged()
            self.heard = False
            self._since = self.gate.runtime.timers.now
            self._set_pulse(self.settings.interval, self._time_to_ping)
