"""Channels on a Primus endpoint: the frames of primus-multiplex, and substreams."""

from __future__ import annotations

from typing import Any

import pytest

from unisock import (
    Channel,
    ClosedByPeer,
    ConnectionRejected,
    EncodeError,
    HandshakeRejected,
    Spark,
    UnisockError,
)
from unisock_emitter import Emitter
from unisock_multiplex import Multiplex

from .conftest import House, Open

pytestmark = pytest.mark.anyio

SUBSTREAM = {"channels": "substream"}


def stream(name: str, args: Any) -> dict[str, Any]:
    return {"substream": name, "args": args}


async def test_primus_multiplex_with_events_inside(opened: Open) -> None:
    house = House(options={"events": "emit"})
    house.channel("news")
    house.events.on("double", channel="news")(lambda spark, number: 2 * number)
    async with opened(house) as raw:
        await raw.send([1, "a", "news"])
        assert await raw.ask([0, "a", "news", "text"]) == [0, "a", "news", "text"]
        # primus-multiplex drops payloads that are false in JavaScript.
        assert await raw.ask([0, "a", "news"]) == [0, "a", "news", None]
        # primus-emit knows no channels, so there events are primus-emitter's.
        ask = {"type": 0, "data": ["double", 4], "id": 1}
        told = await raw.ask([0, "a", "news", ask])
        assert told == [0, "a", "news", {"type": 1, "id": 1, "data": [8]}]
        # A word of Primus' is none on a channel, and nothing on a channel is said twice.
        word = [0, "a", "news", "primus::server::close"]
        assert await raw.ask(word) == word
        news = house.sparks[-1]
        await news.close(4999, "enough")
        assert await raw.receive() == [2, "a", "news", {"code": 4999, "reason": "enough"}]
        assert await raw.ask("still here") == "still here"
        # A client of primus-multiplex throws on a frame of a channel that it has not begun.
        with pytest.raises(UnisockError, match=r"primus\.channel\(name\)"):
            house.multiplex.join(house.sparks[0], "news")


async def test_a_substream_begins_with_its_first_message(opened: Open) -> None:
    house = House(options=SUBSTREAM)
    house.channel("news")
    async with opened(house) as raw:
        for payload in ["first", None, 0, "", [1], {"substream": "x"}, 'quote"and\\', "null"]:
            assert await raw.ask(stream("news", payload)) == stream("news", payload)
        assert await raw.ask([0, "a", "news", 1]) == [0, "a", "news", 1]  # data here
        assert await raw.ask({"substream": 1, "args": 2}) == {"substream": 1, "args": 2}
        await raw.send(stream("news", "substream::end"))
        await raw.send(stream("news", "substream::end"))  # once more changes nothing
        assert await raw.ask(stream("news", "anew")) == stream("news", "anew")
        main, first, second = house.sparks
        assert first.closed is not None
        assert second.closed is None
        await house.multiplex["news"].send({"to": "all"})
        assert await raw.receive() == stream("news", {"to": "all"})
        with pytest.raises(EncodeError, match="substream::end"):
            await second.send("substream::end")
        await second.close()
        assert await raw.receive() == stream("news", "substream::end")
        assert await raw.ask("main") == "main"
        assert main.closed is None


async def test_the_server_may_speak_first_on_a_substream(opened: Open) -> None:
    house = House(options=SUBSTREAM)
    house.channel("news")
    async with opened(house) as raw:
        await raw.ask(0)
        news = house.multiplex.join(house.sparks[0], "news")
        await news.send("hello")
        assert await raw.receive() == stream("news", "hello")
        assert await raw.ask(stream("news", "and back")) == stream("news", "and back")
        with pytest.raises(ValueError, match="one of a name"):
            house.multiplex.join(house.sparks[0], "news")
        with pytest.raises(UnisockError, match="no place for auth"):
            house.multiplex.join(house.sparks[0], "other", auth=1)


async def test_substreams_ask_the_application_and_are_bounded(opened: Open) -> None:
    house = House(options=SUBSTREAM, limits={"channels_per_connection": 2})
    house.channel("news*")

    @house.channel("secret").authorize
    async def nobody(channel: Channel) -> None:
        raise HandshakeRejected("members only")

    async with opened(house) as raw:
        for name in ("secret", "nobody's", "", "__proto__", "news" * 100):
            assert await raw.ask(stream(name, "x")) == stream(name, "substream::end")
        for name in ("news1", "news2"):
            assert await raw.ask(stream(name, name)) == stream(name, name)
        assert await raw.ask(stream("news3", 1)) == stream("news3", "substream::end")
    assert [seen for seen in house.seen if seen[0] == "secret"] == []


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_our_clients_have_both_kinds(opened: Open, codec: str) -> None:
    for options in ({}, SUBSTREAM):
        house = House(codec=codec, options=options)
        house.channel("news")
        house.events.on("double")(lambda spark, number: 2 * number)

        @house.multiplex.channel("closed").authorize
        def nobody(channel: Channel) -> bool:
            return False

        async with opened(house):
            mine, events = Multiplex(), Emitter()
            async with house.client(mine, events, **options) as spark:
                news = mine.join(spark, "news")
                await news.send({"a": [1, None]})
                assert await news.receive() == {"a": [1, None]}
                assert await events.request(news, "double", 4) == 8
                closed = mine.join(spark, "closed")
                await closed.send("let me in")
                with pytest.raises(ClosedByPeer if options else ConnectionRejected):
                    await closed.receive()
                await spark.send("main")
                assert await spark.receive() == "main"


async def test_without_a_plugin_everything_is_data(opened: Open) -> None:
    for options in ({}, SUBSTREAM, {"responder": True}):
        house = House(plugins=False, options=options)
        async with opened(house) as raw:
            for data in (
                [1, "a", "news"],
                stream("news", 1),
                {"type": 0, "data": ["x"]},
                {"plugin": "primus-responder"},
            ):
                assert await raw.ask(data) == data


async def test_rooms_hold_sparks_of_channels(opened: Open) -> None:
    house = House(options=SUBSTREAM)
    news = house.multiplex.channel("news")

    @news.on_message
    async def enter(spark: Spark, room: str) -> None:
        house.rooms.join(spark, room)
        await house.rooms.within("news")[room].send(f"welcome to {room}")

    async with opened(house) as raw:
        assert await raw.ask(stream("news", "sport")) == stream("news", "welcome to sport")
