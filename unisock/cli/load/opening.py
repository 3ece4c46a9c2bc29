"""Making the connections of a load, and finding out that their endpoint echoes."""

from __future__ import annotations

import os
import time
from collections import Counter

import anyio

from ...abc import Connection, Gate, Receiver, Runtime
from ...config import Endpoint
from ...dialing import Dialer
from ...errors import ConfigError, UnisockError
from ...handshake import Handshake
from ...limits import Heartbeat, Limits, Overflow
from ...messages import Close, Message
from ...registry import look_up
from ..terminal.explain import explain
from .histogram import Histogram
from .lanes import describe

__all__ = ["NotAnEcho", "Opened", "open_connections"]

AT_ONCE = 8
"""Connections that are being made at the same time. More would wait for one another, in this
process, and make the endpoint look slow."""
GRACE = 1.0
"""Seconds that an echo may come after something else, such as a greeting."""
PLENTY = 2**40
SPARE_FILES = 64


class NotAnEcho(UnisockError):
    """The endpoint answers with something else, or not at all."""


class Opened:
    """What came of it.

    :ivar connections: those that work
    :ivar seconds: how long each took, from the name to the end of the opening handshake
    :ivar failures: how often others failed, by the reason
    """

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.seconds = Histogram()
        self.failures: Counter[str] = Counter()


async def open_connections(
    opened: Opened,
    dialer: Dialer,
    runtime: Runtime,
    message: Message,
    *,
    number: int,
    timeout: float,
    redirects: int,
) -> None:
    """Open so many connections, and let each echo one message, which is not measured.

    :param opened: is filled as they come
    :raises NotAnEcho: one does not
    :raises ConfigError: an option is wrong
    """
    allow_files(number)
    look_up("connector", (await dialer.url()).connector)  # imports are not the endpoint's time
    turns = anyio.CapacityLimiter(AT_ONCE)
    wrong: list[UnisockError] = []

    async def open_one(scope: anyio.CancelScope) -> None:
        async with turns:
            try:
                opened.connections.append(
                    await _open(opened, dialer, runtime, message, timeout=timeout)
                )
            except (NotAnEcho, ConfigError) as error:
                wrong.append(error)
                scope.cancel()
            except TimeoutError as error:
                opened.failures[str(error) or f"no connection within {timeout:g} seconds"] += 1
            except (OSError, UnisockError) as error:
                opened.failures[explain(error, redirects=redirects)] += 1

    async with anyio.create_task_group() as group:
        for _ in range(number):
            group.start_soon(open_one, group.cancel_scope)
    if wrong:
        raise wrong[0]


async def _open(
    opened: Opened, dialer: Dialer, runtime: Runtime, message: Message, *, timeout: float
) -> Connection:
    gate, began = _Gate(runtime, message), time.perf_counter()
    with anyio.fail_after(timeout):
        await dialer.dial(gate)
    opened.seconds.add(time.perf_counter() - began)
    connection = gate.connection
    assert connection is not None
    trial = gate.trial
    connection.write(message)
    with anyio.move_on_after(timeout) as scope:
        trial.scope = scope
        await trial.over.wait()
    if trial.closed is not None:
        raise trial.closed.error()
    if not trial.echoed:
        connection.close(Close())
        raise NotAnEcho(
            "this endpoint does not echo: "
            + (
                f"no answer to a message within {timeout:g} seconds"
                if trial.other is None
                else describe(message, trial.other)
            )
        )
    return connection


class _Trial(Receiver):
    """Waits for the first echo. Before it, an endpoint may say something of its own."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self.scope: anyio.CancelScope | None = None
        self.over = anyio.Event()
        self.echoed = False
        self.other: Message | None = None
        self.closed: Close | None = None

    def on_message(self, message: Message) -> None:
        if message == self._message:
            self.echoed = True
            self.over.set()
            return
        self.other = message
        if self.scope is not None:
            self.scope.deadline = min(self.scope.deadline, anyio.current_time() + GRACE)

    def on_close(self, close: Close) -> None:
        self.closed = close
        self.over.set()


class _Gate(Gate):
    """The way in for one connection."""

    def __init__(self, runtime: Runtime, message: Message) -> None:
        self.endpoint = Endpoint(path="/")
        self.origins = frozenset()
        self.limits = Limits(
            message_bytes=max(1_048_576, 2 * len(message)),
            fragments=1_048_576,
            outbox_messages=PLENTY,
            outbox_bytes=PLENTY,
            close_seconds=1.0,
        )
        self.overflow = Overflow.DROP_NEWEST
        self.heartbeat = Heartbeat(interval=0)
        self.runtime = runtime
        self.connection: Connection | None = None
        self.trial = _Trial(message)

    async def admit(self, handshake: Handshake) -> None:
        """A client lets its server in."""

    def open(self, connection: Connection) -> None:
        self.connection = connection
        connection.attach(self.trial)

    def left(self, connection: Connection) -> None: ...

    def count_dropped(self, messages: int) -> None: ...


def allow_files(number: int) -> None:
    """Let this process have so many sockets, where the system lets it decide.

    :raises ConfigError: it may not have them
    """
    if os.name != "posix":
        return
    import resource

    wanted = number + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard) or soft >= wanted:
        return
    if hard < wanted:
        raise ConfigError(
            f"{number} connections are more than this process may have open files ({hard}); "
            f"type: --connections {max(1, hard - SPARE_FILES)}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
