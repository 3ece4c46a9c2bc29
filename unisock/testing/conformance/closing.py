"""Closing: codes and reasons in both directions, sudden ends, failing handlers, broken rules."""

from __future__ import annotations

import anyio
import pytest

from ...errors import ClosedByPeer, ClosedLocally, ConnectionClosed, ConnectionLost
from ...limits import Limits
from ...messages import Message, Origin
from ...server import Server
from ...spark import Spark
from ..websocket import frame
from .base import AdapterTests, Watch

__all__ = ["ClosingTests", "ViolationTests"]


class ClosingTests(AdapterTests):
    """Who closed, with which code and reason; exactly once."""

    @pytest.mark.parametrize(
        ("code", "reason"), [(1000, ""), (1001, "going"), (3000, "app"), (4999, "é" * 61)]
    )
    async def test_the_servers_close_reaches_the_client(self, code: int, reason: str) -> None:
        server = self.server()
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            spark = await watch.spark()
            spark.send_nowait("last words")
            await spark.close(code, reason)
            close = await peer.wait_closed()
            assert (close.code, close.reason) == (code, reason)
            assert await peer.receive() == "last words"
            seen = await watch.end()
        assert (seen.code, seen.reason, seen.origin) == (code, reason, Origin.LOCAL)

    @pytest.mark.parametrize(
        ("code", "reason"), [(1000, ""), (1001, "going"), (3000, "app"), (4999, "é" * 61)]
    )
    async def test_the_clients_close_reaches_the_server(self, code: int, reason: str) -> None:
        self.needs("close_codes")
        server = self.server()
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            await peer.close(code, reason)
            close = await watch.end()
        assert (close.code, close.reason, close.origin) == (code, reason, Origin.PEER)

    async def test_a_close_without_a_code_is_1005(self) -> None:
        self.needs("close_codes")
        server = self.server()
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            await peer.close(1005)
            close = await watch.end()
        assert (close.code, close.reason, close.origin) == (1005, "", Origin.PEER)

    async def test_a_clients_close_in_good_order_is_no_loss(self) -> None:
        server = self.server()
        ended: list[ConnectionClosed] = []
        seen = anyio.Event()

        async def read(spark: Spark) -> None:
            try:
                while True:
                    await spark.send(await spark.receive())
            except ConnectionClosed as error:
                ended.append(error)
                seen.set()

        server.session(read)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            await peer.send("hello")
            assert await peer.receive() == "hello"
            await peer.close()
            await seen.wait()
        assert isinstance(ended[0], ClosedByPeer)

    async def test_what_was_sent_before_the_close_is_received_first(self) -> None:
        server = self.server()
        watch = self.echo(server)
        taken = _record(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            for number in range(50):
                await peer.send(str(number))
            await peer.close()
            await watch.end()
        assert taken == [str(number) for number in range(50)]

    async def test_a_sudden_loss_is_seen_once_as_1006(self) -> None:
        server = self.server()
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            await peer.send("hello")
            assert await peer.receive() == "hello"
            await peer.drop()
            close = await watch.end()
            assert (close.code, close.origin) == (1006, Origin.LOST)
            assert isinstance(close.error(), ConnectionLost)
            await running.gateway.sparks.wait_empty()
            assert running.gateway.connections == []
            assert len(running.hub) == 0
        assert len(watch.closed) == 1

    async def test_an_end_of_the_stream_without_a_close_frame_is_1006(self) -> None:
        server = self.server()
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect_wire(running)
            await peer.drop(reset=False)
            close = await watch.end()
        assert (close.code, close.origin) == (1006, Origin.LOST)
        assert len(watch.closed) == 1

    async def test_a_session_meets_the_loss_where_it_reads(self) -> None:
        server = self.server()
        ended: list[ConnectionClosed] = []
        opened, seen = anyio.Event(), anyio.Event()

        async def read(spark: Spark) -> None:
            opened.set()
            try:
                await spark.receive()
            except ConnectionClosed as error:
                ended.append(error)
                seen.set()

        server.session(read)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            await opened.wait()
            await peer.drop()
            await seen.wait()
        assert isinstance(ended[0], ConnectionLost)
        assert ended[0].code == 1006

    async def test_sending_after_the_end_is_an_error_and_never_a_crash(self) -> None:
        server = self.server()
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            spark = await watch.spark()
            await spark.close(4000, "enough")
            with pytest.raises(ClosedLocally):
                await spark.send("too late")
            assert not spark.send_nowait("too late")
            await spark.close()  # a second close is none
            assert (await peer.wait_closed()).code == 4000
        assert len(watch.closed) == 1

    async def test_a_close_in_on_open_reaches_the_client(self) -> None:
        server = self.server()

        def refuse(spark: Spark) -> None:
            spark.send_nowait("welcome")
            spark.close_nowait(4001, "not today")

        server.on_open(refuse)
        async with self.serving(server) as running:
            peer = await self.connect(running)
            close = await peer.wait_closed()
            assert (close.code, close.reason) == (4001, "not today")
            assert await peer.receive() == "welcome"

    async def test_a_client_that_ignores_the_close_is_cut_off(self) -> None:
        server = self.server(limits={"close_seconds": 0.2})
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect_wire(running)
            peer.stop_reading()
            peer.play_dead()
            spark = await watch.spark()
            await spark.close(4000, "go")
            assert running.gateway.connections == []
            close = await watch.end()
        assert (close.code, close.reason) == (4000, "go")

    @pytest.mark.parametrize("kind", ["sync", "async"])
    async def test_a_failing_handler_costs_that_spark_only(self, kind: str) -> None:
        server = self.server()
        watch = Watch(server)

        def fail(spark: Spark, message: Message) -> None:
            if message == "boom":
                raise ZeroDivisionError("boom")
            spark.send_nowait(message)

        async def fail_later(spark: Spark, message: Message) -> None:
            await anyio.lowlevel.checkpoint()
            fail(spark, message)

        server.on_message(fail if kind == "sync" else fail_later)
        async with self.serving(server) as running:
            victim, other = await self.connect(running), await self.connect(running)
            await victim.send("boom")
            assert (await victim.wait_closed()).code == 1011
            await other.send("fine")
            assert await other.receive() == "fine"
            assert (await watch.end()).code == 1011
            assert other.closed is None
        assert [type(error) for error in watch.errors] == [ZeroDivisionError]


class ViolationTests(AdapterTests):
    """A client that breaks the rules of RFC 6455 loses its connection, and nobody else does.

    Section 7.1.7 lets a server leave out the close frame, so 1006 is as good as the code that says
    what was wrong.
    """

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (frame(1, b"\xff\xfe"), 1007),
            (frame(1, b"caf\xc3"), 1007),
            (frame(1, b"hello", mask=False), 1002),
            (frame(1, b"hello", reserved=2), 1002),
            (frame(3, b"hello"), 1002),
            (frame(0xB, b"hello"), 1002),
            (frame(0, b"hello"), 1002),
            (frame(1, b"hel", fin=False) + frame(1, b"lo"), 1002),
            (frame(9, b"p" * 126), 1002),
            (frame(9, b"ping", fin=False), 1002),
            (frame(8, b"\x03"), 1002),
            (frame(8, b"\x03\xed"), 1002),
        ],
        ids=[
            "invalid-utf8",
            "cut-utf8",
            "unmasked",
            "reserved-bit",
            "unknown-opcode",
            "unknown-control",
            "continuation-of-nothing",
            "message-in-message",
            "long-ping",
            "fragmented-ping",
            "short-close",
            "close-1005",
        ],
    )
    async def test_broken_rules_close_the_connection(self, data: bytes, code: int) -> None:
        server = self.server(limits={"close_seconds": 1.0})
        watch = self.echo(server)
        taken = _record(server)
        async with self.serving(server) as running:
            other = await self.connect(running)
            peer = await self.connect_wire(running)
            await peer.send_raw(data)
            assert (await peer.wait_closed()).code in (code, 1006)
            await watch.end()
            assert taken == []
            await other.send("fine")
            assert await other.receive() == "fine"
        assert len(watch.closed) == 2

    async def test_a_fragmented_message_is_put_together(self) -> None:
        server = self.server()
        self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect_wire(running)
            euro = "€".encode()
            await peer.send_raw(frame(1, euro[:1], fin=False) + frame(9, b"in between"))
            await peer.send_raw(frame(0, b"", fin=False) + frame(0, euro[1:]))
            assert await peer.receive() == "€"

    async def test_too_many_fragments_close_the_connection(self) -> None:
        self.needs("fragments")
        server = self.server(limits={"fragments": 4})
        self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect_wire(running)
            await peer.send_fragments(["a", "b", "c", "d"])
            assert await peer.receive() == "abcd"
            await peer.send_fragments(["a", "b", "c", "d", "e"])
            assert (await peer.wait_closed()).code in (1002, 1008, 1009)

    async def test_fragments_without_an_end_hit_the_size_limit(self) -> None:
        server = self.server(limits={"message_bytes": 1000})
        watch = self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect_wire(running)
            await peer.send_raw(frame(1, b"x" * 600, fin=False) + frame(0, b"x" * 600, fin=False))
            assert (await peer.wait_closed()).code == 1009
            await watch.end()

    async def test_a_frame_that_announces_too_much_is_refused_before_it_comes(self) -> None:
        server = self.server(limits={"message_bytes": Limits().message_bytes})
        self.echo(server)
        async with self.serving(server) as running:
            peer = await self.connect_wire(running)
            await peer.send_raw(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"mask" + b"x" * 100)
            assert (await peer.wait_closed()).code == 1009


def _record(server: Server) -> list[Message]:
    """All messages that will have come to a server."""
    taken: list[Message] = []

    def note(spark: Spark, message: Message) -> Message:
        taken.append(message)
        return message

    server.incoming(note)
    return taken
