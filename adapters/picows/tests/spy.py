"""What is written to a client, write by write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from anyio.abc import ByteStream

from unisock import Spark
from unisock_picows.connection import PicowsConnection

__all__ = ["connection_of", "exactly", "spy"]


def connection_of(spark: Spark) -> PicowsConnection:
    connection = spark.connection
    assert isinstance(connection, PicowsConnection)
    return connection


def spy(spark: Spark) -> list[bytes]:
    """What is written to a client from now on."""
    connection = connection_of(spark)
    written: list[bytes] = []
    outlet = connection.outlet
    put_out = outlet.put_out

    def note(data: bytes) -> None:
        written.append(data)
        put_out(data)

    outlet.put_out = note
    outlet.transport = cast("Any", _Tapped(outlet.transport, written))
    return written


class _Tapped:
    """A transport, and what is written to it in parts."""

    def __init__(self, transport: Any, written: list[bytes]) -> None:
        self._transport = transport
        self._written = written

    def writelines(self, parts: Iterable[bytes]) -> None:
        self._written.append(b"".join(parts))
        self._transport.writelines(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def exactly(stream: ByteStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive(size - len(data))
    return data
