"""Who is here."""

from __future__ import annotations

from collections.abc import Iterator

from .audience import Audience
from .spark import Spark

__all__ = ["Hub"]


class Hub(Audience):
    """The live sparks of a server by id; as an `Audience`, everyone: each client once, and so
    without the sparks of channels.
    """

    __slots__ = ("_channels", "_sparks")

    def __init__(self) -> None:
        self._sparks: dict[str, Spark] = {}
        self._channels: dict[str, Spark] = {}

    def __iter__(self) -> Iterator[Spark]:
        return iter([*self._sparks.values()])

    def __contains__(self, recipient: object) -> bool:
        return isinstance(recipient, Spark) and self._sparks.get(recipient.id) is recipient

    def __len__(self) -> int:
        return len(self._sparks)

    def __getitem__(self, id: str) -> Spark:
        """The live spark with this id, on a channel or not.

        :raises KeyError: it is not here
        """
        spark = self.get(id)
        if spark is None:
            raise KeyError(id)
        return spark

    def get(self, id: str) -> Spark | None:
        """The live spark with this id, on a channel or not; or `None`."""
        return self._sparks.get(id) or self._channels.get(id)

    def knows(self, spark: Spark) -> bool:
        """Whether this spark, on a channel or not, is a live one of this server."""
        return self.get(spark.id) is spark

    @property
    def everyone(self) -> Audience:
        """All live sparks, read anew at each send."""
        return self

    def add(self, spark: Spark) -> None:
        """Let a spark in. The server does this."""
        self._book(spark)[spark.id] = spark

    def remove(self, spark: Spark) -> None:
        """Let a spark go. The server does this."""
        if self.knows(spark):
            del self._book(spark)[spark.id]

    def _book(self, spark: Spark) -> dict[str, Spark]:
        return self._channels if spark.channel else self._sparks

    def __repr__(self) -> str:
        return f"<Hub of {len(self)} sparks>"
