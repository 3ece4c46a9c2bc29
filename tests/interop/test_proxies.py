"""Clients behind proxies: nginx as it comes, nginx with the lines of the documentation, and proxies
that do not let WebSockets through. Each client has its own default transports, and has to find one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from unisock import Server, Spark, connect
from unisock.registry import installed, look_up
from unisock.testing.running import Running

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "howto" / "proxy.md"
HOSTS = [
    name
    for name in installed("adapter")
    if name != "memory" and look_up("adapter", name).capabilities.http
]
WORDS = 20
SPOKEN = [f"word {number}" for number in range(WORDS)]
PATIENCE = 40
OPTIONS: dict[str, dict[str, Any]] = {
    "sockjs": {"disconnect_delay": 2000},  # of a client that leaves between two polls
    "eventsource": {"post": True},
}

Nginx = Callable[..., str]
Meddle = Callable[..., AbstractAsyncContextManager[tuple[str, Any]]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def application(host: str = "tornado", **settings: Any) -> Server:
    """Echoes on every protocol; /eventsource first says where a client comes from."""
    server = Server(folder=None, adapter=host, limits={"close_seconds": 0.5}, **settings)
    for protocol in ("websocket", "sockjs", "engineio", "eventsource"):
        options = OPTIONS.get(protocol, {})
        endpoint = server.endpoint(f"/{protocol}", protocol=protocol, codec="text", options=options)

        @endpoint.on_message
        async def answer(spark: Spark, message: str) -> None:
            await spark.send(message)

    @server.endpoint("/eventsource").on_open
    async def greet(spark: Spark) -> None:
        handshake = spark.handshake
        await spark.send(f"{handshake.scheme} {handshake.peer.host}")

    return server


def documented(upstream: str) -> str:
    """The location of the documentation's page, in front of this server."""
    blocks: list[str] = re.findall(r"^```nginx\n(location .*?)^```", PAGE.read_text(), re.M | re.S)
    (block,) = blocks
    assert block.count("http://127.0.0.1:8000") == 1
    return block.replace("http://127.0.0.1:8000", upstream)


async def in_node(program: str, script: str, *arguments: object) -> Any:
    command = [program, str(HERE / script), *map(str, arguments)]
    with anyio.fail_after(PATIENCE):
        done = await anyio.run_process(command)
    return json.loads(done.stdout)


async def falls_back(program: str, library: str, url: str, *more: str) -> str:
    """The transport that a client library of Node's finds."""
    seen = await in_node(program, "fallback_client.js", library, url, WORDS, *more)
    assert seen["heard"] == SPOKEN, seen
    transport: str = seen["transport"]
    return transport


async def ours(url: str, timeout: float = 30.0) -> str:
    """The transport of our client. What it says comes back."""
    with anyio.fail_after(PATIENCE):
        async with connect(url, codec="text", timeout=timeout, reconnect=False) as spark:
            for word in SPOKEN:
                await spark.send(word)
            heard = [await spark.receive() for _ in SPOKEN]
            if url.startswith("sse+"):  # after the greeting
                heard = [*heard[1:], await spark.receive()]
            assert heard == SPOKEN
            return spark.transport


async def test_nginx_as_it_comes_lets_node_through(
    unisock_serve: Any, nginx: Nginx, node_program: str
) -> None:
    """HTTP/1.0 to the server, buffering, and no WebSockets: but X-Accel-Buffering is obeyed."""
    running: Running = await unisock_serve(application())
    site = nginx(running.http_url)
    assert await falls_back(node_program, "sockjs", f"{site}/sockjs") == "xhr-streaming"
    assert await falls_back(node_program, "engine.io", f"{site}/engineio/") == "polling"
    (event,) = await in_node(node_program, "eventsource_client.mjs", f"{site}/eventsource", 1)
    assert event["data"] == "http 127.0.0.1"


