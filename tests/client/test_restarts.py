"""The server is killed amid the traffic, and started again: order, and what is lost is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from unisock import ClosedByPeer, ConnectionRejected, connect
from unisock.errors import ConnectionLost, Unreachable
from unisock.redial import Backoff, State
from unisock.testing.ports import private_port

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PYTHON, NODE = HERE / "counting_app.py", HERE / "counting_server.js"
SERVERS = {
    "websockets": (PYTHON, "--adapter", "websockets"),
    "websockets-trio": (PYTHON, "--adapter", "websockets", "--backend", "trio"),
    "tornado": (PYTHON, "--adapter", "tornado"),
    "sockjs-tornado": (PYTHON, "--adapter", "sockjs-tornado"),
    "ws": (NODE,),
}
KILLS, QUEUE = 3, 50


class Counting:
    """A server process that can be killed, and started again at the same place.

    :ivar file: what it has read
    """

    def __init__(self, start: Any, name: str, folder: Path) -> None:
        self.file = folder / "numbers"
        self.url = ""
        self._start = start
        self._command = SERVERS[name]
        self._below = "/websocket" if name == "sockjs-tornado" else ""
        self._port = str(private_port())

    async def start(self) -> None:
        script, *options = self._command
        self._process = self._start(script, "--port", self._port, *options, self.file)
        address = await anyio.to_thread.run_sync(self._process.url)
        self.url = address.replace("http", "ws", 1) + "/ws" + self._below

    async def kill(self) -> None:
        self._process.popen.kill()
        await anyio.to_thread.run_sync(self._process.end)

    def read(self) -> list[int]:
        return [int(line) for line in self.file.read_text().split()]


@pytest.fixture(params=SERVERS)
async def server(
    request: pytest.FixtureRequest, start: Any, tmp_path: Path, proves: Any
) -> Counting:
    if request.param == "ws":
        proves(protocol="websocket", client="`connect()`", server="npm `ws`")
    counting = Counting(start, request.param, tmp_path)
    await counting.start()
    return counting


async def test_what_is_queued_arrives_in_order_and_what_is_lost_is_reported(
    server: Counting, watch: Any
) -> None:
    client = connect(
        server.url,
        reconnect=Backoff(first=0.05, most=0.1),
        limits={"outbox_messages": QUEUE},
        compression=True,
    )
    seen = watch(client)
    sent, last = 0, -1
    over = False

    with anyio.fail_after(60):
        async with client as spark, anyio.create_task_group() as group:
            echoed = anyio.Event()

            async def say() -> None:
                nonlocal sent
                while not over:
                    await spark.send(sent)
                    sent += 1
                    await anyio.lowlevel.checkpoint()

            async def hear() -> None:
                nonlocal last, echoed
                async for number in spark:
                    assert number > last
                    last = number
                    echoed, news = anyio.Event(), echoed
                    news.set()

            async def heard(number: int) -> None:
                while last < number:
                    await echoed.wait()

            group.start_soon(hear)
            group.start_soon(say)
            for _ in range(KILLS):
                await heard(last + 200)
                await server.kill()
                await client.wait_for(State.WAITING)
                await anyio.wait_all_tasks_blocked()  # the queue is full
                queued = {*range(sent - QUEUE + 1, sent)}
                await server.start()
                client.reconnect_now()
                await heard(sent)
                assert queued <= {*server.read()}
            over = True
            await heard(sent - 1)
            group.cancel_scope.cancel()
    read = server.read()
    lost = {*range(sent)} - {*read}
    assert read == sorted({*read})
    unconfirmed = sum(step.unconfirmed for step in seen.steps)
    assert len(lost) <= unconfirmed + seen.steps[-1].dropped
    assert seen.states.count("waiting") >= KILLS


@pytest.mark.parametrize("server", ["ws"], indirect=True)
async def test_a_node_server_closes_as_it_likes(server: Counting, watch: Any) -> None:
    with anyio.fail_after(30):
        client = connect(f"{server.url}?close=4500", reconnect=Backoff(first=0))
        with pytest.raises(ConnectionRejected, match="4500 as you asked"):
            async with client as spark:
                await spark.receive()
        with pytest.raises(ClosedByPeer, match="1000 as you asked"):
            async with connect(f"{server.url}?close=1000") as spark:
                await spark.receive()
        client = connect(f"{server.url}?close=1012", reconnect=Backoff(first=0, attempts=3))
        with pytest.raises((ConnectionLost, Unreachable)):
            async with client as spark:
                await spark.receive()
        assert isinstance(client.error, Unreachable)


@pytest.mark.parametrize("server", ["ws"], indirect=True)
@pytest.mark.parametrize("compression", [False, True])
async def test_a_node_server_echoes_all_kinds(server: Counting, compression: bool) -> None:
    messages: list[Any] = ["grüße", "", b"", b"\x00\xff" * 1000, "again " * 50_000]
    with anyio.fail_after(30):
        async with connect(server.url, codec="raw", compression=compression) as spark:
            for message in messages * 2:
                await spark.send(message)
                assert await spark.receive() == message
