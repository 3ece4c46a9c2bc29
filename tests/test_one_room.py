"""One room for clients that speak differently, on connections and on channels."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import msgspec
import pytest

from unisock import Server, Spark
from unisock.memory import MemoryAdapter
from unisock_multiplex import Multiplex
from unisock_rooms import Rooms

pytestmark = pytest.mark.anyio


class House:
    """A server whose clients are all in one room, on whatever channel."""

    def __init__(self) -> None:
        self.adapter = MemoryAdapter()
        self.rooms = Rooms(shared=True)
        self.emptied: list[tuple[str, str]] = []
        self.rooms.on_empty(lambda name, channel: self.emptied.append((name, channel)))
        multiplex = Multiplex()
        self.server = Server(
            adapter=self.adapter,
            folder=None,
            plugins=[self.rooms, multiplex],
            endpoints=[{"path": "/ws"}, {"path": "/topics", "dialect": "websocket-multiplex"}],
        )
        for here in (self.server, multiplex.channel("news")):
            here.on_open(self.enter)
            here.on_message(self.say)

    def enter(self, spark: Spark) -> None:
        self.rooms.join(spark, "lobby")

    async def say(self, spark: Spark, message: Any) -> None:
        await self.rooms["lobby"].send(message)


@pytest.fixture
async def house(anyio_backend: str) -> AsyncGenerator[House]:
    house = House()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            await group.start(house.server.serve)
            yield house
            group.cancel_scope.cancel()


async def test_rooms_that_are_shared_take_sparks_of_all_channels(house: House) -> None:
    plain, topics = await house.adapter.connect("/ws"), await house.adapter.connect("/topics")
    await plain.send('[1,"a","news"]')
    await topics.send("sub,news")
    await topics.send('msg,news,"hello"')
    assert await topics.receive() == 'msg,news,"hello"'
    heard = [msgspec.json.decode(await plain.receive()) for _ in range(2)]
    assert heard == ["hello", [0, "a", "news", "hello"]]
    assert not len(house.rooms.within("news")["lobby"])
    assert len(house.rooms["lobby"]) == 3
    await plain.send('[2,"a","news"]')
    await topics.send("uns,news")
    await plain.send("1")
    assert await plain.receive() == "1"
    assert len(house.rooms["lobby"]) == 1
    assert not house.emptied
    for peer in (plain, topics):
        await peer.close()
    await house.server.drain(5)
    assert house.emptied == [("lobby", "")]
