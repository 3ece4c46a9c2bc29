"""`connect()` with a Primus endpoint of ours: the heartbeat, and when it comes back."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from unisock import Backoff, ClosedByPeer, ConfigError, ConnectionRejected, Spark, connect
from unisock.memory_client import MemoryConnector
from unisock_multiplex import Multiplex

from .conftest import House, Open

pytestmark = pytest.mark.anyio

AT_ONCE = Backoff(first=0, stable=0)


async def test_it_answers_pings_and_nothing_else(opened: Open) -> None:
    house = House()
    plain = house.server.endpoint("/plain")
    told = ["primus::ping::17", "primus::ping::x", "primus::id::5", "primus::server::what"]
    heard: list[Any] = []

    @plain.on_open
    async def say(spark: Spark) -> None:
        for word in (*told, "primus::what::ever"):
            await spark.send(word)

    plain.on_message(lambda spark, payload: heard.append(payload))
    connector = MemoryConnector(house.adapter)
    async with opened(house), connect("primus+http://memory/plain", connector=connector) as spark:
        assert await spark.receive() == "primus::what::ever"
        await spark.send("last")
    assert heard == ["primus::pong::17", "last"]


@pytest.mark.parametrize(
    ("close", "back"),
    [
        ({}, False),
        ({"code": 4000, "reconnect": False}, False),
        ({"code": 4999, "reason": "banned"}, False),
        ({"code": 4000}, True),
        ({"reconnect": True}, True),
        ({"code": 1011}, True),
    ],
    ids=str,
)
async def test_it_comes_back_unless_the_server_says_that_it_is_over(
    opened: Open, close: dict[str, Any], back: bool
) -> None:
    house = House()
    house.channel("news")
    mine = Multiplex()
    client = house.client(mine, reconnect=AT_ONCE)
    lost = anyio.Event()
    client.on_state(lambda change: lost.set() if change.state == "waiting" else None)
    async with opened(house), client as spark:
        news = mine.join(spark, "news")
        await news.send(1)
        assert await news.receive() == 1
        there = next(spark for spark in reversed(house.sparks) if not spark.channel)
        await there.close(**close)
        if back:
            await lost.wait()
            await news.send(2)
            assert await news.receive() == 2
        elif "reason" in close:
            with pytest.raises(ConnectionRejected, match="4999 banned"):
                await spark.receive()
        else:
            with pytest.raises(ClosedByPeer):
                await spark.receive()


async def test_a_refusal_is_final(refusing: House) -> None:
    async with anyio.create_task_group() as group:
        await group.start(refusing.server.serve)
        with pytest.raises(ConnectionRejected, match="Forbidden"):
            async with refusing.client():
                pass
        group.cancel_scope.cancel()


def test_its_options_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"connect\.events: Invalid enum value 'emits'"):
        connect("primus+http://127.0.0.1", events="emits")
