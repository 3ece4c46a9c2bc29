"""``connect("sockjs+http://…")`` with npm's SockJS server, and with ours."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from unisock import (
    ClosedByPeer,
    ConfigError,
    ConnectionRejected,
    Handshake,
    HandshakeRejected,
    Server,
    Spark,
    connect,
)
from unisock.testing.running import serving

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
NASTY = [
    "",
    "100 %41 %25",
    "\"'\\",
    "\u2028\u2029",
    "ünï 漢字 😀",
    "\x00\x1f\x7f",
    "hhh",
    "x" * 5000,
]
NUMBERS = [str(number) for number in range(200)]
TRANSPORTS = ["websocket", "xhr-streaming", "xhr-polling"]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True)
def proved(request: pytest.FixtureRequest, proves: Any) -> None:
    callspec = getattr(request.node, "callspec", None)
    if callspec is not None and callspec.params.get("whose") == "npm":
        proves(protocol="sockjs", client="`connect()`", server="npm `sockjs`")


@asynccontextmanager
async def npm() -> AsyncGenerator[str]:
    """npm's server."""
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules" / "sockjs").exists():
        pytest.skip("no node, or no sockjs: run npm ci in tests/interop")
    command = [node, str(HERE / "sockjs_server.js")]
    async with await anyio.open_process(command) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = (await TextReceiveStream(process.stdout).receive()).strip()
            yield f"sockjs+http://127.0.0.1:{port}"
        finally:
            with anyio.CancelScope(shield=True):
                await process.stdin.aclose()  # it ends then
                await process.wait()


@asynccontextmanager
async def ours(anyio_backend: str, **options: Any) -> AsyncGenerator[tuple[Server, str]]:
    """Our server, where there is one for this backend."""
    if anyio_backend != "asyncio":
        pytest.skip("capability: tornado runs on asyncio")
    server = Server(folder=None, adapter="tornado")
    for path, more in (("/echo", {}), ("/only_http", {"websocket": False, "response_limit": 999})):
        endpoint = server.endpoint(
            path,
            protocol="sockjs",
            codec="raw",
            # A client that leaves between two polls is waited for.
            options={"disconnect_delay": 500, **more, **options},
        )

        @endpoint.on_message
        async def answer(spark: Spark, message: str) -> None:
            if message == "close":
                await spark.close(4567, "as you wish")
            else:
                await spark.send(message)

    async with serving(server) as running:
        yield server, f"sockjs+{running.http_url}"


@asynccontextmanager
async def either(whose: str, backend: str) -> AsyncGenerator[str]:
    if whose == "npm":
        async with npm() as url:
            yield url
    else:
        async with ours(backend) as (_, url):
            yield url


each_server = pytest.mark.parametrize("whose", ["npm", "ours"])
each = pytest.mark.parametrize("transport", TRANSPORTS)


@each_server
@each
async def test_messages_go_both_ways(anyio_backend: str, whose: str, transport: str) -> None:
    messages = [*NASTY, *NUMBERS]
    with anyio.fail_after(30):
        async with (
            either(whose, anyio_backend) as url,
            connect(f"{url}/echo", codec="raw", transports=[transport]) as spark,
        ):
            assert spark.transport == transport
            for message in messages:
                await spark.send(message)
            assert [await spark.receive() for _ in messages] == messages


@each_server
@each
async def test_the_servers_close_arrives(anyio_backend: str, whose: str, transport: str) -> None:
    with anyio.fail_after(30):
        async with (
            either(whose, anyio_backend) as url,
            connect(f"{url}/echo", codec="raw", transports=[transport], reconnect=False) as spark,
        ):
            await spark.send("close")
            with pytest.raises((ClosedByPeer, ConnectionRejected)) as caught:
                await spark.receive()
            assert (caught.value.code, caught.value.reason) == (4567, "as you wish")


@each_server
async def test_without_websocket_it_streams(anyio_backend: str, whose: str) -> None:
    with anyio.fail_after(30):
        async with (
            either(whose, anyio_backend) as url,
            connect(f"{url}/only_http?a=b", codec="raw") as spark,
        ):
            assert spark.transport == "xhr-streaming"
            for message in NUMBERS:
                await spark.send(message)
                assert await spark.receive() == message


@each
async def test_a_refusal_is_final(anyio_backend: str, transport: str) -> None:
    with anyio.fail_after(30):
        if anyio_backend != "asyncio":
            pytest.skip("capability: tornado runs on asyncio")
        server = Server(folder=None, adapter="tornado")

        @server.authorize
        def refuse(handshake: Handshake) -> None:
            raise HandshakeRejected("members only", code=4999)

        server.endpoint("/echo", protocol="sockjs", codec="raw")
        async with serving(server) as running:
            with pytest.raises(ConnectionRejected, match="members only"):
                async with connect(
                    f"sockjs+{running.http_url}/echo",
                    codec="raw",
                    transports=[transport],
                ):
                    pass


async def test_what_is_no_transport_is_refused() -> None:
    with pytest.raises(ConfigError, match="there are websocket, xhr-streaming, xhr-polling"):
        async with connect("sockjs+http://127.0.0.1:1/", transports=["pigeon"]):
            pass