async def test_nginx_without_x_accel_buffering_lets_node_poll(
    unisock_serve: Any, nginx: Nginx, node_program: str
) -> None:
    running: Running = await unisock_serve(application())
    site = nginx(running.http_url, "proxy_ignore_headers X-Accel-Buffering;")
    assert await falls_back(node_program, "sockjs", f"{site}/sockjs") == "xhr-polling"
    assert await ours(f"sockjs+{site}/sockjs", timeout=4.5) == "xhr-polling"


@pytest.mark.parametrize("host", HOSTS)
async def test_our_clients_behind_nginx(unisock_serve: Any, nginx: Nginx, host: str) -> None:
    running: Running = await unisock_serve(application(host))
    site = nginx(running.http_url)
    assert await ours(f"sockjs+{site}/sockjs") == "xhr-streaming"
    assert await ours(f"engineio+{site}/engineio") == "polling"
    assert await ours(f"sse+{site}/eventsource") == "eventsource"
    site = nginx(running.http_url, location=documented(running.http_url))
    assert await ours(f"{site}/websocket".replace("http", "ws", 1)) == "websocket"
    assert await ours(f"sockjs+{site}/sockjs") == "websocket"
    assert await ours(f"engineio+{site}/engineio") in ("polling", "websocket")
    assert await ours(f"sse+{site}/eventsource") == "eventsource"


async def test_the_documented_lines_let_websockets_through(
    unisock_serve: Any, nginx: Nginx, node_program: str
) -> None:
    running: Running = await unisock_serve(application())
    site = nginx(running.http_url, location=documented(running.http_url))
    assert await falls_back(node_program, "sockjs", f"{site}/sockjs") == "websocket"
    there = f"{site}/engineio/"
    assert await falls_back(node_program, "engine.io", there, "upgrade") == "websocket"


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [((), "http 127.0.0.1"), (("127.0.0.1",), "https 127.0.0.2")],
    ids=["unknown", "trusted"],
)
async def test_the_clients_address(
    unisock_serve: Any, nginx: Nginx, trusted: tuple[str, ...], seen: str
) -> None:
    """What a client claims of itself is never believed; what a trusted proxy says is."""
    running: Running = await unisock_serve(application(trusted_proxies=trusted))
    lines = documented(running.http_url).replace("$scheme", "https")  # as if it had TLS
    site = nginx(running.http_url, location=lines)
    client = httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2"),
        headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "gopher"},
    )
    with anyio.fail_after(PATIENCE):
        async with client, client.stream("GET", f"{site}/eventsource") as response:
            heard = ""
            async for text in response.aiter_text():
                heard += text
                if told := re.search(r"data: (http.*)\n", heard):
                    assert told[1] == seen
                    return
    raise AssertionError(heard)


@pytest.mark.parametrize("vice", ["strips", "refuses", "cuts", "swallows", "hoards"])
async def test_a_proxy_that_blocks_websockets(
    unisock_serve: Any, meddle: Meddle, node_program: str, vice: str
) -> None:
    running: Running = await unisock_serve(application())
    transport = "xhr-polling" if vice == "hoards" else "xhr-streaming"
    async with meddle(running.http_url, vice) as (site, meddler):
        assert await falls_back(node_program, "sockjs", f"{site}/sockjs") == transport
        assert await falls_back(node_program, "engine.io", f"{site}/engineio/") == "polling"
        assert await ours(f"sockjs+{site}/sockjs", timeout=4.5) == transport
        assert await ours(f"engineio+{site}/engineio") == "polling"
        assert meddler.websockets >= 4  # each has tried


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_our_client_gives_up_a_transport_on_trio(start: Any, meddle: Meddle) -> None:
    endpoints = [{"path": "/echo", "protocol": "sockjs", "options": OPTIONS["sockjs"]}]
    settings = ("--set", f"endpoints={json.dumps(endpoints)}")
    echo = HERE.parents[1] / "docs" / "examples" / "echo.py"
    url = start("serve", echo, "--adapter", "tornado", "--port", "0", *settings).url()
    for vice, transport in (("swallows", "xhr-streaming"), ("hoards", "xhr-polling")):
        async with meddle(url, vice) as (site, _):
            assert await ours(f"sockjs+{site}/echo", timeout=4.5) == transport
