"""The adapter's own server, which is uvicorn: its limits, its manners, and how it ends."""

import asyncio
import gc
import logging
import os
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
from anyio.abc import ByteStream

from unisock import ConfigError, Handshake, HandshakeRejected, Origin, Server, Unsupported
from unisock.testing.certificates import Certificates
from unisock.testing.conformance.base import Watch, eventually
from unisock.testing.running import Running, serving
from unisock.testing.websocket import WebSocketPeer, frame
from unisock.testing.wire import read_all
from unisock_asgi import AsgiAdapter

pytestmark = pytest.mark.anyio

UPGRADE = {
    "Host": "x",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def make(**settings: Any) -> Server:
    settings = {"heartbeat": {"interval": 0}, "endpoints": [{"path": "/ws"}], **settings}
    server = Server(adapter="asgi", folder=None, **settings)
    server.on_message(lambda spark, message: spark.send_nowait(message) and None)
    return server


@pytest.fixture
async def running() -> AsyncGenerator[Running]:
    server = make()
    server.asset("/page", "a page")
    with anyio.fail_after(30):
        async with serving(server) as running:
            yield running


def request(target: str = "/ws", **headers: str | None) -> bytes:
    """An opening handshake with these headers changed, or left out where `None`."""
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in {**UPGRADE, **changed}.items() if value]
    return "\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""]).encode()


async def head(stream: ByteStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    return data


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


async def test_requests_share_a_connection_also_with_bodies(running: Running) -> None:
    async with await running.place.dial() as stream:
        await stream.send(
            b"POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
            b"POST /ws HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nhi\r\n0\r\nX-Trailer: yes\r\n\r\n"
            b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        answer = await read_all(stream)
    assert [answer.count(status) for status in (b" 405 ", b" 426 ", b" 200 ")] == [1, 1, 1]
    assert b"server:" not in answer.lower()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /page HTTP/1.1\r\nCookie: " + b"x" * 70_000,
        b"GET /page HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
        b"GET /page HTTP/1.1\r\nHost: x\r\n\r\nGET /ws HTTP/1.1\r\nCookie: " + b"x" * 70_000,
    ],
    ids=["long", "many", "second"],
)
async def test_headers_without_an_end_are_not_read(running: Running, head: bytes) -> None:
    async with await running.place.dial() as stream:
        with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
            await _go_on(stream, head)


async def _go_on(stream: ByteStream, head: bytes) -> None:
    """Send headers, and more of them, and read."""
    for piece in (head, b"x" * 65_536, b"x" * 65_536):
        await stream.send(piece)
        await anyio.lowlevel.checkpoint()
    while True:
        await stream.receive()


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


async def test_the_second_request_has_the_same_time_for_its_head() -> None:
    server = make(limits={"handshake_seconds": 0.2})
    with anyio.fail_after(30):
        async with serving(server) as running, await running.place.dial() as stream:
            await stream.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 426 " in await head(stream)
            await stream.send(b"\r\n")
            await read_all(stream)


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


async def test_what_comes_with_the_handshake_is_not_lost() -> None:
    server = make()

    @server.authorize
    async def later(handshake: Handshake) -> None:
        for _ in range(20):  # so that more arrives meanwhile
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(30):
        async with serving(server) as running, await running.place.dial() as stream:
            await stream.send(request() + frame(9, b"early") + frame(1, b'"a"'))
            await stream.send(frame(1, b'"b"'))
            answer = await head(stream)
            assert answer.startswith(b"HTTP/1.1 101 ")
            while not answer.endswith(b'\x8a\x05early\x81\x03"a"\x81\x03"b"'):
                answer += await stream.receive()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(Sec_WebSocket_Version="12"), b"400"),
        (request(Sec_WebSocket_Key=None), b"400"),
        (request(Sec_WebSocket_Key="short"), b"400"),
        (request(Upgrade="h2c"), b"426"),
        (request().replace(b"GET", b"POST"), b"426"),
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
        assert (await head(stream)).startswith(b"HTTP/1.1 " + status)
    assert running.gateway.connections == []


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


