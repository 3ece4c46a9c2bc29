"""Messages: whole, in order, of any size up to the limit."""

from __future__ import annotations

import anyio
import pytest

from ...errors import EncodeError
from ...messages import Message
from ...spark import Spark
from ..peers import Peer
from ..running import task_group
from .base import AdapterTests

__all__ = ["MessageTests"]

MIB = 1_048_576


class MessageTests(AdapterTests):
    """Text, binary, order, size."""

    @pytest.mark.parametrize(
        "text",
        ["hello", "", "a\x00b", "κόσμε", "🐍", '"quoted" \\ \u2028 \u0085', "x" * 125, "y" * 126],
        ids=["word", "empty", "nul", "greek", "astral", "escapes", "125", "126"],
    )
    async def test_text_comes_back(self, text: str) -> None:
        await self._comes_back(text)

    @pytest.mark.parametrize(
        "data",
        [b"\x00\xff\x80", b"", bytes(range(256)), b"z" * 65_535, b"z" * 65_536],
        ids=["bytes", "empty", "every-byte", "65535", "65536"],
    )
    async def test_binary_comes_back(self, data: bytes) -> None:
        self.needs("binary")
        await self._comes_back(data)

    async def test_one_mebibyte_comes_back(self) -> None:
        await self._comes_back("é" * (MIB // 2))

    async def test_text_and_binary_are_told_apart(self) -> None:
        self.needs("binary")
        server = self.server()
        self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            for message in ("1", b"1", "", b"", "2"):
                await peer.send(message)
            received = [await peer.receive() for _ in range(5)]
        assert received == ["1", b"1", "", b"", "2"]

    async def test_binary_over_a_text_session_is_refused_to_the_sender(self) -> None:
        if self.capabilities.binary:
            pytest.skip("capability: binary messages can be sent")
        server = self.server()
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            spark = await watch.spark()
            with pytest.raises(EncodeError):
                spark.send_nowait(b"\x00")
            spark.send_nowait("still here")
            assert await peer.receive() == "still here"

    async def test_a_message_of_exactly_the_limit_is_taken(self) -> None:
        server = self.server(limits={"message_bytes": 1000})
        self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            await peer.send("é" * 500)
            assert await peer.receive() == "é" * 500

    async def test_one_byte_over_the_limit_closes_with_1009(self) -> None:
        server = self.server(limits={"message_bytes": 1000})
        taken: list[Message] = []

        def take(spark: Spark, message: Message) -> None:
            taken.append(message)

        server.on_message(take)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            await peer.send("é" * 500 + "x")
            assert (await peer.wait_closed()).code == 1009
        assert taken == []

    async def test_a_thousand_messages_keep_their_order(self) -> None:
        server = self.server()
        self.echo(server)
        async with self.serving(server) as running, task_group() as group:
            peer = await self.connect(running)
            group.start_soon(_send_all, peer, [str(number) for number in range(1000)])
            received = [await peer.receive() for _ in range(1000)]
        assert received == [str(number) for number in range(1000)]

    async def test_an_async_handler_keeps_the_order(self) -> None:
        server = self.server()

        async def echo(spark: Spark, message: str) -> None:
            for _ in range(int(message) % 3):
                await anyio.lowlevel.checkpoint()
            await spark.send(message)

        server.on_message(echo)
        async with self.serving(server) as running, task_group() as group:
            peer = await self.connect(running)
            group.start_soon(_send_all, peer, [str(number) for number in range(300)])
            received = [await peer.receive() for _ in range(300)]
        assert received == [str(number) for number in range(300)]

    async def test_concurrent_clients_each_keep_their_order(self) -> None:
        server = self.server()
        self.echo(server)
        async with self.serving(server) as running:
            peers = [await self.connect(running) for _ in range(5)]
            async with task_group() as group:
                for number, peer in enumerate(peers):
                    group.start_soon(self._ping_pong, peer, f"{number}:")

    async def test_concurrent_senders_to_one_client_each_keep_their_order(self) -> None:
        server = self.server()
        watch = self.echo(server)
        names = "abcd"
        async with self.serving(server) as running, task_group() as group:
            peer = await self.connect(running)
            spark = await watch.spark()
            for name in names:
                group.start_soon(_send_numbered, spark, name, 100)
            received = [str(await peer.receive()) for _ in range(100 * len(names))]
        for name in names:
            mine = [message for message in received if message[0] == name]
            assert mine == [f"{name}{number}" for number in range(100)]

    async def test_a_session_reads_its_messages_and_its_return_closes(self) -> None:
        server = self.server()

        async def count(spark: Spark) -> None:
            async for message in spark:
                await spark.send(message)
                if message == "last":
                    return

        server.session(count)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            await _send_all(peer, ["first", "last"])
            assert [await peer.receive(), await peer.receive()] == ["first", "last"]
            assert (await peer.wait_closed()).code == 1000

    async def test_a_broadcast_reaches_everyone(self) -> None:
        server = self.server()

        async def tell(spark: Spark, message: str) -> None:
            await server.everyone.send(message)

        server.on_message(tell)
        async with self.serving(server) as running:
            peers = [await self.connect(running) for _ in range(5)]
            for peer in peers:  # so that the server knows each
                await peer.send("hello")
            await peers[0].send("all here")
            for peer in peers:
                while await peer.receive() != "all here":
                    pass

    async def _comes_back(self, message: Message) -> None:
        server = self.server()
        self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            await peer.send(message)
            assert await peer.receive() == message

    async def _ping_pong(self, peer: Peer, prefix: str) -> None:
        for number in range(100):
            await peer.send(f"{prefix}{number}")
        for number in range(100):
            assert await peer.receive() == f"{prefix}{number}"


async def _send_all(peer: Peer, messages: list[str]) -> None:
    for message in messages:
        await peer.send(message)


async def _send_numbered(spark: Spark, name: str, count: int) -> None:
    for number in range(count):
        await spark.send(f"{name}{number}")
        await anyio.lowlevel.checkpoint()
