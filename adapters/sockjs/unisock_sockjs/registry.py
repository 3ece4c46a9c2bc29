"""The sessions over HTTP by their id, and what is left of those that have ended."""

from __future__ import annotations

from typing import NamedTuple

from unisock.timers import Timers

from .owner import Owner
from .session import HttpSession

__all__ = ["Grave", "Registry"]


class Grave(NamedTuple):
    """What a client is told that comes back to a session that has ended."""

    owner: Owner
    packet: bytes
    until: float


class Registry:
    """The sessions of one endpoint.

    :param delay: seconds for which one that has ended is remembered
    :param most: how many are remembered
    """

    __slots__ = ("_delay", "_graves", "_most", "_opening", "_sessions", "_sweeping", "_timers")

    def __init__(self, timers: Timers, delay: float, most: int) -> None:
        self._timers = timers
        self._delay = delay
        self._most = most
        self._sessions: dict[str, HttpSession] = {}
        self._opening: set[str] = set()
        self._graves: dict[str, Grave] = {}
        self._sweeping = False

    def find(self, id: str) -> HttpSession | Grave | None:
        """The session with this id."""
        return self._sessions.get(id) or self._graves.get(id)

    def reserve(self, id: str) -> bool:
        """Keep an id while the application is asked; `False` if that is under way already."""
        if id in self._opening:
            return False
        self._opening.add(id)
        return True

    def unreserve(self, id: str) -> None:
        """The application has answered."""
        self._opening.discard(id)

    def add(self, session: HttpSession) -> None:
        """A new session."""
        self._sessions[session.key] = session

    def bury(self, session: HttpSession, packet: bytes | None) -> None:
        """A session has ended; without a packet, nothing is left of it."""
        if self._sessions.pop(session.key, None) is None or packet is None:
            return
        if len(self._graves) >= self._most:
            del self._graves[next(iter(self._graves))]
        self._graves[session.key] = Grave(session.owner, packet, self._timers.now + self._delay)
        if not self._sweeping:
            self._sweeping = True
            self._timers.call_later(self._delay, self._sweep)

    def _sweep(self) -> None:
        """Forget those whose time is over; they stand in that order."""
        now = self._timers.now
        for id, grave in [*self._graves.items()]:
            if grave.until > now:
                self._timers.call_later(grave.until - now, self._sweep)
                return
            del self._graves[id]
        self._sweeping = False
