"""Plain HTTP, opening handshakes good and bad, and clients that do not come to the point."""

import asyncio
import gc
import os
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from unisock import Handshake, HandshakeRejected, Server
from unisock.testing.certificates import Certificates
from unisock.testing.conformance.base import eventually
from unisock.testing.running import Running, serving
from unisock.testing.wire import read_all
from unisock_tornado import connection

pytestmark = pytest.mark.anyio

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = {
    "Host": "x",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def make(**settings: Any) -> Server:
    settings = {"heartbeat": {"interval": 0}, **settings}
    server = Server(adapter="tornado", folder=None, **settings)
    server.on_message(lambda spark, message: spark.send_nowait(message) and None)
    return server


@pytest.fixture
async def running() -> AsyncGenerator[Running]:
    server = make()
    server.asset("/page", "a page")
    with anyio.fail_after(30):
        async with serving(server) as running:
            yield running


def request(target: str = "/ws", first: str = "", **headers: str | None) -> bytes:
    """An opening handshake with these headers changed, or left out where `None`."""
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in {**UPGRADE, **changed}.items() if value]
    return "\r\n".join([first or f"GET {target} HTTP/1.1", *lines, "", ""]).encode()


async def head(stream: ByteStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    return data


async def test_a_page_a_wrong_path_and_an_endpoint_without_upgrade(running: Running) -> None:
    page = await running.request("/page")
    assert (page.status, page.text) == (200, "a page")
    assert "date" in page.headers
    assert (await running.request("/nothing")).status == 404
    assert (await running.request("/ws")).status == 426
    assert (await running.request("/ws", method="POST")).status == 426
    assert (await running.request("/page", method="BREW")).status == 405
    cached = await running.request("/page", headers=[("If-None-Match", page.headers["etag"])])
    assert (cached.status, cached.body) == (304, b"")


async def test_head_has_the_length_and_not_the_body(running: Running) -> None:
    async with await running.place.dial() as stream:
        await stream.send(b"HEAD /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 6\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_requests_share_a_connection_also_with_bodies(running: Running) -> None:
    async with await running.place.dial() as stream:
        await stream.send(
            b"POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
            b"POST /ws HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nhi\r\n0\r\n\r\n"
            b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        answer = await read_all(stream)
    assert [answer.count(status) for status in (b" 405 ", b" 426 ", b" 200 ")] == [1, 1, 1]


async def test_a_body_that_nobody_asks_for_is_not_waited_for(running: Running) -> None:
    async with await running.place.dial() as stream:
        await stream.send(b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 30000000", b"Transfer-Encoding: chunked"],
    ids=["length", "chunks"],
)
async def test_who_sends_a_large_body_to_nobody_sees_the_answer(
    running: Running, framing: bytes
) -> None:
    """To close with bytes unread would reset the connection, and the answer with it."""
    async with await running.place.dial() as stream:
        await stream.send(b"POST /ws HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
        if b"chunked" in framing:
            for _ in range(300):
                await stream.send(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
        else:
            await stream.send(b"x" * 29_999_999)
        answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert answer.endswith(b"This is a WebSocket endpoint.\n")


async def test_who_never_ends_its_body_is_cut_after_the_answer() -> None:
    server = make(limits={"handshake_seconds": 0.2})
    with anyio.fail_after(30):
        async with serving(server) as running, await running.place.dial() as stream:
            files = open_files()
            await stream.send(b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhi")
            assert (await read_all(stream)).startswith(b"HTTP/1.1 426 ")
            await eventually(lambda: open_files() < files)


async def test_large_headers_are_not_read(running: Running) -> None:
    async with await running.place.dial() as stream:
        await stream.send(request(Cookie="x" * 20_000))
        assert b" 101 " not in await read_all(stream)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(Sec_WebSocket_Version="12"), b"426"),
        (request(Sec_WebSocket_Version=None), b"426"),
        (request(Sec_WebSocket_Key=None), b"400"),
        (request(Sec_WebSocket_Key="short"), b"400"),
        (request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25j"), b"400"),
        (request(Host=None), b"400"),
        (request(Upgrade="h2c"), b"426"),
        (request(Connection="close"), b"426"),
        (request(first="POST /ws HTTP/1.1"), b"426"),
        (request(first="GET /ws HTTP/1.0"), b"426"),
        (request("/nothing"), b"404"),
        (request("/page"), b"404"),
        (request(Origin="http://evil.example"), b"403"),
    ],
)
async def test_a_wrong_handshake_is_told_what_is_wrong(
    running: Running, data: bytes, status: bytes
) -> None:
    async with await running.place.dial() as stream:
        await stream.send(data)
        answer = await head(stream)
    assert answer.startswith(b"HTTP/1.1 " + status)
    if b"Sec-WebSocket-Version: 12" in data:
        assert b"\r\nSec-Websocket-Version: 13\r\n" in answer
    assert running.gateway.connections == []


async def test_a_handshake_as_in_the_rfc(running: Running) -> None:
    async with await running.place.dial() as stream:
        # The first message comes with the request: not a byte of it may be lost.
        await stream.send(request(Upgrade="WebSocket") + b"\x81\x83\0\0\0\0" + b'"a"')
        answer = await head(stream)
        assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"\r\nSec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
        while not answer.endswith(b'\x81\x03"a"'):
            answer += await stream.receive()


async def test_a_refusal_with_a_header_that_http_does_not_allow_is_500() -> None:
    server = make()

    @server.authorize
    def refuse(handshake: Handshake) -> None:
        raise HandshakeRejected("no", headers=(("X-Why", "line\r\nfeed: yes"),))

    with anyio.fail_after(30):
        async with serving(server) as running, await running.place.dial() as stream:
            await stream.send(request())
            answer = await head(stream)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"feed" not in answer


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("said", [b"", b"\x16\x03", b"GET /ws HT"], ids=["silent", "hello", "half"])
async def test_who_does_not_finish_the_handshake_is_cut(tls: bool, said: bytes) -> None:
    server = make(limits={"handshake_seconds": 0.2})
    certificates = Certificates()
    with anyio.fail_after(30), tempfile.TemporaryDirectory() as folder:
        listen = {"tls": certificates.write(Path(folder))} if tls else {}
        async with serving(server, listen=listen, trust=certificates.client) as running:
            host, port = running.addresses[0]
            async with await anyio.connect_tcp(host, port) as stream:
                if said:
                    await stream.send(said)
                assert b"200" not in await read_all(stream)


async def test_who_does_not_read_the_answer_is_cut() -> None:
    server = make(limits={"handshake_seconds": 0.2})
    server.asset("/large", b"x" * 30_000_000, "application/octet-stream")
    with anyio.fail_after(30):
        async with serving(server) as running, await running.place.dial() as stream:
            await stream.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            data = await stream.receive()
            files = open_files()
            await eventually(lambda: open_files() < files)  # to read would let the answer flow
            assert len(data) + len(await read_all(stream)) < 30_000_000


async def test_a_cancelled_server_leaves_nothing_behind() -> None:
    server = make()
    asked = anyio.Event()

    @server.authorize
    async def ask(handshake: Handshake) -> None:
        if "never" in handshake.query:
            asked.set()
            await anyio.sleep_forever()

    with anyio.fail_after(30):
        before = len(asyncio.all_tasks())
        async with serving(server) as running:
            place = running.place
            streams = [await place.dial() for _ in range(5)]
            await streams[0].send(b"GET /ws HT")
            await streams[1].send(request("/ws?never"))
            await streams[2].send(request())
            await streams[3].send(b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            await head(streams[2])
            await asked.wait()
            running.cancel()
            for stream in streams:
                assert b" 200 " not in await read_all(stream)
                await stream.aclose()
            await running.stopped.wait()
            assert running.gateway.connections == []
            with pytest.raises(OSError, match=r"."):
                await place.dial()
        gc.collect()
        assert len(asyncio.all_tasks()) == before


def test_tornado_has_the_function_that_unmasks() -> None:
    """It is private: a Tornado that moves or changes it must be noticed here first."""
    unmask = connection.unmask  # pyright: ignore[reportPrivateImportUsage]
    assert unmask(b"\x01\x02\x03\x04", b"abcde") == b"````d"
