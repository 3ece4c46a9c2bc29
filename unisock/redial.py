"""When a client connects again: the states that it goes through, and how long it waits.

::

    connecting ──────▶ open ──────▶ waiting ──────▶ connecting …
        │ failed                       ▲
        └──────────────────────────────┘
    each of them ──────▶ closed, for good
"""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from enum import StrEnum
from math import isfinite

import anyio
import msgspec

from .connection import LOST
from .errors import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeRejected,
    UnisockError,
    Unreachable,
)
from .messages import Close, Origin, printable
from .reconnecting import ReconnectingConnection
from .runtime import task_group

__all__ = ["Backoff", "Redialer", "State", "StateChange"]

log = logging.getLogger("unisock.client")

LONGEST_WISH = 300.0
"""Seconds that a server may put a client off for."""

_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses of a passing trouble (RFC 9110 section 15, RFC 6585, RFC 8470)."""


class State(StrEnum):
    """What a client is doing."""

    CONNECTING = "connecting"
    """It makes a connection; what is sent waits."""
    OPEN = "open"
    """It is connected."""
    WAITING = "waiting"
    """The connection is lost, or could not be made; it will try again after a while."""
    CLOSED = "closed"
    """It is over: closed by either side, refused, or given up."""


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a client."""

    state: State
    attempt: int
    """How many attempts there were in a row, this one included; 0 when a connection is lost that
    had lived for `Backoff.stable`."""
    delay: float = 0.0
    """`State.WAITING`: seconds until the next attempt."""
    close: Close | None = None
    """`State.WAITING` and `State.CLOSED`: how the connection ended, if there was one."""
    error: Exception | None = None
    """Why the attempt failed, or why it is over, where that is an error."""
    queued: int = 0
    """Messages that wait."""
    unconfirmed: int = 0
    """`State.WAITING` and `State.CLOSED`: messages that had been sent when the connection ended,
    and of which nobody knows whether the server has read them. Each is counted in one step only."""
    dropped: int = 0
    """Messages that were dropped so far, because the queue was full or at the end."""


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long a client waits before it tries again: a random time between 0 and a bound, which
    doubles with each failure. (Full jitter: after a restart, clients come back spread over time.)
    """

    first: float = 0.5
    """The first bound, in seconds."""
    most: float = 30.0
    """The largest bound, in seconds."""
    attempts: int | None = None
    """Failed attempts in a row after which it gives up; `None` for never."""
    stable: float = 5.0
    """Seconds for which a connection must have lived, or it counts as a failed attempt too."""

    def __post_init__(self) -> None:
        for name in ("first", "most", "stable"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0):
                raise ValueError(f"backoff.{name}: must be a number of seconds, 0 or more")
        if self.attempts is not None and self.attempts < 1:
            raise ValueError("backoff.attempts: must be 1 or more, or None")

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        bound = min(self.most, self.first * 2.0 ** min(failures, 60))
        return random.uniform(0.0, bound)


class Redialer:
    """Makes connections for a `ReconnectingConnection`, one after another.

    :param dial: makes one, which `ReconnectingConnection.carry_on` is given
    :param tell: told of each step
    :param timeout: seconds for one attempt
    :ivar error: why it is over, where that is an error
    """

    def __init__(
        self,
        connection: ReconnectingConnection,
        dial: Callable[[], Awaitable[object]],
        tell: Callable[[StateChange], None],
        *,
        backoff: Backoff,
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._dial = dial
        self._tell = tell
        self._backoff = backoff
        self._timeout = timeout
        self._clock = clock
        self._hurry = anyio.Event()
        self._made = 0
        self.state = State.CONNECTING
        self.error: Exception | None = None

    def hurry(self) -> None:
        """Try again now, and not after the rest of the delay; the row of failures ends."""
        if self.state is State.WAITING:
            self._made = 0
            self._hurry.set()

    async def run(self) -> None:
        """Until the connection is closed for good."""
        connection = self._connection
        try:
            while connection.closing is None:
                await self._attempt()
        finally:
            connection.ended(Close())
            close = connection.closed
            assert close is not None
            if self.error is None and close.origin in (Origin.LOST, Origin.REJECTED):
                self.error = close.error()
            self._enter(State.CLOSED, close=close, error=self.error)

    async def _attempt(self) -> None:
        """Connect, stay connected, and wait until it is time for the next attempt."""
        connection = self._connection
        self._made += 1
        self._enter(State.CONNECTING)
        error: Exception | None = None
        close: Close | None = None
        try:
            await self._while_wanted(self._dial_in_time)
        except Exception as caught:
            error = self._say_time(caught)
        else:
            close = await self._stay()
        if connection.closing is not None:
            return
        if error is not None and not _may_pass(error):
            self._give_up(error)
            return
        why = error or (close or LOST).error()
        if self._backoff.attempts is not None and self._made >= self._backoff.attempts:
            times = "once" if self._made == 1 else f"{self._made} times"
            given_up = Unreachable(f"tried {times}: {_tell(why)}", attempts=self._made)
            given_up.__cause__ = why
            self._give_up(given_up)
            return
        await self._wait(why, error, close)

    async def _dial_in_time(self) -> None:
        with anyio.fail_after(self._timeout):
            await self._dial()

    async def _stay(self) -> Close | None:
        """Be connected, until that connection has ended."""
        connection, since = self._connection, self._clock()
        lower = connection.lower
        if lower is not None:
            self._enter(State.OPEN)
            while connection.lower is lower:
                await connection.changed()
            if self._clock() - since >= self._backoff.stable:
                self._made = 0
        return connection.broke

    async def _wait(self, why: Exception, error: Exception | None, close: Close | None) -> None:
        # The server's wish comes on top: else all its clients would be back in one moment.
        delay = self._backoff.delay(max(0, self._made - 1)) + _wished(error)
        log.warning("%s; trying again in %.1f s", printable(_tell(why), 300), delay)
        self._hurry = anyio.Event()
        self._enter(State.WAITING, delay=delay, error=error, close=close)
        with anyio.move_on_after(delay):
            await self._while_wanted(self._hurry.wait)

    async def _while_wanted(self, function: Callable[[], Awaitable[object]]) -> None:
        """Run it; stop when the connection is to be closed."""
        async with task_group() as group:
            group.start_soon(self._stop_at_end, group.cancel_scope)
            await function()
            group.cancel_scope.cancel()

    async def _stop_at_end(self, scope: anyio.CancelScope) -> None:
        while self._connection.closing is None:
            await self._connection.changed()
        scope.cancel()

    def _give_up(self, error: Exception) -> None:
        if isinstance(error, HandshakeRejected):
            error = ConnectionRejected.of(error)
            close = Close(error.code, printable(error.reason), False, Origin.REJECTED)
        else:
            close = Close(1006, printable(_tell(error)), False, Origin.LOST)
        self.error = error
        self._connection.ended(close)

    def _enter(
        self,
        state: State,
        *,
        delay: float = 0.0,
        close: Close | None = None,
        error: Exception | None = None,
    ) -> None:
        self.state = state
        connection = self._connection
        over = state is State.WAITING or state is State.CLOSED
        self._tell(
            StateChange(
                state=state,
                attempt=self._made,
                delay=delay,
                close=close,
                error=error,
                queued=connection.queued,
                unconfirmed=connection.take_unconfirmed() if over else 0,
                dropped=connection.dropped,
            )
        )

    def _say_time(self, error: Exception) -> Exception:
        if isinstance(error, TimeoutError) and not error.args:
            return TimeoutError(f"no answer within timeout = {self._timeout:g} s")
        return error


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may go better."""
    if isinstance(error, HandshakeRejected):
        return error.retry or error.status in _TRY_AGAIN
    if isinstance(error, ssl.SSLError):  # a certificate, or no TLS at all: they do not get better
        return isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    return isinstance(error, OSError)  # TimeoutError is one


def _wished(error: Exception | None) -> float:
    """What the server wants waited (RFC 9110 section 10.2.3), where it says so in seconds; at most
    `LONGEST_WISH`.
    """
    if isinstance(error, HandshakeRejected):
        for name, value in error.headers:
            if name.lower() == "retry-after" and value.isdecimal():
                return min(float(value), LONGEST_WISH)
    return 0.0


def _tell(error: Exception) -> str:
    if isinstance(error, HandshakeRejected):
        return f"refused with {error.status}: {error.reason}"
    if isinstance(error, ConnectionClosed):
        return f"the connection ended: {error}"
    if isinstance(error, UnisockError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
