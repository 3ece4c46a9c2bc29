"""Channels that this side begins: on a client of ours, with rooms and events on top."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from unisock import (
    Backoff,
    Channel,
    ClosedLocally,
    ConnectionRejected,
    EncodeError,
    HandshakeRejected,
    LimitExceeded,
    Spark,
    State,
    UnisockError,
)
from unisock.connection import LOST
from unisock_emitter import Emitter, EventError, RemoteError
from unisock_multiplex import Multiplex

from .conftest import House, Open

pytestmark = pytest.mark.anyio


async def test_a_client_joins_speaks_and_leaves(opened: Open) -> None:
    house = House()
    house.channel("news")
    multiplex = Multiplex()
    async with opened(house), house.client(multiplex) as spark:
        news = multiplex.join(spark, "news")
        assert (news.channel, spark.channel) == ("news", "")
        for payload in (0, None, "", {"a": [1]}):
            await news.send(payload)
            assert await news.receive() == payload
        await news.close(4000, "enough")
        with pytest.raises(ClosedLocally):
            await news.send("more")
        await spark.send("still here")
        await anyio.wait_all_tasks_blocked()
    ((_, close),) = house.closes
    assert (close.code, close.reason) == (4000, "enough")
    assert house.seen[-1] == ("data", "still here")


async def test_a_refusal_and_a_kick_raise_where_it_is_read(opened: Open) -> None:
    house = House()

    @house.channel("members").authorize
    def check(channel: Channel) -> str:
        if channel.auth is None:
            raise HandshakeRejected("members only")
        return str(channel.auth)

    multiplex = Multiplex()
    async with opened(house), house.client(multiplex) as spark:
        with pytest.raises(ConnectionRejected, match="4500 members only"):
            await multiplex.join(spark, "members").receive()
        with pytest.raises(ConnectionRejected, match="there is no channel"):
            await multiplex.join(spark, "nobody's").receive()
        member = multiplex.join(spark, "members", "ann")
        await member.send("hello")
        assert await member.receive() == "hello"
        assert house.sparks[0].user == "ann"
        await house.sparks[0].close(4999, "out")
        with pytest.raises(ConnectionRejected, match="4999 out"):
            await member.receive()
        assert not len(multiplex)


async def test_a_clients_handlers_for_a_channel(opened: Open) -> None:
    house = House()
    house.channel("news")
    multiplex = Multiplex()
    heard: list[Any] = []
    done = anyio.Event()
    handlers = multiplex.channel("news")
    handlers.on_open(lambda spark: heard.append("open"))
    handlers.on_close(lambda spark, close: heard.append(close.code))

    @handlers.on_message
    async def hear(spark: Spark, payload: object) -> None:
        await anyio.lowlevel.checkpoint()
        heard.append(payload)
        if payload == 2:
            done.set()

    async with opened(house):
        async with house.client(multiplex) as spark:
            news = multiplex.join(spark, "news")
            for number in range(3):
                await news.send(number)
            await done.wait()
        assert heard == ["open", 0, 1, 2, 1000]


async def test_what_cannot_be_joined(opened: Open) -> None:
    house = House(limits={"channels_per_connection": 3})
    house.channel("news")
    multiplex = Multiplex()
    options = {"limits": {"channels_per_connection": 1, "channel_name_bytes": 9}}
    async with opened(house):
        async with house.client(multiplex, **options) as spark:
            for name in ("", "\ud800"):
                with pytest.raises(ValueError, match="channel"):
                    multiplex.join(spark, name)
            with pytest.raises(LimitExceeded, match="channel_name_bytes = 9"):
                multiplex.join(spark, "x" * 10)
            with pytest.raises(EncodeError):
                multiplex.join(spark, "news", object())
            news = multiplex.join(spark, "news")
            with pytest.raises(LimitExceeded, match="channels_per_connection = 1"):
                multiplex.join(spark, "news")
            with pytest.raises(UnisockError, match="cannot be had on a channel"):
                multiplex.join(news, "news")
        with pytest.raises(ClosedLocally):
            multiplex.join(spark, "news")
        async with house.client() as bare:
            with pytest.raises(UnisockError, match="has no channels"):
                multiplex.join(bare, "news")


async def test_a_server_can_begin_a_channel_too(opened: Open) -> None:
    house = House()
    multiplex = Multiplex()
    multiplex.channel("tasks").on_message(lambda spark, task: spark.send(task * 2))
    async with opened(house), house.client(multiplex):
        *_, main = house.server.hub
        tasks = house.multiplex.join(main, "tasks")
        await tasks.send(21)
        assert await tasks.receive() == 42
        with pytest.raises(ConnectionRejected, match="there is no channel"):
            await house.multiplex.join(main, "else").receive()


async def test_channels_are_begun_again_after_a_reconnect(opened: Open) -> None:
    house = House()
    house.channel("news").authorize(lambda channel: channel.auth)
    multiplex = Multiplex()
    client = house.client(multiplex, reconnect=Backoff(first=3600.0, most=3600.0))
    async with opened(house), client as spark:
        news = multiplex.join(spark, "news", "ann")
        await news.send(1)
        assert await news.receive() == 1
        for connection in house.server.gateway.connections:
            connection.fail(LOST)
        await client.wait_for(State.WAITING)
        await news.send(2)  # waits, behind the word that begins the channel again
        client.reconnect_now()
        assert await news.receive() == 2
        assert [mine.user for mine in house.sparks] == ["ann", "ann"]
        assert news.closed is None


async def test_events_on_channels_both_ways(opened: Open) -> None:
    house = House()
    news = house.channel("news")
    events = house.events

    @events.on("who")
    def everywhere(spark: Spark) -> str:
        return f"any {spark.channel}"

    @events.on("who", channel="news")
    def here(spark: Spark, polite: bool = False) -> str:
        if polite:
            raise EventError("shy", "no")
        return "news"

    @events.on("*", channel="news")
    def others(spark: Spark, name: str, *args: Any) -> list[Any]:
        return [name, *args]

    house.channel("sport")
    assert news is house.multiplex.channel("news")
    mine, multiplex = Emitter(), Multiplex()
    mine.on("name")(lambda spark: f"client on {spark.channel}")
    async with opened(house), house.client(mine, multiplex) as spark:
        joined = multiplex.join(spark, "news")
        assert await mine.request(spark, "who") == "any "
        assert await mine.request(joined, "who") == "news"
        assert await mine.request(multiplex.join(spark, "sport"), "who") == "any sport"
        assert await mine.request(joined, "else", 1, None) == ["else", 1, None]
        with pytest.raises(RemoteError, match="shy"):
            await mine.request(joined, "who", True)
        with pytest.raises(RemoteError, match="unknown-event"):
            await mine.request(spark, "else")
        assert await events.request(house.sparks[0], "name") == "client on news"
        answers = await events.collect(house.multiplex["news"], "name")
        assert [*answers.values.values()] == ["client on news"]


async def test_a_request_fails_when_its_channel_ends(opened: Open) -> None:
    house = House()
    asked, never = anyio.Event(), anyio.Event()
    house.channel("news")

    @house.events.on("wait", channel="news")
    async def wait(spark: Spark) -> None:
        asked.set()
        await never.wait()

    mine, multiplex = Emitter(), Multiplex()
    async with opened(house), house.client(mine, multiplex) as spark:
        news = multiplex.join(spark, "news")
        async with anyio.create_task_group() as group:

            @group.start_soon
            async def ask() -> None:
                with pytest.raises(ConnectionRejected, match="4999"):
                    await mine.request(news, "wait")
                never.set()

            await asked.wait()
            house.sparks[0].close_nowait(4999)
        assert not len(mine.pending)


async def test_rooms_of_channels_do_not_collide(opened: Open) -> None:
    house = House()
    rooms = house.rooms
    house.server.on_open(lambda spark: rooms.join(spark, "lobby"))
    left: list[Any] = []
    rooms.on_leave(lambda spark, name: left.append((spark.channel, name)))
    rooms.on_empty(lambda name, channel: left.append(("empty", channel, name)))
    for name in ("a", "b"):
        house.multiplex.channel(name).on_open(lambda spark: rooms.join(spark, "lobby"))
    multiplex = Multiplex()
    async with opened(house) as raw, house.client(multiplex) as spark:
        a, b = multiplex.join(spark, "a"), multiplex.join(spark, "b")
        await anyio.wait_all_tasks_blocked()
        kept = rooms.within("a")["lobby"]
        assert (len(rooms["lobby"]), len(kept), len(rooms.within("b")["lobby"])) == (2, 1, 1)
        assert ([*rooms], [*rooms.within("a")], [*rooms.within("c")]) == (["lobby"], ["lobby"], [])
        await rooms.within("a").matching("l*").send("to a")
        await rooms.within("b").any("lobby", "x").send("to b")
        await rooms["lobby"].send("to all")
        assert [await a.receive(), await b.receive()] == ["to a", "to b"]
        assert [await spark.receive(), await raw.receive()] == ["to all", "to all"]
        await a.close()
        await anyio.wait_all_tasks_blocked()
        assert left == [("a", "lobby"), ("empty", "a", "lobby")]
        assert not len(rooms.within("a"))
        again = multiplex.join(spark, "a")
        await anyio.wait_all_tasks_blocked()
        assert len(kept) == 1  # the audience that was made before
        (member,) = kept
        assert rooms.of(member) == {"lobby"}
        rooms.join_pattern(member, "x*")
        assert rooms.leave_all(member) == {"lobby"}
        await again.close()


async def test_the_hub_knows_channels_and_everyone_is_each_client_once(opened: Open) -> None:
    house = House()
    house.channel("news")
    multiplex = Multiplex()
    async with opened(house), house.client(multiplex) as spark:
        news = multiplex.join(spark, "news")
        await news.send(1)
        await news.receive()
        (theirs,) = house.sparks
        hub = house.server.hub
        assert len(hub) == 2  # this client and the raw one
        assert hub[theirs.id] is hub.get(theirs.id) is theirs
        assert hub.knows(theirs)
        assert theirs not in hub.everyone
        assert "news" in repr(theirs)
        await news.close()
        await anyio.wait_all_tasks_blocked()
        assert not hub.knows(theirs)
        with pytest.raises(KeyError):
            hub[theirs.id]
