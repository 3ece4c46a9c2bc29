"""The client, with servers that are scripted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import ObjectReceiveStream, SocketAttribute, SocketStream

from unisock import EncodeError, Server, connect

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def source(
    *headers: str, events: str = ""
) -> AsyncGenerator[tuple[str, ObjectReceiveStream[bytes]]]:
    """The URL of a source of events, and what is posted to it."""
    tell, posted = anyio.create_memory_object_stream[bytes](8)

    async def serve(stream: SocketStream) -> None:
        async with stream:
            request = b""
            while b"\r\n\r\n" not in request:
                request += await stream.receive()
            if request.startswith(b"POST"):
                while not request.endswith(b"}"):
                    request += await stream.receive()
                await tell.send(request)
                await stream.send(b"HTTP/1.1 204 No Content\r\n\r\n")
                return
            head = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream", *headers]
            await stream.send("\r\n".join([*head, "", events]).encode())
            if not events:
                await stream.send(b"\r\n")
            await anyio.sleep_forever()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with tell, posted, listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        port = listener.extra(SocketAttribute.local_port)
        yield f"sse+http://127.0.0.1:{port}/events", posted
        group.cancel_scope.cancel()


async def test_messages_may_be_sent_before_the_first_event() -> None:
    with anyio.fail_after(30):
        async with (
            source('Link: </events/key>; rel="post"') as (url, posted),
            connect(url, reconnect=False, codec="text") as spark,
        ):
            await spark.send("{}")
            request = await posted.receive()
    assert request.startswith(b"POST /events/key HTTP/1.1\r\n")


@pytest.mark.parametrize("address", ["@elsewhere.example/", "http://elsewhere.example/", ""])
async def test_messages_go_to_nobody_else(address: str) -> None:
    told = f"event: post\ndata: {address}\n\ndata: now\n\n"
    with anyio.fail_after(30):
        async with (
            source(f'Link: <{address}>; rel="post"', events=f"\r\n{told}") as (url, _),
            connect(url, reconnect=False, codec="text") as spark,
        ):
            assert await spark.receive() == "now"
            with pytest.raises(EncodeError, match="takes no messages"):
                await spark.send("{}")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_header_of_the_callers_takes_the_place_of_our_own(unisock_serve: Any) -> None:
    endpoint = {"path": "/events", "protocol": "eventsource", "codec": "text"}
    server = Server(folder=None, adapter="tornado", endpoints=[endpoint])
    server.on_open(lambda spark: spark.send(str(spark.handshake.headers.all("accept"))))
    running = await unisock_serve(server)
    url = f"sse+{running.http_url}/events"
    with anyio.fail_after(30):
        async with connect(url, reconnect=False, codec="text", headers={"accept": "*/*"}) as spark:
            assert await spark.receive() == "('*/*',)"