async def connect(running: Running, path: str = "/ws") -> WebSocketPeer:
    peer = await running.connect(path, kind="websocket")
    assert isinstance(peer, WebSocketPeer)
    return peer


async def test_fragments_are_counted_for_each_endpoint() -> None:
    server = make(
        endpoints=[{"path": "/ws"}, {"path": "/few", "codec": "raw", "limits": {"fragments": 3}}]
    )
    watch = Watch(server)
    with anyio.fail_after(30):
        async with serving(server) as running:
            few, many = await connect(running, "/few"), await connect(running)
            await few.send_fragments(["a", "", "b"])
            assert await few.receive() == "ab"
            await few.send_fragments(["a", "", "", ""])
            close = await few.wait_closed()
            assert (close.code, close.reason) == (1009, "over the limit fragments = 3")
            seen = await watch.end()
            assert (seen.code, seen.origin) == (1009, Origin.LOCAL)
            await many.send_fragments(['"a', "", "", 'b"'])
            assert await many.receive() == '"ab"'


@pytest.mark.parametrize("size", [10, 11, 135, 136, 5000])
async def test_the_limit_of_a_message_is_named_and_is_the_endpoints(size: int) -> None:
    server = make(endpoints=[{"path": "/ws", "codec": "raw", "limits": {"message_bytes": 10}}])
    with anyio.fail_after(30):
        async with serving(server) as running:
            peer = await connect(running)
            await peer.send("x" * size)
            if size == 10:
                assert await peer.receive() == "x" * 10
                return
            close = await peer.wait_closed()
            assert (close.code, close.reason) == (1009, "over the limit message_bytes = 10")


async def test_a_broken_rule_is_the_servers_close() -> None:
    server = make()
    watch = Watch(server)
    with anyio.fail_after(30):
        async with serving(server) as running:
            peer = await connect(running)
            await peer.send_raw(frame(1, b"\xff"))
            assert (await peer.wait_closed()).code == 1007
            close = await watch.end()
            assert (close.code, close.origin) == (1007, Origin.LOCAL)


async def test_uvicorn_finds_the_dead_with_the_heartbeat_of_the_settings() -> None:
    server = make(heartbeat={"interval": 0.1, "timeout": 0.1})
    watch = Watch(server)
    with anyio.fail_after(30):
        async with serving(server) as running:
            dead, alive = await connect(running), await connect(running)
            dead.play_dead()
            assert (await watch.end()).origin is Origin.LOST
            await alive.send("1")
            assert await alive.receive() == "1"


async def test_one_endpoint_without_heartbeats_turns_them_off() -> None:
    server = make(
        heartbeat={"interval": 0.05, "timeout": 0.05},
        endpoints=[{"path": "/ws"}, {"path": "/quiet", "heartbeat": {"interval": 0}}],
    )
    with anyio.fail_after(30):
        async with serving(server) as running:
            quiet = await connect(running, "/quiet")
            quiet.play_dead()
            with anyio.move_on_after(0.5):
                await quiet.wait_closed()
            assert quiet.closed is None


async def test_it_logs_nothing_of_ordinary_and_of_bad_clients(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with await running.place.dial() as stream:
            await stream.send(b"\x16\x03\x01\r\n\r\n")
            await read_all(stream)
        peer = await connect(running)
        await peer.send_raw(frame(1, b"\xff"))
        await peer.wait_closed()
        await running.request("/page")
    assert [record.name for record in caplog.records if "uvicorn" in record.name] == []


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


async def test_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"remove \[options\.asgi\]"):
        AsgiAdapter({"compression": True})


def test_on_trio_it_says_what_to_run() -> None:
    async def main() -> None:
        await make(backend="trio", listen={"port": 0}).serve()

    with pytest.raises(Unsupported, match="hypercorn --worker-class trio"):
        trio.run(main)
