"""Answers that are waited for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio

from unisock import Ack, Close, LimitExceeded
from unisock.recipient import Recipient

from .errors import RemoteError

__all__ = ["Answers", "Poll", "Polls"]


class Answers:
    """What came back from an audience.

    :ivar values: the answers, by spark
    :ivar errors: why there will be none: a `RemoteError`, `ConnectionClosed` or `LimitExceeded`
    :ivar silent: who had not answered when the time was over
    """

    def __init__(self) -> None:
        self.values: dict[Recipient, Any] = {}
        self.errors: dict[Recipient, Exception] = {}
        self.silent: frozenset[Recipient] = frozenset()

    def __repr__(self) -> str:
        return (
            f"<Answers: {len(self.values)} values, {len(self.errors)} errors, "
            f"{len(self.silent)} silent>"
        )


class Poll:
    """One event that several clients, or one, are to answer."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.answers = Answers()
        self.missing: set[Recipient] = set()
        self.done = anyio.Event()

    def answered(self, spark: Recipient, ack: Ack) -> None:
        """An answer. One value stands for itself, several are a tuple."""
        if ack.fault is not None:
            self.failed(spark, RemoteError(ack.fault.code, ack.fault.message))
        else:
            self.answers.values[spark] = _value(ack.args)
            self._settled(spark)

    def failed(self, spark: Recipient, error: Exception) -> None:
        """There will be no answer."""
        self.answers.errors[spark] = error
        self._settled(spark)

    def _settled(self, spark: Recipient) -> None:
        self.missing.discard(spark)
        if not self.missing:
            self.done.set()


class Polls:
    """All polls under way, by the spark that is to answer: nobody answers for another.

    :param most: how many one spark may have before it
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._number = 0
        self._open: dict[Recipient, dict[int, Poll]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def ask(self, recipients: Iterable[Recipient]) -> Poll:
        """A new poll. Who has too many before it already is marked as failed."""
        self._number += 1
        poll = Poll(self._number)
        for spark in recipients:
            asked = self._open.get(spark, {})
            if spark.closed is not None:
                poll.answers.errors[spark] = spark.closed.error()
            elif len(asked) >= self._most:
                poll.answers.errors[spark] = LimitExceeded("pending_answers", self._most)
            else:
                poll.missing.add(spark)
                self._open[spark] = asked
                asked[poll.number] = poll
        if not poll.missing:
            poll.done.set()
        return poll

    def answer(self, spark: Recipient, ack: Ack) -> bool:
        """Take an answer in; `False` if nobody waits for it: asked twice, too late, or made up."""
        asked = self._open.get(spark, {})
        poll = asked.pop(ack.id, None)
        if not asked:
            self._open.pop(spark, None)
        if poll is not None:
            poll.answered(spark, ack)
        return poll is not None

    def leave(self, spark: Recipient, close: Close) -> None:
        """A spark is gone, and with it all its answers."""
        for poll in self._open.pop(spark, {}).values():
            poll.failed(spark, close.error())

    def end(self, poll: Poll) -> None:
        """Wait for a poll no more."""
        for spark in poll.missing:
            asked = self._open.get(spark, {})
            asked.pop(poll.number, None)
            if not asked:
                self._open.pop(spark, None)


def _value(args: tuple[object, ...]) -> Any:
    return args[0] if len(args) == 1 else args or None
