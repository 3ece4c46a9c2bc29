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

from .errors import (
    HandshakeRejected,
    Redirected,
    UnisockError,
    Unreachable,
)
from .messages import Close, Origin, printable
from .reconnecting import ReconnectingConnection

__all__ = ["Backoff", "Redialer", "State", "StateChange"]

log = logging.getLogger("unisock.client")

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
    """Which attempt it is, in a row without success, from 1."""
    delay: float = 0.0
    """`State.WAITING`: seconds until the next attempt."""
    close: Close | None = None
    """`State.WAITING` and `State.CLOSED`: how the connection ended, if there was one."""
    error: Exception | None = None
    """Why the attempt failed, or why there is no other."""
    queued: int = 0
    """Messages that wait."""
    unconfirmed: int = 0
    """`State.WAITING` and `State.CLOSED`: messages that had been sent when the connection ended,
    and of which nobody knows whether the server has read them."""
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
    """Failures in a row after which it gives up; `None` for never."""
    stable: float = 5.0
    """Seconds for which a connection must have lived to end the row."""

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
        self._failures = 0
        self.state = State.CONNECTING
        self.error: Exception | None = None

    def hurry(self) -> None:
        """Try again now, and not after the rest of the delay."""
        self._failures = 0
        self._hurry.set()

    async def run(self) -> None:
        """Until the connection is closed for good."""
        connection = self._connection
        try:
            while connection.closing is None:
                await self._attempt()
        finally:
            connection.ended(Close())
            self._enter(State.CLOSED, close=connection.closed, error=self.error)

    async def _attempt(self) -> None:
        """Connect, stay connected, and wait until it is time for the next attempt."""
        connection = self._connection
        self._enter(State.CONNECTING)
        error: Exception | None = None
        close: Close | None = None
        try:
            with anyio.fail_after(self._timeout):
                await self._dial()
        except Exception as caught:
            error = self._say_time(caught)
            if not _may_pass(error):
                self._give_up(error)
                return
        else:
            close = await self._stay()
        if connection.closing is not None:
            return
        self._failures += 1
        most = self._backoff.attempts
        if error is not None and most is not None and self._failures >= most:
            times = "once" if self._failures == 1 else f"{self._failures} times"
            given_up = Unreachable(f"tried {times}: {_tell(error)}", attempts=self._failures)
            given_up.__cause__ = error
            self._give_up(given_up)
            return
        await self._wait(error, close)

    async def _stay(self) -> Close | None:
        """Be connected."""
        connection, since = self._connection, self._clock()
        lower = connection.lower
        if lower is None:
            return connection.broke
        attempt, self._failures = self._failures, 0
        self._enter(State.OPEN)
        while connection.lower is lower:
            await connection.changed()
        if self._clock() - since < self._backoff.stable:
            self._failures = attempt
        return connection.broke

    async def _wait(self, error: Exception | None, close: Close | None) -> None:
        delay = max(self._backoff.delay(self._failures - 1), _wished(error))
        why = _tell(error) if error is not None else f"connection lost: {close and close.error()}"
        log.warning("%s; trying again in %.1f s", printable(why, 300), delay)
        self._hurry = anyio.Event()
        self._enter(State.WAITING, delay=delay, error=error, close=close)
        with anyio.move_on_after(delay):
            async with anyio.create_task_group() as group:
                group.start_soon(self._wait_for_end, group.cancel_scope)
                await self._hurry.wait()
                group.cancel_scope.cancel()

    async def _wait_for_end(self, scope: anyio.CancelScope) -> None:
        while self._connection.closing is None:
            await self._connection.changed()
        scope.cancel()

    def _give_up(self, error: Exception) -> None:
        if isinstance(error, HandshakeRejected):
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
        cut = close is not None and close.origin is not Origin.LOCAL
        self._tell(
            StateChange(
                state=state,
                attempt=self._failures + (state is not State.WAITING),
                delay=delay,
                close=close,
                error=error,
                queued=connection.queued,
                unconfirmed=connection.unconfirmed if cut else 0,
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
    if isinstance(error, ssl.SSLCertVerificationError | Redirected):
        return False
    return isinstance(error, OSError)  # TimeoutError is one


def _wished(error: Exception | None) -> float:
    """The server's wish for the delay (RFC 9110 section 10.2.3), where it is one in seconds."""
    if isinstance(error, HandshakeRejected):
        for name, value in error.headers:
            if name.lower() == "retry-after" and value.isdecimal():
                return min(float(value), 300.0)
    return 0.0


def _tell(error: Exception) -> str:
    if isinstance(error, HandshakeRejected):
        return f"refused with {error.status}: {error.reason}"
    if isinstance(error, UnisockError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
