"""What a user starts to connect to a server: a `Spark` that comes back by itself."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from math import inf
from types import TracebackType
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus

from .abc import Connector
from .client_gate import ClientGate
from .client_options import choose_dialect, read_backoff, read_policy, read_table
from .dialing import Dialer, Options, Pairs, Supply
from .errors import ConfigError
from .handlers import SparkHandlers
from .handshake import Handshake
from .hub import Hub
from .lane import Lane
from .limits import Heartbeat, Limits, Overflow
from .messages import Close
from .pipeline import Handler, Handlers, awaited, is_async
from .plugins import Plugins, Registered
from .reconnecting import ReconnectingConnection
from .redial import Backoff, Redialer, State, StateChange
from .runtime import TaskRuntime, task_group
from .spark import Spark
from .sparks import Sparks

__all__ = ["Client", "connect"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
PluginT = TypeVar("PluginT")

log = logging.getLogger("unisock.client")

IN_A_HURRY = 1.0
"""Seconds for a last word to the server, where the `async with` is cancelled."""


class Client(SparkHandlers):
    """A connection to a server, ours or anybody's; as a context manager it gives the `Spark`.

    ::

        async with connect("ws://127.0.0.1:8000/ws") as spark:
            await spark.send("hello")
            print(await spark.receive())

    A lost connection is made anew, and what is sent meanwhile waits in a bounded queue. ``url``,
    ``headers`` and ``token`` may be functions, sync or async, which are asked at each attempt.

    :param url: ``ws://``, ``wss://``, ``ws+unix:/path.sock:/ws``, or ``NAME+http://``, where a
        connector or a dialect has the name
    :param headers: further headers of the request
    :param token: sent as ``Authorization: Bearer``
    :param origin: the ``Origin`` header, to look like a page
    :param subprotocols: offered to the server, best first
    :param codec: how payloads become messages
    :param dialect: what messages mean; the one in the URL unless given, else ``plain``
    :param plugins: plugin objects
    :param reconnect: how long to wait between attempts; `False` for a single connection
    :param overflow: what ``send_nowait`` does when the queue is full: ``drop-newest`` or
        ``drop-oldest``; ``send`` waits
    :param timeout: seconds for one attempt, the functions included that are asked
    :param tls: how the server's certificate is checked
    :param server_name: what the server is called, where that is not the URL's host
    :param proxy: the URL of a proxy; `True` asks the environment, `False` goes straight
    :param redirects: how many redirections are followed
    :param limits: single fields of `Limits`; ``outbox_messages`` and ``outbox_bytes`` bound the
        queue
    :param heartbeat: single fields of `Heartbeat`
    :param connector: who connects, if not who the URL says: a name, or an object
    :param options: what the dialect or the connector alone can be told
    :raises ConfigError: one of these is wrong, or not installed
    """

    def __init__(
        self,
        url: Supply[str],
        *,
        headers: Supply[Pairs] = (),
        token: Supply[str] | None = None,
        origin: str | None = None,
        subprotocols: Sequence[str] = (),
        codec: str = "json",
        dialect: str | None = None,
        plugins: Sequence[object] = (),
        reconnect: Backoff | bool = True,
        overflow: Overflow | str = Overflow.DROP_NEWEST,
        timeout: float = 10.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        proxy: str | bool = True,
        redirects: int = 0,
        limits: Limits | Mapping[str, float] | None = None,
        heartbeat: Heartbeat | Mapping[str, float] | None = None,
        connector: str | Connector | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._codec = codec
        self._dialect, others = choose_dialect(dialect, url, codec, options)
        if not timeout > 0:
            raise ConfigError(f"timeout: must be more than 0, not {timeout}", key="timeout")
        self._dialer = Dialer(
            Options(
                url=url,
                headers=headers,
                token=token,
                origin=origin,
                subprotocols=tuple(subprotocols),
                tls=tls,
                server_name=server_name,
                proxy=proxy,
                redirects=redirects,
                dialect=type(self._dialect),
                connector=connector,
                options=others,
            )
        )
        self._plugins = Plugins(plugins)
        self._overflow = read_policy(overflow)
        self._limits = read_table(limits, Limits, "limits")
        self._heartbeat = read_table(heartbeat, Heartbeat, "heartbeat")
        self._backoff = read_backoff(reconnect)
        self._timeout = timeout
        self._on_state: list[Handler] = []
        self._runtime = TaskRuntime()
        self._steps = self._lane()
        self._changed = anyio.Event()
        self._running = False
        self._stack: AsyncExitStack | None = None
        self._redialer: Redialer | None = None
        self._connection: ReconnectingConnection | None = None
        self.hub = Hub()

    # Declaring.

    def on_state(self, function: FunctionT) -> FunctionT:
        """``on_state(change)``: a step of this client; see `StateChange`. There may be several.
        A plain ``def`` runs at once, and each ``async def`` when those before it have ended.
        """
        self._on_state.append(function)
        return function

    def plugin(self, kind: type[PluginT]) -> PluginT:
        """The plugin of this class.

        :raises ConfigError: there is none
        """
        try:
            return self._plugins.find(kind)
        except ConfigError as error:
            raise ConfigError(
                f"this client has no {kind.__name__} plugin: pass one to connect(plugins=[…])",
                key="plugins",
            ) from error

    # Asking.

    @property
    def state(self) -> State:
        """What it is doing."""
        return State.CLOSED if self._redialer is None else self._redialer.state

    @property
    def error(self) -> Exception | None:
        """Why it is over, where that is an error: not where either side closed in good order."""
        return None if self._redialer is None else self._redialer.error

    async def wait_for(self, state: State) -> None:
        """Wait until it is in this state.

        :raises ConnectionClosed: it is closed for good
        """
        while True:
            connection = self._connection
            if state is not State.CLOSED and connection is not None and connection.closed:
                raise connection.closed.error()
            if self.state is state:
                return
            await self._changed.wait()

    def reconnect_now(self) -> None:
        """Try again now if it waits: the network is back, say."""
        if self._redialer is not None:
            self._redialer.hurry()

    # Running.

    async def __aenter__(self) -> Spark:
        """Connect.

        :raises ConnectionRejected: the server refuses this client
        :raises Unreachable: it cannot be reached, and ``attempts`` are used up
        :raises Redirected: it sends this client elsewhere, and that may not follow
        :raises ProtocolError: it is no such server
        :raises ssl.SSLError: it is not who it should be, or speaks no TLS
        :raises ConfigError: an option is wrong
        :raises Exception: of a function that was asked for URL, headers or token
        """
        if self._running:
            raise ConfigError("this client runs already")
        self._running = True
        try:
            return await self._enter()
        except BaseException:
            self._running = False
            raise

    async def _enter(self) -> Spark:
        async with AsyncExitStack() as stack:
            outer = await stack.enter_async_context(task_group())
            scope = anyio.CancelScope(shield=True)
            stack.callback(scope.cancel)
            self._runtime = runtime = TaskRuntime()
            self._steps = self._lane()
            group = await outer.start(_host, runtime, scope)
            plugins = self._plugins
            plugins.hook.unisock_start(hub=self.hub, runtime=runtime)
            stack.callback(plugins.tell, "unisock_stop")
            gate = self._gate(runtime)
            over = anyio.Event()
            group.start_soon(self._run, over)

            async def leave(kind: type[BaseException] | None, *_: object) -> None:
                cancelled = kind is not None and issubclass(kind, anyio.get_cancelled_exc_class())
                in_a_hurry = cancelled or anyio.current_effective_deadline() == -inf
                await self._leave(gate, over, in_a_hurry=in_a_hurry)

            stack.push_async_exit(leave)
            spark = await self._first(gate)
            self._stack = stack.pop_all()
        return spark

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        stack, self._stack = self._stack, None
        assert stack is not None
        try:
            return await stack.__aexit__(kind, error, traceback)
        finally:
            self._running = False

    async def _run(self, over: anyio.Event) -> None:
        assert self._redialer is not None
        try:
            await self._redialer.run()
        finally:
            over.set()

    async def _first(self, gate: ClientGate) -> Spark:
        """The spark, when it is connected."""
        while gate.spark is None or self.state is State.CONNECTING:
            if self.state is State.CLOSED:
                if self.error is not None:
                    raise self.error
                assert gate.connection.closed is not None
                raise gate.connection.closed.error()
            await self._changed.wait()
        return gate.spark

    async def _leave(self, gate: ClientGate, over: anyio.Event, *, in_a_hurry: bool) -> None:
        """Close, and let the handlers come to their end."""
        seconds = self._limits.close_seconds + 1
        with anyio.move_on_after(min(seconds, IN_A_HURRY) if in_a_hurry else seconds, shield=True):
            if gate.spark is not None:
                gate.spark.close_nowait()  # with the dialect's word for it
            gate.connection.close(Close())
            await over.wait()
            await gate.sparks.wait_empty()
            told = anyio.Event()
            self._steps.add(told.set)
            await told.wait()

    # Connecting.

    def _gate(self, runtime: TaskRuntime) -> ClientGate:
        connection = ReconnectingConnection(
            Handshake(target="/"),
            limits=self._limits,
            overflow=self._overflow,
            reconnects=self._backoff is not None,
            runtime=runtime,
        )
        gate = ClientGate(
            self._codec,
            connection,
            self._dialect,
            Sparks(self.hub, self._plugins, Registered(), runtime),
            limits=self._limits,
            overflow=self._overflow,
            heartbeat=self._heartbeat,
            handlers=self.handlers.over(Handlers()),
            on_enter=self._wake,
        )
        self._connection = connection
        self._redialer = Redialer(
            connection,
            partial(self._dial, gate),
            self._tell,
            backoff=self._backoff or Backoff(attempts=1),
            timeout=self._timeout,
            clock=time.monotonic,
        )
        return gate

    async def _dial(self, gate: ClientGate) -> None:
        await self._dialer.dial(gate)
        await gate.greet()

    def _tell(self, change: StateChange) -> None:
        self._wake()
        for function in self._on_state:
            if is_async(function):
                self._steps.add(function, change)
                continue
            try:
                result = function(change)
            except Exception as error:
                _log_on_state(error)
            else:
                if result is not None:
                    self._steps.add(awaited, result)

    def _lane(self) -> Lane:
        return Lane(self._runtime.spawn, _log_on_state)

    def _wake(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


connect = Client


async def _host(
    runtime: TaskRuntime, scope: anyio.CancelScope, *, task_status: TaskStatus[TaskGroup]
) -> None:
    """Run the client's tasks where a cancellation from outside does not reach them: first there is
    a last word to say.
    """
    with scope:
        async with runtime.running() as group:
            task_status.started(group)
            await anyio.sleep_forever()


def _log_on_state(error: Exception) -> None:
    log.error("exception in on_state", exc_info=error)
