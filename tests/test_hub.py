"""Who is here."""

from typing import Any

import anyio
import pytest

from unisock.hub import Hub
from unisock.memory import MemoryAdapter
from unisock.server import Server
from unisock.spark import Spark

pytestmark = pytest.mark.anyio

Serving = Any


@pytest.fixture
def server() -> Server:
    server = Server(folder=None, adapter=MemoryAdapter(), endpoints=[{"path": "/ws"}])
    server.on_message(lambda spark, message: None)
    return server


async def test_live_clients_by_id(serving: Serving, server: Server) -> None:
    async with serving(server) as memory:
        peers = [await memory.connect() for _ in range(3)]
        hub = server.hub
        assert len(hub) == 3
        assert server.everyone is hub.everyone is hub
        for spark in hub:
            assert hub[spark.id] is hub.get(spark.id) is spark
            assert spark in hub
        first = next(iter(hub))
        await peers[0].close()
        assert (len(hub), first in hub, hub.get(first.id)) == (2, False, None)
        with pytest.raises(KeyError):
            hub[first.id]
        assert "nobody" not in hub
        assert "2 sparks" in repr(hub)
    assert len(server.hub) == 0


async def test_clients_may_come_and_go_while_one_looks(serving: Serving, server: Server) -> None:
    async with serving(server) as memory:
        peers = [await memory.connect() for _ in range(3)]
        seen = 0
        for _ in server.hub:
            seen += 1
            await peers.pop().close()
            await memory.connect()
        assert seen == 3


async def test_everyone_is_an_audience(serving: Serving, server: Server) -> None:
    async with serving(server) as memory:
        peers = [await memory.connect() for _ in range(3)]
        delivery = await server.everyone.send("hi")
        assert (delivery.sent, delivery.dropped) == (3, 0)
        with anyio.fail_after(30):
            assert {await peer.receive() for peer in peers} == {'"hi"'}


async def test_one_client_never_takes_anothers_place_with_it(
    serving: Serving, server: Server
) -> None:
    """Dialects may bring ids that their clients chose."""
    hub = Hub()
    async with serving(server) as memory:
        await memory.connect()
        [spark] = server.hub
        pipeline, encoder = spark.pipeline, spark.encoder
        old = Spark("same", spark.connection, encoder, pipeline)
        new = Spark("same", spark.connection, encoder, pipeline)
        hub.add(old)
        hub.add(new)
        hub.remove(old)
        assert hub["same"] is new
        hub.remove(new)
        hub.remove(new)
        assert len(hub) == 0
