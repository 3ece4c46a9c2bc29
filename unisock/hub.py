"""Who is here."""

from __future__ import annotations

from collections.abc import Iterator

from .audience import Audience
from .spark import Spark

__all__ = ["Hub"]


class Hub(Audience):
    """The live sparks of a server by id; as an `Audience`, everyone."""

    __slots__ = ("_sparks",)

    def __init__(self) -> None:
        self._sparks: dict[str, Spark] = {}

    def __iter__(self) -> Iterator[Spark]:
        return iter([*self._sparks.values()])

    def __contains__(self, recipient: object) -> bool:
        return isinstance(recipient, Spark) and self._sparks.get(recipient.id) is recipient

    def __len__(self) -> int:
        return len(self._sparks)

    def __getitem__(self, id: str) -> Spark:
        """The live spark with this id.

        :raises KeyError: it is not here
        """
        return self._sparks[id]

    def get(self, id: str) -> Spark | None:
        """The live spark with this id, or `None`."""
        return self._sparks.get(id)

    @property
    def everyone(self) -> Audience:
        """All live sparks, read anew at each send."""
        return self

    def add(self, spark: Spark) -> None:
        """Let a spark in. The server does this."""
        self._sparks[spark.id] = spark

    def remove(self, spark: Spark) -> None:
        """Let a spark go. The server does this."""
        if self._sparks.get(spark.id) is spark:
            del self._sparks[spark.id]

    def __repr__(self) -> str:
        return f"<Hub of {len(self)} sparks>"
