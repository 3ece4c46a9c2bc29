"""The end of a session: from either side, by a failure, or without a word."""

from __future__ import annotations

import anyio
import pytest

from ...errors import ClosedByPeer, ClosedLocally, ConnectionClosed, ConnectionRejected
from ...messages import Message, Origin
from ...server import Server
from ...spark import Spark
from ..conformance.base import Watch
from ..relay import relaying
from .base import ProtocolTests, Way, read_to_the_end

__all__ = ["ClosingTests"]

PLAIN_CODES = (1000, 1005, 1006)
"""What a close comes to, where codes do not get through."""
CODES = pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (3000, "app"), (4999, "é" * 61)], ids=["1000", "3000", "4999"]
)


class ClosingTests(ProtocolTests):
    """Who closed, with which code and reason; once, and behind all that was sent."""

    @CODES
    async def test_the_servers_close_reaches_the_client(
        self, way: Way, code: int, reason: str
    ) -> None:
        server = self.server(way)
        watch = self.echo(server)
        async with self.serving(server) as running, self.client(running, way) as spark:
            there = await watch.spark()
            for number in range(20):
                there.send_nowait(str(number))
            await there.close(code, reason)
            closed = await _until_closed(spark, [str(number) for number in range(20)])
            if way.close_to_client:
                assert (closed.code, closed.reason) == (code, reason)
                # From 4500 on, a code tells the client not to come back.
                assert isinstance(closed, ConnectionRejected if code == 4999 else ClosedByPeer)
            else:
                assert closed.code in PLAIN_CODES
            seen = await watch.end()
        assert (seen.code, seen.reason, seen.origin) == (code, reason, Origin.LOCAL)
        assert len(watch.closed) == 1

    @CODES
    async def test_the_clients_close_reaches_the_server(
        self, way: Way, code: int, reason: str
    ) -> None:
        server = self.attentive_server(way)
        watch = Watch(server)
        taken = _record(server)
        async with self.serving(server) as running, self.client(running, way) as spark:
            await watch.spark()
            if way.two_way:
                for number in range(20):
                    await spark.send(str(number))
            await spark.close(code, reason)
            seen = await watch.end()
            await running.gateway.sparks.wait_empty()
            with pytest.raises(ClosedLocally):
                await spark.receive()
        if way.close_to_server and self.capabilities.close_codes:
            assert (seen.code, seen.origin) == (code, Origin.PEER)
            assert reason in ("", seen.reason)
        else:
            assert seen.code in PLAIN_CODES
            assert seen.origin is not Origin.LOCAL
        assert taken == ([str(number) for number in range(20)] if way.two_way else [])
        assert len(watch.closed) == 1

    async def test_a_client_that_vanishes_is_noticed_and_forgotten(self, way: Way) -> None:
        server = self.attentive_server(way)
        watch = self.echo(server)
        async with (
            self.serving(server) as running,
            relaying(running.place) as relay,
            self.client(running, way, relay=relay) as spark,
        ):
            there = await watch.spark()
            await there.send("hello")
            assert await spark.receive() == "hello"
            relay.cut()
            seen = await watch.end()
            await running.gateway.sparks.wait_empty()
            assert running.gateway.connections == []
            assert len(running.hub) == 0
            with pytest.raises(ConnectionClosed):
                await spark.receive()
        if way.close_to_server:
            assert (seen.code, seen.origin) == (1006, Origin.LOST)
        else:
            assert seen.code in PLAIN_CODES
            assert seen.origin is not Origin.LOCAL
        assert len(watch.closed) == 1

    async def test_a_session_that_returns_closes(self, way: Way) -> None:
        server = self.server(way)

        async def greet(spark: Spark) -> None:
            await spark.send("first")
            await spark.send("last")

        server.session(greet)
        async with self.serving(server) as running, self.make_client(running, way) as spark:
            closed = await _until_closed(spark, ["first", "last"])
            at_once = way.close_to_client and not way.upgrades
            assert closed.code == 1000 if at_once else closed.code in PLAIN_CODES

    async def test_a_close_in_on_open_reaches_the_client(self, way: Way) -> None:
        server = self.server(way)

        def refuse(spark: Spark) -> None:
            spark.send_nowait("welcome")
            spark.close_nowait(4001, "not today")

        server.on_open(refuse)
        async with self.serving(server) as running, self.make_client(running, way) as spark:
            closed = await _until_closed(spark, ["welcome"])
            if way.close_to_client and not way.upgrades:
                assert (closed.code, closed.reason) == (4001, "not today")
            await running.gateway.sparks.wait_empty()

    async def test_sending_after_the_end_is_an_error_and_never_a_crash(self, way: Way) -> None:
        server = self.server(way)
        watch = self.echo(server)
        async with self.serving(server) as running, self.client(running, way) as spark:
            there = await watch.spark()
            await there.close(4000, "enough")
            with pytest.raises(ClosedLocally):
                await there.send("too late")
            assert not there.send_nowait("too late")
            await there.close()  # a second close is none
            await _until_closed(spark, [])
            with pytest.raises(ConnectionClosed):
                await spark.send("too late")
        assert len(watch.closed) == 1

    async def test_a_failing_handler_costs_that_client_only(self, way: Way) -> None:
        self.needs_way(way, "two_way")
        server = self.server(way)
        watch = Watch(server)

        async def fail(spark: Spark, message: Message) -> None:
            await anyio.lowlevel.checkpoint()
            if message == "boom":
                raise ZeroDivisionError("boom")
            await spark.send(message)

        server.on_message(fail)
        async with (
            self.serving(server) as running,
            self.client(running, way) as victim,
            self.client(running, way) as other,
        ):
            await victim.send("boom")
            closed = await _until_closed(victim, [])
            assert closed.code == 1011 if way.close_to_client else closed.code in PLAIN_CODES
            assert (await watch.end()).code == 1011
            await other.send("fine")
            assert await other.receive() == "fine"
        assert [type(error) for error in watch.errors] == [ZeroDivisionError]


def _record(server: Server) -> list[Message]:
    """All messages that will have come to a server."""
    taken: list[Message] = []

    def take(spark: Spark, message: Message) -> None:
        taken.append(message)

    server.on_message(take)
    return taken


async def _until_closed(spark: Spark, messages: list[str]) -> ConnectionClosed:
    """How a session ended, when these messages have come, and nothing else."""
    received, closed = await read_to_the_end(spark)
    assert received == messages
    return closed
