"""`connect()` with a real engine.io server of npm's: polling only, WebSocket only, and upgrade."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from unisock import ConnectionClosed, ConnectionRejected, connect

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SCRIPT = HERE / "engineio_server.js"
WAYS = [["polling"], ["websocket"], ["polling", "websocket"]]
MESSAGES = ["plain", b"\x00\x01\xff", "ünï 漢字 😀", *[str(number) for number in range(200)]]


@pytest.fixture(autouse=True)
def proved(proves: Any) -> None:
    proves(protocol="engineio", client="`connect()`", server="npm `engine.io`")


@asynccontextmanager
async def npm(**options: Any) -> AsyncGenerator[str]:
    """A server; the URL of it."""
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules" / "engine.io").exists():
        pytest.skip("no engine.io: run npm ci in tests/interop")
    command = [node, str(SCRIPT), json.dumps(options)]
    async with await anyio.open_process(command) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with anyio.fail_after(30):
                port = int(await TextReceiveStream(process.stdout).receive())
            yield f"engineio+http://127.0.0.1:{port}/engine.io"
        finally:
            with anyio.CancelScope(shield=True):
                await process.stdin.aclose()
                await process.wait()


def dial(url: str, way: list[str], **settings: Any) -> Any:
    return connect(url, codec="raw", transports=way, **{"reconnect": False, **settings})


ways = pytest.mark.parametrize("way", WAYS, ids=["+".join(way) for way in WAYS])


async def exchange(spark: Any) -> None:
    for message in MESSAGES:
        await spark.send(message)
    assert [await spark.receive() for _ in MESSAGES] == MESSAGES


@ways
async def test_messages_go_both_ways_in_order(way: list[str]) -> None:
    with anyio.fail_after(30):
        async with npm(maxHttpBufferSize=300) as url, dial(url, way) as spark:
            await exchange(spark)
            told = ""
            while told != way[-1]:
                await spark.send("transport")
                told = await spark.receive()
            await exchange(spark)


@ways
async def test_heartbeats_keep_the_session(way: list[str]) -> None:
    with anyio.fail_after(30):
        async with npm(pingInterval=40, pingTimeout=2000) as url, dial(url, way) as spark:
            for _ in range(10):
                await anyio.sleep(0.05)  # for a heartbeat of the server's
                await spark.send("still here")
                assert await spark.receive() == "still here"


@ways
async def test_the_server_closes(way: list[str]) -> None:
    with anyio.fail_after(30):
        async with npm() as url, dial(url, way) as spark:
            await spark.send("close")
            with pytest.raises(ConnectionClosed) as closed:
                await spark.receive()
            assert closed.value.code == 1005


@ways
async def test_a_refusal_has_its_reason(way: list[str]) -> None:
    with anyio.fail_after(30):
        async with npm(refuse=True) as url:
            with pytest.raises(ConnectionRejected, match="no entry"):
                async with dial(url, way):
                    pass


async def test_a_server_that_offers_no_upgrade() -> None:
    with anyio.fail_after(30):
        async with npm(allowUpgrades=False) as url, dial(url, WAYS[2]) as spark:
            await exchange(spark)
            await spark.send("transport")
            assert await spark.receive() == "polling"


async def test_it_comes_back() -> None:
    with anyio.fail_after(30):
        async with npm() as url:
            client = dial(url, WAYS[2], reconnect=True)
            lost = anyio.Event()

            @client.on_state
            def changed(change: Any) -> None:
                if change.state == "waiting":
                    lost.set()

            async with client as spark:
                await spark.send("close")
                await lost.wait()
                await exchange(spark)
