"""Heartbeats, on a clock that the test turns: interval 300 ms, time-out 200 ms."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio


async def test_the_server_pings_a_polling_client(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        for _ in range(5):
            async with client.waiting() as poll:
                rig.pass_time(0.4)
                assert await poll.payload() == "2"
            await client.say("3")
        assert rig.sparks[0].latency == pytest.approx(0.05, abs=0.06)


async def test_a_ping_waits_for_the_poll_and_goes_first(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        rig.sparks[0].send_nowait("hello")
        rig.pass_time(0.4)
        assert await client.poll() == "2\x1e4hello"


async def test_the_server_pings_on_a_websocket(serve: Any) -> None:
    async with serve() as rig:
        peer = await rig.open_websocket()
        for _ in range(5):
            rig.pass_time(0.4)
            assert await peer.receive() == "2"
            await peer.send("3")
        assert peer.closed is None


async def test_a_silent_client_is_gone(serve: Any) -> None:
    async with serve() as rig:
        await rig.open()
        peer = await rig.open_websocket()
        rig.pass_time(0.45)
        assert not rig.closes
        rig.pass_time(0.15)
        assert [(close.code, close.reason) for close in rig.closes] == [(1006, "ping timeout")] * 2
        assert (await peer.wait_closed()).code == 1006
        assert rig.gateway.connections == []
        assert len(rig.server.hub) == 0


async def test_the_deadline_is_looked_at_when_a_request_comes(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        rig.now = 0.5  # and no timer has run so far
        answer = await client.get()
        assert (answer.status, rig.code(answer)) == (400, 1)
        assert rig.closes[0].reason == "ping timeout"


async def test_other_packets_are_life_too(serve: Any) -> None:
    async with serve() as rig:
        rig.echo = False
        client = await rig.open()
        for _ in range(10):
            rig.pass_time(0.19)
            await client.say("4hello")
        assert not rig.closes
        rig.pass_time(1.1)
        assert rig.closes[0].reason == "ping timeout"


async def test_a_flood_of_pongs_starts_nothing(serve: Any) -> None:
    async with serve() as rig:
        peer = await rig.open_websocket()
        timers = rig.gateway.runtime.timers
        before = sum(map(len, timers._slots.values()))
        for _ in range(1000):
            await peer.send("3")
        assert sum(map(len, timers._slots.values())) == before
        rig.pass_time(0.55)
        assert rig.closes[0].reason == "ping timeout"


@pytest.mark.parametrize(("eio", "packet"), [(4, "2"), (3, "3")])
async def test_heartbeats_from_the_wrong_side(serve: Any, eio: int, packet: str) -> None:
    async with serve(allow_eio3=True) as rig:
        peer = await rig.open_websocket(eio=eio)
        await peer.send(packet)
        await peer.wait_closed()
        client = await rig.open(eio=eio)
        answer = await client.post(packet if eio == 4 else f"1:{packet}")
        assert answer.status == 400
        assert [close.reason for close in rig.closes] == ["transport error"] * 2


async def test_a_probe_of_the_core_is_a_ping(serve: Any) -> None:
    async with serve(ping_interval=25_000) as rig:
        peer = await rig.open_websocket()
        connection = rig.sparks[0].connection
        answers: list[bool] = []
        rig.sparks[0].send_nowait("one")
        assert connection.probe(lambda: answers.append(True))
        assert not connection.probe(lambda: answers.append(False))
        assert [await peer.receive() for _ in range(2)] == ["4one", "2"]
        await peer.send("3")
        assert answers == [True]
        rig.pass_time(1)
        assert not rig.closes


async def test_a_ping_that_finds_no_room_is_sent_later(serve: Any) -> None:
    async with serve({"overflow": "drop-newest", "limits": {"outbox_messages": 1}}) as rig:
        peer = await rig.open_websocket()
        rig.sparks[0].send_nowait("x" * 70_000)
        rig.sparks[0].send_nowait("waits")
        rig.pass_time(0.35)
        assert await peer.receive() == "4" + "x" * 70_000
        assert await peer.receive() == "4waits"
        rig.pass_time(0.06)
        assert await peer.receive() == "2"
        await peer.send("3")
        rig.pass_time(0.2)
        assert not rig.closes


async def test_a_client_that_does_not_read_is_gone(serve: Any) -> None:
    async with serve({"overflow": "drop-newest", "limits": {"outbox_messages": 1}}) as rig:
        await rig.open_websocket()
        rig.sparks[0].send_nowait("x" * 70_000)
        rig.sparks[0].send_nowait("waits")
        rig.pass_time(0.7)
        assert rig.closes[0].reason == "ping timeout"


async def test_revision_3_pings_from_the_client(serve: Any) -> None:
    async with serve(allow_eio3=True) as rig:
        peer = await rig.open_websocket(eio=3)
        for _ in range(5):
            rig.pass_time(0.4)
            await peer.send("2")
            assert await peer.receive() == "3"
        rig.pass_time(0.45)
        assert not rig.closes
        rig.pass_time(0.1)
        assert rig.closes[0].reason == "ping timeout"


async def test_revision_3_owes_one_pong_at_most(serve: Any) -> None:
    async with serve(allow_eio3=True) as rig:
        client = await rig.open(eio=3)
        await client.say("1:2" * 100)
        assert await client.poll() == "1:3"


async def test_revision_3_is_late(serve: Any) -> None:
    async with serve(allow_eio3=True) as rig:
        client = await rig.open(eio=3)
        rig.now = 0.5
        assert rig.code(await client.post("1:2")) == 1


async def test_revision_3_lives_by_other_packets(serve: Any) -> None:
    async with serve(allow_eio3=True) as rig:
        peer = await rig.open_websocket(eio=3)
        for _ in range(10):
            rig.pass_time(0.4)
            await peer.send("4hello")
        assert not rig.closes
        rig.pass_time(1.2)
        assert rig.closes
