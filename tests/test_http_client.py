"""The requests of connectors: what is asked of the server, and that nothing is left behind."""

import gc
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream

from unisock.abc import Call
from unisock.errors import ConfigError
from unisock.http_client import HttpClient, leave, read_some
from unisock.testing.ports import private_port
from unisock.url import parse_url

pytestmark = pytest.mark.anyio

MANY = 32 * 1_048_576
"""More than the system takes before the other side reads."""


@asynccontextmanager
async def answering(handle: Callable[[SocketStream], Any]) -> AsyncGenerator[str]:
    """The address of a server that does as it is told with each connection."""
    listeners = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def serve(stream: SocketStream) -> None:
        async with stream:
            await handle(stream)

    async with listeners, anyio.create_task_group() as group:
        group.start_soon(listeners.serve, serve)
        with anyio.fail_after(30):
            yield f"http://127.0.0.1:{listeners.extra(SocketAttribute.local_port)}/"
        group.cancel_scope.cancel()


@asynccontextmanager
async def client_of(url: str, **call: Any) -> AsyncGenerator[HttpClient]:
    client = HttpClient(Call(url=parse_url(f"sse+{url}"), **{"proxy": False, **call}))
    try:
        yield client
    finally:
        await client.aclose()


def saying(body: bytes, heads: list[bytes] | None = None) -> Callable[[SocketStream], Any]:
    async def handle(stream: SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive()
        if heads is not None:
            heads.append(head)
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        try:
            await stream.send(body)
            await stream.receive()
        except (anyio.BrokenResourceError, anyio.EndOfStream):
            pass

    return handle


@pytest.mark.parametrize(
    ("headers", "name", "lines"),
    [
        ((), None, [b"Content-Length: 4", b"X-Kind: post"]),
        ((("X-Own", "1"),), "chat.example", [b"X-Own: 1", b"Host: chat.example:"]),
    ],
    ids=["plain", "named"],
)
async def test_what_the_call_wants_is_in_the_request(
    headers: Sequence[tuple[str, str]], name: str | None, lines: Sequence[bytes]
) -> None:
    heads: list[bytes] = []
    async with (
        answering(saying(b"fine", heads)) as url,
        client_of(url, headers=headers, server_name=name) as client,
    ):
        response = await client.send("POST", "/there?a=b", b"body", [("X-Kind", "post")])
        assert response.content == b"fine"
    (head,) = heads
    assert head.startswith(b"POST /there?a=b HTTP/1.1\r\n")
    for line in lines:
        assert line in head
    assert head.count(b"Host: ") == 1
    assert b"chunked" not in head


async def test_a_request_that_is_cancelled_leaves_nothing_behind() -> None:
    async def listen(stream: SocketStream) -> None:
        await anyio.sleep_forever()

    async with answering(listen) as url, client_of(url) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.send, "POST", "/", bytes(MANY))
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        gc.collect()  # of which trio would complain


async def test_so_much_is_read_of_a_long_body_and_no_more() -> None:
    async with answering(saying(bytes(MANY))) as url, client_of(url) as client:
        response = await client.send("GET", "/", stream=True)
        assert 1000 < len(await read_some(response, 1000)) < MANY
        await response.aclose()
        gc.collect()
    async with answering(saying(b"short")) as url, client_of(url) as client:
        response = await client.send("GET", "/", stream=True)
        assert await read_some(response, 1000) == b"short"


async def test_a_reading_can_be_left_in_the_middle() -> None:
    async with answering(saying(bytes(MANY))) as url, client_of(url) as client:
        response = await client.send("GET", "/", stream=True)
        pieces = response.aiter_bytes()
        assert await anext(pieces)
        await leave(pieces)
        await response.aclose()
        gc.collect()


async def test_nobody_there() -> None:
    async with client_of(f"http://127.0.0.1:{private_port()}/") as client:
        with pytest.raises(httpx.ConnectError):
            await client.send("GET", "/")


async def test_a_proxy_that_is_none() -> None:
    with pytest.raises(ConfigError, match="proxy"):
        HttpClient(Call(url=parse_url("sse+http://x/"), proxy="gopher://proxy"))
