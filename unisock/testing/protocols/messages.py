"""Messages: whole, in order, of any size up to the limit, to one client and to all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

import anyio
import pytest

from ...errors import ConnectionClosed, EncodeError
from ...messages import Message
from ...spark import Spark
from ..conformance.base import Watch
from ..running import Running, task_group
from .base import ProtocolTests, Way

__all__ = ["MessageTests"]

MIB = 1_048_576
TEXTS = (
    "hello",
    "",
    "two\nlines",
    "κόσμε",
    "🐍",
    '"quoted" \\ \u2028 \u0085',
    "100 %41 %",
    "a\x00b\x1f\x7f",
    "null",
    "[]",
    " ",
    "x" * 125,
    "y" * 126,
    "z" * 65_536,
)
BINARY = (b"\x00\xff\x80", b"", bytes(range(256)), b"4", b"z" * 65_536)


class MessageTests(ProtocolTests):
    """Text, binary, order, size, broadcast."""

    async def test_text_arrives_as_it_was(self, way: Way) -> None:
        server = self.server(way)

        async def greet(spark: Spark) -> None:
            for text in TEXTS:
                await spark.send(text)

        server.on_open(greet)
        # Where there is an upgrade, it happens meanwhile.
        async with self.serving(server) as running, self.make_client(running, way) as spark:
            assert [await spark.receive() for _ in TEXTS] == [*TEXTS]

    async def test_text_comes_back_as_it_was(self, way: Way) -> None:
        self.needs_way(way, "two_way")
        await self._comes_back(way, TEXTS)

    async def test_binary_comes_back_as_it_was_and_is_told_from_text(self, way: Way) -> None:
        self.needs("binary")
        self.needs_way(way, "two_way")
        await self._comes_back(way, [*BINARY, "1", b"1", "", b"", "2"])

    async def test_binary_is_refused_to_its_sender_where_it_cannot_go(self, way: Way) -> None:
        if self.binary:
            pytest.skip("capability: binary messages can be sent")
        server = self.server(way)
        watch = self.echo(server)
        async with self.serving(server) as running, self.client(running, way) as spark:
            there = await watch.spark()
            for end in (there, spark):
                with pytest.raises(EncodeError):
                    await end.send(b"\x00")
            await there.send("still here")
            assert await spark.receive() == "still here"

    async def test_a_client_that_can_only_listen_is_told_so(self, way: Way) -> None:
        if way.two_way:
            pytest.skip("capability: the client can send")
        server = self.server(way)
        watch = self.echo(server)
        async with self.serving(server) as running, self.client(running, way) as spark:
            with pytest.raises(EncodeError):
                await spark.send("hello?")
            await (await watch.spark()).send("still here")
            assert await spark.receive() == "still here"

    async def test_one_mebibyte_comes_back(self, way: Way) -> None:
        self.needs_way(way, "two_way")
        await self._comes_back(way, ["é" * (MIB // 2)])
        if self.binary:
            await self._comes_back(way, [bytes(range(256)) * (MIB // 256)])

    @pytest.mark.parametrize("kind", ["text", "binary"])
    async def test_a_message_of_the_limit_is_taken_and_one_byte_more_is_1009(
        self, way: Way, kind: str
    ) -> None:
        self.needs_way(way, "two_way")
        if kind == "binary":
            self.needs("binary")
        most: Message = "é" * 500 if kind == "text" else b"b" * 1000
        more: Message = "é" * 500 + "x" if kind == "text" else b"b" * 1001
        server = self.server(way, limits={"message_bytes": 1000})
        watch = self.echo(server)
        async with self.serving(server) as running, self.client(running, way) as spark:
            await spark.send(most)
            assert await spark.receive() == most
            await spark.send(more)
            with pytest.raises(ConnectionClosed) as closed:
                await spark.receive()
            assert closed.value.code == 1009
            await watch.end()

    async def test_a_client_has_a_limit_too(self, way: Way) -> None:
        server = self.server(way)
        watch = self.echo(server)
        limits = {"message_bytes": 1000}
        async with self.serving(server) as running:
            async with self.client(running, way, limits=limits) as spark:
                there = await watch.spark()
                await there.send("é" * 500)
                assert await spark.receive() == "é" * 500
                await there.send("é" * 500 + "x")
                with pytest.raises(ConnectionClosed) as closed:
                    await spark.receive()
                assert closed.value.code == 1009
            await watch.end()

    async def test_many_messages_each_way_keep_their_order(self, way: Way) -> None:
        server = self.server(way)
        many, taken = [str(number) for number in range(self.many)], list[Message]()
        watch = Watch(server)

        def take(spark: Spark, message: Message) -> None:
            taken.append(message)
            watch.changed()

        server.on_message(take)
        async with self.serving(server) as running, self.make_client(running, way) as spark:
            async with task_group() as group:
                group.start_soon(_send_all, await watch.spark(), many)
                if way.two_way:
                    group.start_soon(_send_all, spark, many)
                assert [await spark.receive() for _ in many] == many
            if way.two_way:
                await watch.until(lambda: len(taken) == len(many))
                assert taken == many

    async def test_many_clients_share_a_broadcast_and_nothing_else(self, way: Way) -> None:
        server = self.server(way)
        watch = self.echo(server)
        async with self.serving(server) as running, AsyncExitStack() as stack:
            sparks = await self._come(running, way, 8, stack)
            await watch.spark(7)
            delivery = server.everyone.send_nowait("all here")
            assert (delivery.sent + delivery.queued, delivery.dropped) == (8, 0)
            for number, spark in enumerate(sparks):
                assert await spark.receive() == "all here"
                if way.two_way:
                    await _send_all(spark, [f"{number}:{count}" for count in range(20)])
            if way.two_way:
                for number, spark in enumerate(sparks):
                    got = [await spark.receive() for _ in range(20)]
                    assert got == [f"{number}:{count}" for count in range(20)]

    async def test_senders_to_one_client_each_keep_their_order(self, way: Way) -> None:
        server = self.server(way)
        watch = self.echo(server)
        names = "abcd"
        async with self.serving(server) as running, self.client(running, way) as spark:
            there = await watch.spark()
            async with task_group() as group:
                for name in names:
                    group.start_soon(_send_all, there, [f"{name}{number}" for number in range(50)])
                received = [str(await spark.receive()) for _ in range(50 * len(names))]
        for name in names:
            mine = [message for message in received if message[0] == name]
            assert mine == [f"{name}{number}" for number in range(50)]

    async def _comes_back(self, way: Way, messages: Sequence[Message]) -> None:
        server = self.server(way)
        self.echo(server)
        async with self.serving(server) as running, self.make_client(running, way) as spark:
            for message in messages:
                await spark.send(message)
            assert [await spark.receive() for _ in messages] == [*messages]

    async def _come(
        self, running: Running, way: Way, count: int, stack: AsyncExitStack
    ) -> list[Spark]:
        clients = [self.make_client(running, way) for _ in range(count)]
        return [await stack.enter_async_context(client) for client in clients]


async def _send_all(spark: Spark, messages: Sequence[str]) -> None:
    for number, message in enumerate(messages):
        await spark.send(message)
        if number % 10 == 0:
            await anyio.lowlevel.checkpoint()
