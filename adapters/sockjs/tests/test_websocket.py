"""Sessions over WebSocket, and the raw ones."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from unisock import Close, ConnectionClosed, HandshakeRejected, Origin, Server, Spark
from unisock.testing.peers import Refused

pytestmark = pytest.mark.anyio

PATH = "/ws/000/abc/websocket"


async def open_socket(running: Any, path: str = PATH, **more: Any) -> Any:
    peer = await running.connect(path, **more)
    assert await peer.receive() == "o"
    return peer


async def test_messages_go_both_ways(sockjs: Any) -> None:
    async with sockjs() as (running, watch):
        peer = await open_socket(running)
        assert (await watch.spark()).transport == "websocket"
        await peer.send('["a","b é"]')
        await peer.send('"c"')
        await peer.send("")
        await peer.send("[]")
        assert await peer.receive() == 'a["a"]'
        assert await peer.receive() == 'a["b \\u00e9"]'
        assert await peer.receive() == 'a["c"]'
        await peer.close(3001, "enough")
        close = await watch.end()
        assert (close.code, close.reason, close.origin) == (3001, "enough", Origin.PEER)
        assert running.gateway.connections == []


async def test_one_id_may_have_two_websockets(sockjs: Any) -> None:
    async with sockjs() as (running, _):
        one, two = await open_socket(running), await open_socket(running)
        await one.send('["1"]')
        await two.send('["2"]')
        assert (await one.receive(), await two.receive()) == ('a["1"]', 'a["2"]')


async def test_a_close_is_a_packet_and_a_close_frame(sockjs: Any) -> None:
    async with sockjs() as (running, watch):
        peer = await open_socket(running)
        spark = await watch.spark()
        spark.send_nowait("last words")
        spark.close_nowait(4321, "bye")
        assert await peer.receive() == 'a["last words"]'
        assert await peer.receive() == 'c[4321,"bye"]'
        close = await peer.wait_closed()
        assert (close.code, close.reason) == (4321, "bye")
        assert (await watch.end()).origin is Origin.LOCAL


@pytest.mark.parametrize("message", ['["a', "nonsense", "{}", "[1]", "null", '["a"] x', "[" * 9999])
async def test_what_is_no_packet_ends_it(sockjs: Any, message: str) -> None:
    async with sockjs() as (running, watch):
        peer = await open_socket(running)
        await peer.send(message)
        with pytest.raises(ConnectionClosed) as caught:
            await peer.receive()
        assert caught.value.code == 1007
        assert watch.errors == []


async def test_bytes_end_it(sockjs: Any) -> None:
    async with sockjs() as (running, _):
        peer = await open_socket(running)
        await peer.send(b'["a"]')
        with pytest.raises(ConnectionClosed) as caught:
            await peer.receive()
        assert caught.value.code == 1003


@pytest.mark.parametrize(
    ("message", "limits", "options"),
    [
        (json.dumps(["x"] * 11), {}, {"post_messages": 10}),
        (json.dumps(["x" * 101]), {"message_bytes": 100}, {}),
        (json.dumps(["é" * 51], ensure_ascii=False), {"message_bytes": 100}, {}),
        (json.dumps(["x"] * 99), {}, {"post_bytes": 50}),
    ],
)
async def test_too_much_ends_it(
    sockjs: Any, message: str, limits: dict[str, int], options: dict[str, int]
) -> None:
    async with sockjs(limits=limits, options=options) as (running, watch):
        peer = await open_socket(running)
        await peer.send(message)
        with pytest.raises(ConnectionClosed) as caught:
            await peer.receive()
        assert caught.value.code == 1009
        assert (await watch.end()).code == 1009


async def test_a_message_of_the_limit_passes(sockjs: Any) -> None:
    async with sockjs(limits={"message_bytes": 100}) as (running, _):
        peer = await open_socket(running)
        await peer.send(json.dumps(['"' * 100]))
        assert json.loads((await peer.receive())[1:]) == ['"' * 100]


async def test_a_packet_is_held_back_in_its_middle(sockjs: Any) -> None:
    taken: list[str] = []
    go_on = anyio.Event()

    def prepare(server: Server) -> None:
        @server.session
        async def read(spark: Spark) -> None:
            await go_on.wait()
            async for message in spark:
                taken.append(message)
                if len(taken) == 120:
                    await spark.send("all")

    limits = {"inbox_messages": 4}
    async with sockjs(echo=False, prepare=prepare, limits=limits) as (running, _):
        peer = await open_socket(running)
        await peer.send(json.dumps([str(number) for number in range(60)]))
        async with anyio.create_task_group() as group:
            group.start_soon(peer.send, json.dumps([str(number) for number in range(60, 120)]))
            await anyio.wait_all_tasks_blocked()
            go_on.set()
            assert await peer.receive() == 'a["all"]'
        assert taken == [str(number) for number in range(120)]


async def test_a_broadcast_frames_once(sockjs: Any) -> None:
    async with sockjs() as (running, watch):
        peers = [await open_socket(running) for _ in range(3)]
        await watch.spark(2)
        assert len({spark.connection.framing for spark in running.hub}) == 1
        await running.server.everyone.send("né")
        assert [await peer.receive() for peer in peers] == ['a["n\\u00e9"]'] * 3


async def test_raw(sockjs: Any) -> None:
    async with sockjs() as (running, watch):
        peer = await running.connect("/ws/websocket")
        assert (await watch.spark()).transport == "websocket-raw"
        await peer.send('["as it is"]')
        assert await peer.receive() == '["as it is"]'
        (await watch.spark()).close_nowait(3000, "Go away!")
        close = await peer.wait_closed()
        assert (close.code, close.reason) == (3000, "Go away!")
        await watch.end()
        assert running.gateway.connections == []


@pytest.mark.parametrize("path", [PATH, "/ws/websocket"])
async def test_a_refusal(sockjs: Any, path: str) -> None:
    def prepare(server: Server) -> None:
        @server.authorize
        def refuse(handshake: Any) -> None:
            raise HandshakeRejected("members only", code=4403)

    async with sockjs(prepare=prepare) as (running, _):
        with pytest.raises(Refused, match="members only"):
            await running.connect(path)
    async with sockjs(prepare=prepare, endpoint={"refusal": "close"}) as (running, watch):
        peer = await running.connect(path)
        if path == PATH:
            assert await peer.receive() == 'c[4403,"members only"]'
        assert await peer.wait_closed() == Close(4403, "members only", origin=Origin.PEER)
        assert watch.opened == []


async def test_a_heartbeat_is_a_ping(sockjs: Any) -> None:
    options = {"heartbeat_delay": 50}
    async with sockjs(options=options, heartbeat={"timeout": 0.05}) as (running, watch):
        for path in (PATH, "/ws/websocket"):
            peer = await running.connect(path)
            peer.play_dead()
            assert (await peer.wait_closed()).code == 1006
        assert [close.code for _, close in watch.closed] == [1006, 1006]


async def test_switched_off(sockjs: Any) -> None:
    async with sockjs(options={"websocket": False}) as (running, _):
        for path in (PATH, "/ws/websocket"):
            with pytest.raises(Refused):
                await running.connect(path)
        assert (await running.request("/ws/info")).json["websocket"] is False


async def test_plain_requests_for_it(sockjs: Any) -> None:
    async with sockjs() as (running, _):
        for path in (PATH, "/ws/websocket"):
            assert (await running.request(path)).status == 400
            answer = await running.request(path, method="POST")
            assert (answer.status, answer.headers["allow"], answer.body) == (405, "GET", b"")
