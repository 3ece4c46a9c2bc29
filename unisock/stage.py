"""Bringing clients before the application: the sparks of one pipeline, and their channels."""

from __future__ import annotations

import inspect
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import anyio

from .abc import Channel, Connection, Encoder, Opener, Party, Stage
from .errors import HandshakeRejected
from .handlers import ChannelHandlers
from .pipeline import Handler, Handlers, Pipeline
from .spark import Spark

__all__ = ["ChannelFinder", "PipelineBuilder", "SparkStage"]

ChannelFinder: TypeAlias = Callable[[str], ChannelHandlers | None]
"""Finds whose channel it is, by its name; `None` if nobody's."""

PipelineBuilder: TypeAlias = Callable[[Mapping[str, Handler], bool], Pipeline]
"""``build(handlers, inbox)``; with ``inbox``, messages that no handler takes wait for `receive`."""

log = logging.getLogger("unisock")


class SparkStage(Stage):
    """Makes sparks with one pipeline.

    :param pipeline: what happens to them
    :param entered: told of each new spark, before it starts
    :param finders: who may know a channel, in the order in which they are asked
    :param build: makes the pipelines of channels
    :param guard: asked about each channel before its own ``authorize``, and about one without a
        name; raises `HandshakeRejected`, or gives the user
    :param is_client: whether this side makes the connections
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        entered: Callable[[Spark], None],
        finders: Sequence[ChannelFinder],
        build: PipelineBuilder,
        is_client: bool = False,
        guard: Callable[[Channel], Awaitable[Any]] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.is_client = is_client
        self.packets = frozenset(pipeline.packets)
        self.has_channels = bool(finders)
        self.limits = pipeline.limits
        self.runtime = pipeline.runtime
        self._entered = entered
        self._finders = finders
        self._build = build
        self._guard = guard
        self._stages: dict[ChannelHandlers, SparkStage] = {}
        self._unasked: SparkStage | None = None

    def enter(
        self,
        connection: Connection,
        encoder: Encoder,
        *,
        id: str = "",
        opener: Opener | None = None,
    ) -> Party:
        spark = Spark(
            id or connection.id or secrets.token_urlsafe(16),
            connection,
            encoder,
            self.pipeline,
            opener=opener,
        )
        if isinstance(connection, Channel):
            connection.party = spark
        self._entered(spark)
        spark.start()
        return spark

    def join(self, channel: Channel, *, ours: bool = False) -> None:
        name = channel.channel
        handlers = self._find(name) if name else None
        if ours:
            channel.admitted(self._stage_of(handlers) if name else self)
        elif name and handlers is None:
            channel.unknown()
        else:
            questions = [] if self._guard is None else [self._guard]
            if handlers is not None and "authorize" in handlers.handlers.functions:
                questions.append(handlers.handlers.functions["authorize"])
            self._ask(channel, self._stage_of(handlers) if name else self, questions)

    def _find(self, name: str) -> ChannelHandlers | None:
        for finder in self._finders:
            handlers = finder(name)
            if handlers is not None:
                return handlers
        return None

    def _stage_of(self, handlers: ChannelHandlers | None) -> SparkStage:
        """The stage for channels with these handlers; without any, messages wait in the inbox."""
        if handlers is None:
            if self._unasked is None:
                self._unasked = self._make({}, True)
            return self._unasked
        stage = self._stages.get(handlers)
        if stage is None:
            self._stages[handlers] = stage = self._make(
                handlers.handlers.over(Handlers()), not handlers.handlers.functions
            )
        return stage

    def _make(self, handlers: Mapping[str, Handler], inbox: bool) -> SparkStage:
        return SparkStage(
            self._build(handlers, inbox),
            entered=self._entered,
            finders=(),
            build=self._build,
            is_client=self.is_client,
        )

    def _ask(self, channel: Channel, stage: SparkStage, questions: Sequence[Handler]) -> None:
        """Let the application decide: it raises, or returns `False`, to refuse."""
        for number, question in enumerate(questions, 1):
            try:
                answer = question(channel)
            except Exception as error:
                channel.refused(_rejection(channel, error))
                return
            if inspect.isawaitable(answer):
                self.runtime.spawn(self._ask_later, channel, stage, answer, questions[number:])
                return
            if not _agrees(channel, answer):
                return
        if channel.closed is None:
            channel.admitted(stage)

    async def _ask_later(
        self,
        channel: Channel,
        stage: SparkStage,
        awaiting: Awaitable[Any],
        questions: Sequence[Handler],
    ) -> None:
        try:
            with anyio.fail_after(self.limits.authorize_seconds):
                answer = await awaiting
        except TimeoutError:
            channel.refused(
                HandshakeRejected("authorize took too long", status=503, code=1013, retry=True)
            )
        except Exception as error:
            channel.refused(_rejection(channel, error))
        else:
            if _agrees(channel, answer):
                self._ask(channel, stage, questions)


def _agrees(channel: Channel, answer: Any) -> bool:
    if answer is False:
        channel.refused(HandshakeRejected())
        return False
    if answer is not None:
        channel.user = answer
    return True


def _rejection(channel: Channel, error: Exception) -> HandshakeRejected:
    if isinstance(error, HandshakeRejected):
        return error
    log.error("%r: exception in authorize of a channel", channel.handshake, exc_info=error)
    return HandshakeRejected("Internal server error", status=500)
