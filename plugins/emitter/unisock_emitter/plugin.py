"""The emitter: listen to events, send them, and ask for answers."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import anyio

from unisock import (
    Ack,
    Close,
    Delivery,
    Event,
    Fault,
    LimitExceeded,
    Overflow,
    Register,
    Sent,
    Spark,
    hookimpl,
)
from unisock.audience import Who, audience
from unisock.messages import printable
from unisock.recipient import Recipient

from .errors import EventError, InvalidArguments, RequestTimeout
from .listeners import Listener, Listeners, check_name
from .polls import Answers, Polls

__all__ = ["Emitter"]

log = logging.getLogger("unisock.emitter")

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Emitter:
    """Named events, both ways, with answers where they are wanted.

    Plain clients speak the envelope of primus-emitter: ``{"type": 0, "data": ["name", …]}``.

    :param timeout: how long `request` and `collect` wait for answers unless told otherwise, in
        seconds
    :param max_pending: how many answers of one spark may be waited for
    :ivar pending: the answers that are waited for
    """

    def __init__(self, *, timeout: float = 10.0, max_pending: int = 100) -> None:
        if timeout <= 0 or max_pending <= 0:
            raise ValueError("timeout and max_pending must be more than 0")
        self._timeout = timeout
        self._listeners = Listeners()
        self.pending = Polls(max_pending)

    def on(self, name: str, *, channel: str | None = None) -> Callable[[FunctionT], FunctionT]:
        """Listen to an event: ``@events.on("name")`` above ``handler(spark, *args)``.

        What the handler returns is the answer, if the client asked for one, and a tuple is an
        answer of several values. `EventError` is a refusal, and so is a `LimitExceeded` that it
        met. Types in its signature are validated, with all that `msgspec.Meta` says of them: a
        client that sends others is told. A name that ends with ``*`` takes all events that nobody
        else listens to and that begin like it; its handler
        is ``handler(spark, name, *args)``.

        :param channel: listen only on the channel with this name, ``""`` for none; there, this
            listener comes before those of all channels

        :raises ValueError: the name is reserved
        :raises ConfigError: somebody listens already, or the signature does not fit
        """

        def register(function: FunctionT) -> FunctionT:
            self._listeners.add(name, function, channel)
            return function

        return register

    async def emit(
        self, who: Who, name: str, *args: Any, overflow: Overflow | None = None
    ) -> Delivery:
        """Send an event. With one spark it waits while that is slow; see `Audience.send` for many.

        :raises ValueError: the name is reserved
        :raises EncodeError: the arguments have no form in the codec of some
        :raises ConnectionClosed: the one spark is gone
        """
        check_name(name)
        event = Event(name, args)
        if isinstance(who, Recipient):
            await who.send_packet(event)
            return Delivery(sent=1)
        return await who.send_packet(event, overflow)

    def emit_nowait(
        self, who: Who, name: str, *args: Any, overflow: Overflow | None = None
    ) -> Delivery:
        """Send an event without waiting.

        :raises ValueError: the name is reserved
        :raises EncodeError: the arguments have no form in the codec of some
        """
        check_name(name)
        event = Event(name, args)
        if isinstance(who, Recipient):
            return Delivery.of(who.send_packet_nowait(event, overflow))
        return audience(who).send_packet_nowait(event, overflow)

    async def request(
        self, spark: Recipient, name: str, *args: Any, timeout: float | None = None
    ) -> Any:
        """Send an event to one client, and wait for its answer.

        :param timeout: in seconds
        :returns: the answer; a tuple if it has several values, `None` if it has none
        :raises RemoteError: the client answered that it failed
        :raises RequestTimeout: no answer came in time
        :raises ConnectionClosed: the other side is gone, or goes meanwhile; on a client that
            reconnects, when the connection was cut: whether the event arrived, nobody knows
        :raises LimitExceeded: too many of its answers are waited for already
        """
        check_name(name)
        seconds = self._timeout if timeout is None else timeout
        poll = self.pending.ask([spark])
        try:
            with anyio.move_on_after(seconds):
                if poll.missing:
                    await spark.send_packet(Event(name, args, poll.number))
                await poll.done.wait()
        finally:
            self.pending.end(poll)
        answers = poll.answers
        if spark in answers.errors:
            raise answers.errors[spark]
        if spark not in answers.values:
            raise RequestTimeout(name, seconds)
        return answers.values[spark]

    async def collect(
        self, who: Who, name: str, *args: Any, timeout: float | None = None
    ) -> Answers:
        """Send an event to an audience, and wait until all have answered or the time is over. It is
        encoded once.

        :param timeout: in seconds
        :returns: who answered what, who failed, and who was silent
        :raises EncodeError: the arguments have no form in the codec of some
        """
        check_name(name)
        poll = self.pending.ask(audience(who))
        try:
            with anyio.move_on_after(self._timeout if timeout is None else timeout):
                await audience(*poll.missing).send_packet(Event(name, args, poll.number))
                await poll.done.wait()
        finally:
            self.pending.end(poll)
        poll.answers.silent = frozenset(poll.missing)
        return poll.answers

    # From the core.

    @hookimpl
    def unisock_configure(self, register: Register) -> None:
        register.packet(Event, self._on_event, wanted=self._listens)
        register.packet(Ack, self._on_ack, at_once=True)

    @hookimpl
    def unisock_close(self, spark: Spark, close: Close) -> None:
        self.pending.leave(spark, close)

    @hookimpl
    def unisock_interrupt(self, spark: Spark, close: Close) -> None:
        self.pending.leave(spark, close)

    def _listens(self, spark: Spark, event: Event) -> bool:
        return self._listeners.has(event.name, spark.channel)

    def _on_ack(self, spark: Spark, ack: Ack) -> None:
        if not self.pending.answer(spark, ack):
            log.debug("%r: an answer that nobody waits for", spark)

    def _on_event(self, spark: Spark, event: Event) -> Awaitable[None] | None:
        listener = self._listeners.find(event.name, spark.channel)
        if listener is None:
            log.debug("%r: nobody listens to %s", spark, printable(event.name, 100))
            return self._refuse(spark, event, Fault("unknown-event", "nobody listens to that"))
        try:
            args = listener.bind(event.args)
        except InvalidArguments as error:
            if event.id is None:
                spark.on_violation(error)
                return None
            return self._refuse(spark, event, Fault("invalid-arguments", printable(str(error))))
        return self._call(spark, event, listener, args)

    def _call(
        self, spark: Spark, event: Event, listener: Listener, args: Sequence[Any]
    ) -> Awaitable[None] | None:
        try:
            if listener.with_name:
                result = listener.function(spark, event.name, *args)
            else:
                result = listener.function(spark, *args)
            if result is not None and inspect.isawaitable(result):
                return self._await(spark, event, result)
            return self._answer(spark, event, result)
        except (EventError, LimitExceeded) as error:
            return self._refuse(spark, event, _fault(error))
        except Exception:
            self._apologise(spark, event)
            raise

    async def _await(self, spark: Spark, event: Event, result: Awaitable[Any]) -> None:
        try:
            waiting = self._answer(spark, event, await result)
        except (EventError, LimitExceeded) as error:
            waiting = self._refuse(spark, event, _fault(error))
        except Exception:
            self._apologise(spark, event)
            raise
        if waiting is not None:
            await waiting

    def _answer(self, spark: Spark, event: Event, value: Any) -> Awaitable[None] | None:
        if event.id is None:
            return None
        kind: Any = value.__class__
        values = value if kind is tuple else () if value is None else (value,)
        return _send_ack(spark, Ack(event.id, values))

    def _refuse(self, spark: Spark, event: Event, fault: Fault) -> Awaitable[None] | None:
        if event.id is None:
            log.debug("%r: %s refused: %s", spark, printable(event.name, 100), fault.code)
            return None
        return _send_ack(spark, Ack(event.id, fault=fault))

    def _apologise(self, spark: Spark, event: Event) -> None:
        """The handler failed, and the core will log that and close: tell who waits, if it can be
        told at once.
        """
        if event.id is not None and spark.closed is None:
            fault = Fault("internal-error", "the handler failed")
            spark.send_packet_nowait(Ack(event.id, fault=fault))


def _fault(error: EventError | LimitExceeded) -> Fault:
    if isinstance(error, EventError):
        return Fault(error.code, error.message)
    return Fault(error.limit, str(error))


def _send_ack(spark: Spark, ack: Ack) -> Awaitable[None] | None:
    """Send an answer; something to await, if the client is too slow to take it now."""
    sent = spark.send_packet_nowait(ack, Overflow.WAIT)
    if sent is Sent.DROPPED and spark.closed is None:
        return spark.send_packet(ack)
    return None
