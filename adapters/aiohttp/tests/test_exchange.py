"""HTTP exchanges beyond the conformance suite: what this server's HTTP allows for."""

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from unisock import Handshake, Server
from unisock.abc import Protocol, Upgrade
from unisock.exchange import Body, Reader, Request, Response, Streamed
from unisock.registry import offer
from unisock.testing.conformance.base import eventually
from unisock.testing.download import HttpConnection
from unisock.testing.running import Running, serving
from unisock.testing.wire import read_all
from unisock_aiohttp import AiohttpAdapter

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Quiet(Reader):
    def congested(self) -> None: ...
    def relieved(self) -> None: ...
    def gone(self) -> None: ...


class Scripted(Protocol):
    """Sends a body back, or a stream of two chunks."""

    name = "aiohttp-scripted"
    needs = frozenset({"http"})
    below = True

    async def answer(self, request: Request) -> Response | Upgrade:
        match request.handshake.path.rpartition("/")[2]:
            case "body":
                return Response(200, await request.body(1 << 24))
            case "stream":
                return Streamed(200, [("Content-Type", "text/x-test")], self._start)
            case _:
                return Response(200, b"a", [("X-Bad", "line\r\nfeed: yes")])

    def _start(self, body: Body) -> Reader:
        body.write(b"one")
        body.write(b"two")
        body.end()
        return Quiet()


offer("protocol", Scripted.name, Scripted)


@pytest.fixture
async def running() -> AsyncGenerator[Running]:
    endpoint = {"path": "/x", "protocol": Scripted.name, "codec": "raw"}
    server = Server(adapter=AiohttpAdapter(), folder=None, endpoints=[endpoint])
    with anyio.fail_after(30):
        async with serving(server) as running:
            yield running


async def send(running: Running, data: bytes, *more: bytes) -> bytes:
    async with await running.place.dial() as stream:
        await stream.send(data)
        for piece in more:
            await stream.receive()
            await stream.send(piece)
        return await read_all(stream)


async def test_who_asks_whether_to_continue_is_told_to(running: Running) -> None:
    async with await running.place.dial() as stream:
        await stream.send(
            b"POST /x/body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert await stream.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await stream.send(b"hello")
        assert (await read_all(stream)).endswith(b"\r\n\r\nhello")


async def test_who_asks_so_for_what_has_no_body_gets_its_answer_at_once(running: Running) -> None:
    answer = await send(
        running,
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: 100-continue\r\n"
        b"Connection: close\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_a_compressed_body_stays_as_it_is(running: Running) -> None:
    headers = [("Content-Encoding", "gzip")]
    answer = await running.request("/x/body", method="POST", headers=headers, body=b"no gzip")
    assert answer.body == b"no gzip"


async def test_a_body_larger_than_any_buffer(running: Running) -> None:
    body = bytes(range(256)) * 40_000
    assert (await running.request("/x/body", method="POST", body=body)).body == body


async def test_streams_of_http_1_0_end_with_the_connection(running: Running) -> None:
    answer = await send(
        running, b"GET /x/stream HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
    )
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"onetwo"
    assert b"chunked" not in head
    assert b"keep-alive" not in head


async def test_answers_of_http_1_0_can_keep_it(running: Running) -> None:
    head = b"POST /x/body HTTP/1.0\r\nHost: x\r\nContent-Length: 1\r\n"
    answer = await send(running, head + b"Connection: keep-alive\r\n\r\na", head + b"\r\nb")
    assert answer.endswith(b"\r\n\r\nb")


async def test_head_of_a_stream_is_a_head(running: Running) -> None:
    client = await HttpConnection.open(running.place)
    await client.send("/x/stream", method="HEAD")
    assert (await client.response(method="HEAD")).status == 200
    await client.send("/x/stream")
    assert await (await client.response()).read() == b"onetwo"
    await client.drop()


async def test_requests_in_a_row_are_answered_in_a_row(running: Running) -> None:
    ask = b"GET /x/stream HTTP/1.1\r\nHost: x\r\n%b\r\n"
    post = b"POST /x/body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nmid"
    answer = await send(running, ask % b"" + post + ask % b"Connection: close\r\n")
    assert answer.count(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n") == 2
    assert answer.index(b"two") < answer.index(b"mid") < answer.rindex(b"two")


async def test_a_header_that_http_does_not_allow_is_not_sent(running: Running) -> None:
    answer = await running.request("/x/bad")
    assert answer.status == 500
    assert "feed" not in answer.headers


async def test_who_leaves_while_it_is_being_asked_about_is_asked_about_no_more() -> None:
    server = Server(adapter=AiohttpAdapter(), folder=None)
    asked: list[str] = []
    cancelled: list[str] = []

    @server.authorize
    async def ask(handshake: Handshake) -> None:
        asked.append(handshake.path)
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(handshake.path)

    upgrade: Any = (
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with anyio.fail_after(30):
        async with serving(server) as running:
            stream = await running.place.dial()
            await stream.send(upgrade)
            await eventually(lambda: asked == ["/ws"])
            await stream.aclose()
            await eventually(lambda: cancelled == ["/ws"])
