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
from .messages import printable
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
        handlers = self._find(channel.channel)
        if ours:
            channel.admitted(self._stage_of(handlers))
        elif handlers is None:
            name = printable(channel.channel, 60)
            channel.refused(HandshakeRejected(f"there is no channel {name}", status=404))
        else:
            authorize = handlers.handlers.functions.get("authorize")
            stage = self._stage_of(handlers)
            if authorize is None:
                channel.admitted(stage)
            else:
                self._ask(channel, stage, authorize)

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

    def _ask(self, channel: Channel, stage: SparkStage, authorize: Handler) -> None:
        """Let the application decide: it raises, or returns `False`, to refuse."""
        try:
            answer = authorize(channel)
        except Exception as error:
            channel.refused(_rejection(channel, error))
        else:
            if inspect.isawaitable(answer):
                self.runtime.spawn(self._ask_later, channel, stage, answer)
            else:
                _decide(channel, stage, answer)

    async def _ask_later(
        self, channel: Channel, stage: SparkStage, awaiting: Awaitable[Any]
    ) -> None:
        answer: Any = False
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
            _decide(channel, stage, answer)


def _decide(channel: Channel, stage: SparkStage, answer: Any) -> None:
    if answer is False:
        channel.refused(HandshakeRejected())
    elif channel.closed is None:
        if answer is not None:
            channel.user = answer
        channel.admitted(stage)


def _rejection(channel: Channel, error: Exception) -> HandshakeRejected:
    if isinstance(error, HandshakeRejected):
        return error
    log.error("%r: exception in authorize of a channel", channel.handshake, exc_info=error)
    return HandshakeRejected("Internal server error", status=500)
