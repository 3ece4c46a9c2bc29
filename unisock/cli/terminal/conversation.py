"""A conversation with a server: connect, send, show what comes, and know how it went."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio

from ...client import Client
from ...errors import (
    ConfigError,
    ConnectionClosed,
    EncodeError,
    UnisockError,
    Unsupported,
)
from ...messages import Close, ControlFrame, Origin
from ...redial import Backoff, State, StateChange
from ...registry import installed, is_there, look_up
from ...runtime import task_group
from ...spark import Spark
from ...url import parse_url
from ..output import EXIT_FAILURE, EXIT_INTERRUPTED
from .explain import explain
from .pipe import NotText, read_lines
from .screen import Screen, describe_close, milliseconds
from .talk import Talk

__all__ = ["Conversation", "Plan"]

MESSAGE_BYTES = 64 * 1024 * 1024
"""A person decides what to look at: more than a server should take."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the command line asks for.

    :ivar lines: whether lines are read, and not only what `execute` and `event` say sent
    :ivar event: name and arguments
    :ivar request: the event's answer is waited for
    """

    url: str
    headers: Sequence[tuple[str, str]] = ()
    token: str | None = None
    origin: str | None = None
    subprotocols: Sequence[str] = ()
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    proxy: str | bool = True
    redirects: int = 0
    compression: bool = False
    codec: str = "raw"
    reconnect: bool = True
    timeout: float = 10.0
    wait: float = 2.0
    execute: Sequence[str] = ()
    event: tuple[str, Sequence[Any]] | None = None
    request: bool = False
    channel: str | None = None
    channel_auth: Any = None
    slash: bool = False
    show_pings: bool = False
    typed: bool = False
    colour: bool = True

    @property
    def lines(self) -> bool:
        return not self.execute and self.event is None


@dataclass
class _Progress:
    """How far it has come."""

    since: float = field(default_factory=time.perf_counter)
    opened: bool = False
    anew: bool = False
    last: StateChange | None = None
    error: Exception | None = None
    interrupted: bool = False
    early: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])


class Conversation(Talk):
    """One run of the command."""

    def __init__(self, plan: Plan, screen: Screen) -> None:
        super().__init__(
            screen,
            slash=plan.slash,
            typed=plan.typed,
            raw=plan.codec == "raw",
            show_pings=plan.show_pings,
            colour=plan.colour,
        )
        self._plan = plan
        self._progress = _Progress()
        self._main: Spark | None = None
        self._channel: Spark | None = None
        self._scope = anyio.CancelScope()
        self._emitter = _plugin("emitter", plan, needed=plan.event is not None)
        self._multiplex = _plugin("multiplex", plan, needed=True) if plan.channel else None
        self._client = self._connect()

    def _connect(self) -> Client:
        plan = self._plan
        options: dict[str, Any] = {"compression": True} if plan.compression else {}
        client = Client(
            plan.url,
            headers=plan.headers,
            token=plan.token,
            origin=plan.origin,
            subprotocols=plan.subprotocols,
            codec=plan.codec,
            plugins=[plugin for plugin in (self._emitter, self._multiplex) if plugin is not None],
            reconnect=Backoff() if plan.reconnect else False,
            timeout=plan.timeout,
            tls=plan.tls,
            server_name=plan.server_name,
            proxy=plan.proxy,
            redirects=plan.redirects,
            limits={"message_bytes": MESSAGE_BYTES},
            **options,
        )
        connector = parse_url(plan.url).connector
        if not is_there("dialect", connector):
            look_up("connector", connector)  # now, for its import takes a while
        client.on_state(self._on_state)
        client.on_open(self._on_open)
        client.on_message(self.heard)
        client.on_error(self._on_error)
        if self._emitter is not None:
            self._emitter.on("*")(self._on_event)
        if self._multiplex is not None:
            handlers = self._multiplex.channel(plan.channel)
            handlers.on_message(self.heard)
            handlers.on_close(self._on_channel_close)
            handlers.on_error(self._on_error)
        return client

    async def run(self) -> int:
        """Converse until it is over.

        :returns: the exit code
        :raises ConfigError: what was asked for cannot be done
        """
        progress = self._progress
        try:
            with self._scope:
                async with self._client as spark:
                    await self._converse(spark)
        except (UnisockError, OSError) as error:
            if isinstance(error, ConfigError):
                raise
            progress.error = progress.error or error
        if progress.error is not None:
            self.fail(explain(progress.error, redirects=self._plan.redirects))
        elif self.screen.gone:
            raise BrokenPipeError
        self._sum_up()
        if progress.interrupted:
            return EXIT_INTERRUPTED
        return EXIT_FAILURE if self.failed else 0

    def _sum_up(self) -> None:
        """How it ended, if that is not as it should be."""
        last = self._progress.last
        if last is None or self._progress.error is not None:
            return
        close = last.close or Close()
        if close.origin is not Origin.LOCAL:
            self.failed = self.failed or close.code not in (1000, 1005)
        if last.dropped:
            count = "1 message" if last.dropped == 1 else f"{last.dropped} messages"
            self.fail(f"{count} could not be sent")

    async def _converse(self, spark: Spark) -> None:
        await self._client.wait_for(State.OPEN)
        self._main = spark
        plan = self._plan
        if self._multiplex is not None:
            try:
                self._channel = self._multiplex.join(spark, plan.channel, plan.channel_auth)
            except (ValueError, EncodeError) as error:
                raise ConfigError(f"--channel: {error}", key="channel") from error
        async with task_group() as group:
            group.start_soon(self.wait_for_end, group.cancel_scope)
            if plan.typed and plan.lines:
                self._progress.interrupted = not await self.read_typed()
            elif plan.lines:
                await self._pipe()
            else:
                await self._execute()
            group.cancel_scope.cancel()

    # What is sent.

    async def _pipe(self) -> None:
        try:
            await read_lines(self.take)
        except NotText as error:
            self.complain(f"{error}; messages are text, or with --slash: /hex 00 ff")
            return
        await self._linger()

    async def _execute(self) -> None:
        plan = self._plan
        for text in plan.execute:
            await self.take(text)
        if plan.event is not None:
            name, args = plan.event
            try:
                if plan.request:
                    await self._request(name, args)
                else:
                    self.emit(name, args)
            except (ValueError, EncodeError) as error:
                raise ConfigError(f"--emit {name}: {error}", key="emit") from error
        await self._linger()

    async def _linger(self) -> None:
        await anyio.sleep(self._plan.wait)
        if self._client.state is not State.OPEN:
            self.fail("not connected at the end")

    async def _request(self, name: str, args: Sequence[object]) -> None:
        assert self._emitter is not None
        since = time.perf_counter()
        try:
            value = await self._emitter.request(self.spark, name, *args, timeout=self._plan.timeout)
        except ConnectionClosed as error:
            self.complain(f"no answer to {name!r}: the connection is closed: {error}")
        except (EncodeError, ConfigError):
            raise
        except UnisockError as error:
            what = f"{name!r} failed: " if hasattr(error, "code") else ""
            self.complain(f"{what}{error}")
        else:
            self.screen.answer(value, time.perf_counter() - since)

    # What the commands ask.

    @property
    def spark(self) -> Spark | None:
        return self._channel or self._main

    def status(self) -> str:
        parts = [self._plan.url, str(self._client.state)]
        if self._plan.channel:
            parts.append(f"channel {self._plan.channel}")
        if self._main is not None:
            if self._main.handshake.subprotocol:
                parts.append(f"subprotocol {self._main.handshake.subprotocol}")
            if self._main.latency is not None:
                parts.append(milliseconds(self._main.latency))
        last = self._progress.last
        if self._client.state is State.WAITING and last is not None and last.queued:
            parts.append(f"{last.queued} waiting")
        return " · ".join(parts)

    def reconnect(self) -> None:
        if not self._plan.reconnect:
            raise ValueError("not with --no-reconnect")
        if self._client.state is State.OPEN:
            lower = getattr(self._main and self._main.connection, "lower", None)
            if lower is not None:
                self._progress.anew = True
                lower.close(Close(1001, "reconnecting"))
        else:
            self._client.reconnect_now()

    def emit(self, name: str, args: Sequence[object]) -> None:
        if self._emitter is None:
            raise ValueError("events need the emitter plugin, and --codec json or msgpack")
        if self.spark is None:
            raise ValueError("nobody is connected")
        self._emitter.emit_nowait(self.spark, name, *args)

    # What happens.

    def heard(self, spark: Spark, payload: object) -> None:
        if self._progress.opened:
            super().heard(spark, payload)
        else:  # it came with the handshake; that there is a connection is told first
            self._progress.early.append(partial(self.heard, spark, payload))

    def overheard(self, frame: ControlFrame) -> None:
        if self._progress.opened:
            super().overheard(frame)
        else:
            self._progress.early.append(partial(self.overheard, frame))

    def _on_open(self, spark: Spark) -> None:
        spark.connection.overhear(self.overheard)

    def _on_state(self, change: StateChange) -> None:
        progress = self._progress
        progress.last = change
        text = ""
        match change.state:
            case State.CONNECTING:
                progress.since = time.perf_counter()
            case State.OPEN:
                text = self._greeting(change)
                progress.opened = True
            case State.WAITING if not progress.opened:
                # Only what was there once is worth to be waited for: else it may be a typing error.
                progress.error = change.error
                self._scope.cancel()
                return
            case State.WAITING:
                text = self._waiting(change)
            case _:
                if progress.opened:
                    self.screen.state(change, "")
                    if change.close is not None:
                        self.screen.close(change.close)
                self.over.set()
                return
        self.screen.state(change, text)
        early, progress.early = progress.early, []
        for tell in early:
            tell()
        self.look()
        self.show_status()

    def _greeting(self, change: StateChange) -> str:
        seconds = time.perf_counter() - self._progress.since
        if self._progress.opened:
            waiting = f"; {change.queued} on their way" if change.queued else ""
            return f"connected again in {milliseconds(seconds)}{waiting}"
        hint = "; /help lists the commands, Ctrl-D leaves" if self._plan.typed else ""
        return f"connected to {self._plan.url} in {milliseconds(seconds)}{hint}"

    def _waiting(self, change: StateChange) -> str:
        if self._progress.anew:
            self._progress.anew = False
            self._client.reconnect_now()
            return "connecting anew"
        if change.error is not None:
            why = explain(change.error, redirects=self._plan.redirects)
        else:
            why = describe_close(change.close) if change.close is not None else "connection lost"
        if change.unconfirmed:
            count = "message" if change.unconfirmed == 1 else "messages"
            why += f"; {change.unconfirmed} {count} may not have arrived"
        return f"{why}; trying again in {change.delay:.1f} s"

    def _on_event(self, spark: Spark, name: str, *args: Any) -> None:
        self.screen.event(name, args, spark.channel)
        self.look()

    def _on_channel_close(self, spark: Spark, close: Close) -> None:
        if close.origin in (Origin.PEER, Origin.REJECTED) and self._main is not None:
            if self._main.closed is not None or self._client.state is not State.OPEN:
                return  # it went with its connection, of which the user is told
            self.fail(f"the channel {spark.channel} is over: {close.code} {close.reason}")
            self.over.set()

    def _on_error(self, spark: Spark, error: Exception) -> None:
        self.fail(f"what the server sent cannot be read: {error}")


def _plugin(name: Any, plan: Plan, *, needed: bool) -> Any:
    """A plugin, where the codec has a form for what it sends.

    :raises ConfigError: it is needed, and it is not installed, or the codec cannot carry it
    """
    if plan.codec not in ("json", "msgpack"):
        if needed:
            raise Unsupported(
                f"--codec {plan.codec} has no form for what the {name} plugin sends; write "
                "--codec json or --codec msgpack",
                what=name,
                who=plan.codec,
            )
        return None
    if needed or name in installed("plugin"):
        return look_up("plugin", name)()
    return None
