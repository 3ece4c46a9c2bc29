"""From polling to a WebSocket: nothing is lost, nothing out of order, and who fails polls on."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from unisock import Close
from unisock.memory import MemoryPeer, Refused

pytestmark = pytest.mark.anyio


async def probed(client: Any) -> MemoryPeer:
    peer: MemoryPeer = await client.upgrade_socket()
    await peer.send("2probe")
    assert await peer.receive() == "3probe"
    return peer


async def test_an_upgrade(serve: Any) -> None:
    async with serve(ping_interval=25_000) as rig:
        client = await rig.open()
        peer = await probed(client)
        async with client.waiting() as poll:
            rig.pass_time(0.05)
            await anyio.wait_all_tasks_blocked()
            assert not poll.over  # what is under way gets there by polling
            rig.pass_time(0.2)
            assert await poll.payload() == "6"
        await peer.send("5")
        await peer.send("4hello")
        assert await peer.receive() == "4hello"
        assert rig.sparks[0].handshake.transport == "websocket"
        assert len(rig.sparks) == 1


async def test_what_is_sent_meanwhile_arrives_once_and_in_order(serve: Any) -> None:
    async with serve(ping_interval=25_000) as rig:
        client = await rig.open()
        send = rig.sparks[0].send_nowait
        send("1")
        peer = await probed(client)
        send("2")
        assert await client.poll() == "41\x1e42"
        async with client.waiting() as poll:
            send("3")
            assert await poll.payload() == "43"
        send("4")
        send(b"\x05")
        await peer.send("5")
        send("6")
        assert [await peer.receive() for _ in range(3)] == ["44", b"\x05", "46"]


async def test_a_poll_that_waits_at_the_upgrade_is_freed(serve: Any) -> None:
    async with serve(ping_interval=25_000) as rig:
        client = await rig.open()
        peer = await probed(client)
        async with client.waiting() as poll:
            await peer.send("5")
            assert await poll.payload() == "6"


async def test_polling_is_over_after_the_upgrade(serve: Any) -> None:
    async with serve(ping_interval=25_000) as rig:
        client = await rig.open()
        peer = await probed(client)
        await peer.send("5")
        for method in ("GET", "POST"):
            answer = await rig.request(client.query, method=method)
            assert (answer.status, rig.code(answer)) == (400, 3)
        await peer.send("4still here")
        assert await peer.receive() == "4still here"


async def test_a_second_websocket_is_accepted_and_closed(serve: Any) -> None:
    async with serve(ping_interval=25_000) as rig:
        client = await rig.open()
        peer = await probed(client)
        while_upgrading = await client.upgrade_socket()
        await while_upgrading.wait_closed()
        await peer.send("5")
        once_upgraded = await client.upgrade_socket()
        await once_upgraded.wait_closed()
        await peer.send("4hello")
        assert await peer.receive() == "4hello"


@pytest.mark.parametrize("packet", ["5", "2", "2prob", "4hello", b"2probe", ""])
async def test_a_bad_probe_leaves_polling_alone(serve: Any, packet: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        peer = await client.upgrade_socket()
        await peer.send(packet)
        assert (await peer.wait_closed()).code == 1002
        await client.say("4hello")
        assert await client.poll() == "4hello"
        await probed(client)  # it may try again


async def test_a_websocket_that_is_lost_leaves_polling_alone(serve: Any) -> None:
    async with serve(ping_interval=25_000) as rig:
        client = await rig.open()
        peer = await probed(client)
        peer.drop()
        async with client.waiting() as poll:
            rig.pass_time(1)
            await anyio.wait_all_tasks_blocked()
            assert not poll.over
            rig.sparks[0].send_nowait("hello")
            assert await poll.payload() == "4hello"


async def test_an_upgrade_that_takes_too_long(serve: Any) -> None:
    async with serve(ping_interval=25_000, upgrade_timeout=1000) as rig:
        client = await rig.open()
        peer = await probed(client)
        rig.pass_time(1.1)
        assert (await peer.wait_closed()).reason == "upgrade timeout"
        await client.say("4hello")
        assert rig.seen == ["hello"]


async def test_the_websocket_goes_with_its_session(serve: Any) -> None:
    async with serve(ping_interval=25_000) as rig:
        client = await rig.open()
        peer = await probed(client)
        await client.say("1")
        assert (await peer.wait_closed()).code == 1000


async def test_a_close_that_waited_for_a_poll_goes_by_the_websocket(serve: Any) -> None:
    async with serve(ping_interval=25_000) as rig:
        client = await rig.open()
        peer = await probed(client)
        rig.sparks[0].send_nowait("last")
        rig.sparks[0].close_nowait(4001, "enough")
        await peer.send("5")
        assert await peer.receive() == "4last"
        assert (await peer.wait_closed()).code == 4001
        assert rig.closes == [Close(4001, "enough")]


async def test_what_was_posted_comes_before_what_the_websocket_brings(serve: Any) -> None:
    async with serve(ping_interval=25_000) as rig:
        client = await rig.open()
        peer = await probed(client)
        connection = rig.sparks[0].connection
        connection.hold()
        rig.group.start_soon(client.post, "4one\x1e4two")
        await anyio.wait_all_tasks_blocked()
        await peer.send("5")
        sent = anyio.Event()

        async def send() -> None:
            await peer.send("4three")
            sent.set()

        rig.group.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        assert not sent.is_set()
        connection.release()
        with anyio.fail_after(30):
            await sent.wait()
        assert rig.seen == ["one", "two", "three"]


async def test_a_busy_application_does_not_hold_up_the_upgrade(serve: Any) -> None:
    """It waits for a poll, the client for the answer to its POST."""
    async with serve(ping_interval=25_000) as rig:
        client = await rig.open()
        connection = rig.sparks[0].connection
        connection.hold()
        answers: list[bytes] = []

        async def post(packet: str) -> None:
            answers.append((await client.post(packet)).body)

        rig.group.start_soon(post, "4one")
        await anyio.wait_all_tasks_blocked()
        assert answers == []
        peer = await probed(client)
        await anyio.wait_all_tasks_blocked()
        assert answers == [b"ok"]
        rig.group.start_soon(post, "4two")  # but no more than one POST is kept
        await anyio.wait_all_tasks_blocked()
        assert answers == [b"ok"]
        await peer.send("5")
        connection.release()
        await anyio.wait_all_tasks_blocked()
        assert rig.seen == ["one", "two"]
        assert answers == [b"ok", b"ok"]
        await peer.send("4three")
        assert [await peer.receive() for _ in range(3)] == ["4one", "4two", "4three"]


async def test_upgrades_can_be_turned_off(serve: Any) -> None:
    async with serve(allow_upgrades=False) as rig:
        client = await rig.open()
        assert client.told["upgrades"] == []
        with pytest.raises(Refused) as refused:
            await client.upgrade_socket()
        assert rig.code(refused.value.response) == 3


async def test_drain_waits_for_the_websocket_after_an_upgrade(serve: Any) -> None:
    async with serve(ping_interval=25_000) as rig:
        client = await rig.open()
        peer = await probed(client)
        connection = rig.sparks[0].connection
        rig.sparks[0].send_nowait("x" * 100_000)
        drained = anyio.Event()

        async def drain() -> None:
            await connection.drain()
            drained.set()

        rig.group.start_soon(drain)
        await anyio.wait_all_tasks_blocked()
        await peer.send("5")
        await anyio.wait_all_tasks_blocked()
        assert not drained.is_set()
        await peer.receive()
        with anyio.fail_after(30):
            await drained.wait()
