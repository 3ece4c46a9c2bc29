"""HTTP by httptools: requests good and bad, one after another, and clients that take their time."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import socket
import tempfile
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from unisock import Handshake, HandshakeRejected
from unisock.abc import Protocol, Upgrade
from unisock.exchange import Body, Reader, Request, Response, Streamed
from unisock.registry import offer
from unisock.testing.certificates import Certificates
from unisock.testing.conformance.base import eventually
from unisock.testing.download import HttpConnection
from unisock.testing.wire import read_all
from unisock_picows import PicowsAdapter, door

pytestmark = pytest.mark.anyio

GET = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"


class Reading(Reader):
    def __init__(self) -> None:
        self.told: list[str] = []

    def congested(self) -> None:
        self.told.append("congested")

    def relieved(self) -> None:
        self.told.append("relieved")

    def gone(self) -> None:
        self.told.append("gone")


class Desk(Protocol):
    """Answers as the last word of the path says."""

    name = "picows-desk"
    needs = frozenset({"http"})
    below = True
    last: Desk

    def __init__(self, gate: Any, options: Any = None) -> None:
        super().__init__(gate, options)
        Desk.last = self
        self.reading = Reading()
        self.bodies: list[Body] = []
        self.read_on = anyio.Event()
        self.asked = 0

    async def answer(self, request: Request) -> Response | Upgrade:
        self.asked += 1
        match request.handshake.path.rpartition("/")[2]:
            case "slow":
                await self.read_on.wait()
                return Response(200, b"%d" % len(await request.body(1 << 30)))
            case "stream":
                return Streamed(200, (), self._start)
            case "split":
                return Response(200, b"", (("X-Split", "a\r\nX-Made: up"),))
            case _:
                return Response(200, await request.body(1 << 30))

    def _start(self, body: Body) -> Reader:
        self.bodies.append(body)
        return self.reading


offer("protocol", Desk.name, Desk)


def desk(kit: Any, **settings: Any) -> Any:
    server = kit.make(**settings)
    server.endpoint("/desk", protocol=Desk.name)
    server.asset("/page", "a page")
    server.on_message(lambda spark, message: None)
    return server


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
        (b"GET /page\r\n\r\n", b"505"),
        (b"GET /page HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /page HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"400"),
        (b"GET /page HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n", b"400"),
        (b"GET /page HTTP/2.0\r\nHost: x\r\n\r\n", b"505"),
        (GET[:-2] + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (GET[:-2] + b"X: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (GET[:-2] + b"X: " + b"x" * 20_000, b"431"),
        (GET[:-2] + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (b"BREW /page HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (
            b"POST /desk/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"400",
        ),
        (b"GET http://x/page HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"\r\nGET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"200"),
        (GET[:-2] + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\nPRI *", b"200"),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
    ],
)
async def test_a_request_good_or_bad_gets_its_answer(kit: Any, data: bytes, status: bytes) -> None:
    async with kit.serving(desk(kit)) as live, await live.place.dial() as stream:
        await stream.send(data)
        assert (await kit.head(stream)).startswith(b"HTTP/1.1 " + status)
        assert (await live.request("/page")).text == "a page"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_WebSocket_Version": "12"}, b"426"),
        ({"Sec_WebSocket_Version": None}, b"426"),
        ({"Sec_WebSocket_Key": None}, b"400"),
        ({"Sec_WebSocket_Key": "short"}, b"400"),
        ({"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25j"}, b"400"),
        ({"Host": None}, b"400"),
        ({"Upgrade": "h2c"}, b"426"),
        ({"Connection": "close"}, b"426"),
        ({"first": "POST /ws HTTP/1.1"}, b"426"),
        ({"first": "GET /ws HTTP/1.0"}, b"426"),
        ({"target": "/nothing"}, b"404"),
        ({"target": "/page"}, b"404"),
        ({"Origin": "http://evil.example"}, b"403"),
    ],
)
async def test_a_wrong_handshake_is_told_what_is_wrong(
    kit: Any, headers: dict[str, Any], status: bytes
) -> None:
    async with kit.serving(desk(kit)) as live, await live.place.dial() as stream:
        await stream.send(kit.handshake(**headers))
        answer = await kit.head(stream)
        assert answer.startswith(b"HTTP/1.1 " + status)
        if headers.get("Sec_WebSocket_Version") == "12":
            assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer
        assert live.gateway.connections == []


async def test_a_handshake_as_in_the_rfc(kit: Any) -> None:
    async with kit.serving(desk(kit)) as live, await live.place.dial() as stream:
        await stream.send(kit.handshake(Upgrade="WebSocket"))
        answer = await kit.head(stream)
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer


async def test_a_header_that_would_split_a_response_is_500(kit: Any) -> None:
    server = desk(kit)

    @server.authorize
    def refuse(handshake: Handshake) -> None:
        raise HandshakeRejected("no", headers=(("X-Why", "line\r\nfeed: yes"),))

    async with kit.serving(server) as live:
        for data in (kit.handshake(), b"GET /desk/split HTTP/1.1\r\nHost: x\r\n\r\n"):
            async with await live.place.dial() as stream:
                await stream.send(data)
                answer = await kit.head(stream)
                assert answer.startswith(b"HTTP/1.1 500 ")
                assert b"feed" not in answer
                assert b"Made" not in answer


async def test_who_does_not_wait_for_an_answer_finds_the_connection_closed_behind_it(
    kit: Any,
) -> None:
    async with kit.serving(desk(kit)) as live, await live.place.dial() as stream:
        await stream.send(
            GET + b"POST /desk/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
        )
        answer = await read_all(stream)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in answer
        assert answer.endswith(b"\r\n\r\na page")
        assert Desk.last.asked == 0


async def test_http_1_0_is_kept_alive_where_it_asks_for_it(kit: Any) -> None:
    async with kit.serving(desk(kit)) as live:
        async with await live.place.dial() as stream:
            for _ in range(2):
                await stream.send(b"GET /page HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert b"\r\nConnection: keep-alive\r\n" in await kit.head(stream)
                assert await stream.receive() == b"a page"
        async with await live.place.dial() as stream:
            await stream.send(b"GET /page HTTP/1.0\r\n\r\n")
            assert (await read_all(stream)).endswith(b"\r\n\r\na page")


async def test_who_asks_before_it_sends_a_body_is_told_to_go_on(kit: Any) -> None:
    head = b"POST /desk/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    async with kit.serving(desk(kit)) as live, await live.place.dial() as stream:
        await stream.send(head % b"echo")
        assert await kit.head(stream) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await stream.send(b"hello")
        assert b" 200 " in await kit.head(stream)
        assert await stream.receive() == b"hello"
        # Where nobody will read it, it is not asked for.
        await stream.send(head % b"split")
        assert b" 500 " in await kit.head(stream)


async def test_a_body_that_is_not_read_yet_is_not_taken_either(kit: Any) -> None:
    size = 30_000_000
    sent = 0
    async with kit.serving(desk(kit)) as live:
        client = await HttpConnection.open(live.place)
        head = f"POST /desk/slow HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        await client.send_raw(head.encode())

        async def upload() -> None:
            nonlocal sent
            while sent < size:
                await client.send_raw(b"x" * 100_000)
                sent += 100_000

        async with anyio.create_task_group() as group:
            group.start_soon(upload)
            calm, last = 0, -1
            while calm < 30:
                assert (await live.request("/page")).status == 200
                calm = calm + 1 if sent == last else 0
                last = sent
            assert sent < size / 2
            Desk.last.read_on.set()
            assert await (await client.response()).read() == b"%d" % size
        await client.drop()


async def test_who_sends_a_large_body_to_nobody_sees_the_answer(kit: Any) -> None:
    """To close with bytes unread would reset the connection, and the answer with it."""
    async with kit.serving(desk(kit)) as live, await live.place.dial() as stream:
        await stream.send(b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n")
        await stream.send(b"x" * 29_999_999)
        answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert answer.endswith(b"This is a WebSocket endpoint.\n")


async def test_head_of_a_stream_has_no_reader(kit: Any) -> None:
    async with kit.serving(desk(kit)) as live:
        client = await HttpConnection.open(live.place)
        await client.send("/desk/stream", method="HEAD")
        assert (await client.response(method="HEAD")).status == 200
        assert Desk.last.reading.told == ["gone"]
        Desk.last.bodies[0].write(b"nowhere")
        await client.send("/page")
        assert await (await client.response()).read() == b"a page"
        await client.drop()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("said", [b"", b"\x16\x03", b"GET /ws HT"], ids=["silent", "hello", "half"])
async def test_who_does_not_finish_its_request_is_cut(kit: Any, tls: bool, said: bytes) -> None:
    server = desk(kit, limits={"handshake_seconds": 0.2, "close_seconds": 0.2})
    certificates = Certificates()
    with tempfile.TemporaryDirectory() as folder:
        listen = {"tls": certificates.write(Path(folder))} if tls else {}
        async with kit.serving(server, listen=listen, trust=certificates.client) as live:
            host, port = live.addresses[0]
            files = 0
            for visit in range(3):
                async with await anyio.connect_tcp(host, port) as stream:
                    if said:
                        await stream.send(said)
                    assert b" 200 " not in await read_all(stream)
                if not visit:  # an event loop opens files of its own for its first client
                    files = open_files()
            await eventually(lambda: open_files() <= files)


async def test_who_does_not_use_its_connection_again_is_cut(kit: Any) -> None:
    server = desk(kit, limits={"handshake_seconds": 0.2})
    async with kit.serving(server) as live, await live.place.dial() as stream:
        await stream.send(GET)
        assert (await read_all(stream)).count(b"HTTP/1.1 ") == 1


async def test_who_does_not_read_its_answer_is_cut_and_who_is_slow_is_not(kit: Any) -> None:
    server = desk(kit, limits={"handshake_seconds": 1.0})
    large = b"x" * 20_000_000
    server.asset("/large", large, "application/octet-stream")
    async with kit.serving(server) as live:
        async with await live.place.dial() as stuck:
            await stuck.send(GET.replace(b"page", b"large"))
            await stuck.receive()
            files = open_files()
            await eventually(lambda: open_files() < files)
        async with await live.place.dial() as slow:
            await slow.send(GET.replace(b"page", b"large"))
            await kit.head(slow)
            for _ in range(20):
                await anyio.sleep(0.1)  # a slow client's pace, which waits for nothing
                received = 0
                while received < len(large) // 20:
                    received += len(await slow.receive(len(large) // 20 - received))


async def test_one_more_than_the_option_allows_and_the_first_has_to_go(kit: Any) -> None:
    server = desk(kit, options={"handshakes": 2})
    async with kit.serving(server) as live:
        first = await live.place.dial()
        second = await live.place.dial()
        await first.send(b"GET /page HT")
        peer = await live.connect("/ws")
        assert await read_all(first) == b""
        await second.send(GET)
        assert b" 200 " in await kit.head(second)
        await first.aclose()
        await second.aclose()
        assert peer.closed is None


async def test_without_files_it_rests_and_goes_on(
    kit: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(door, "REST_SECONDS", 0.05)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with kit.serving(desk(kit)) as live, await live.place.dial() as stream:
        await stream.send(GET)
        await kit.head(stream)
        waiting = await live.place.dial()
        await waiting.send(GET)
        await kit.head(waiting)
        # The client's end of the next connection takes the last file.
        highest = max(int(name) for name in os.listdir("/dev/fd"))
        blockers = [os.dup(0) for _ in range(highest + 1 - open_files())]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max([*blockers, highest]) + 2, hard))
        try:
            late = await live.place.dial()
            await eventually(lambda: "no client is accepted" in caplog.text)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for blocker in blockers:
                os.close(blocker)
        await late.send(GET)
        assert b" 200 " in await kit.head(late)
        await late.aclose()
        await waiting.aclose()


async def test_clients_that_never_spoke_go_with_the_server(kit: Any) -> None:
    async with kit.serving(desk(kit)) as live:
        streams = [await live.place.dial() for _ in range(20)]
        live.cancel()
        await live.stopped.wait()
        for stream in streams:
            assert await read_all(stream) == b""
            await stream.aclose()
        with pytest.raises(OSError, match="connection attempts failed"):
            await live.place.dial()


def test_the_adapter_says_what_it_can() -> None:
    capabilities = PicowsAdapter().capabilities
    assert (capabilities.http, capabilities.websocket) == (True, True)
    assert not capabilities.compression
    assert cast("Any", capabilities).backends == ("asyncio",)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("turns", range(6))
async def test_who_is_just_being_let_in_when_the_server_ends_is_turned_away(
    kit: Any, tls: bool, turns: int
) -> None:
    certificates = Certificates()
    with tempfile.TemporaryDirectory() as folder:
        listen = {"tls": certificates.write(Path(folder))} if tls else {}
        async with kit.serving(kit.make(), listen=listen, trust=certificates.client) as live:
            with socket.create_connection(live.addresses[0]) as client:
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                live.cancel()
                await live.stopped.wait()
                gc.collect()  # a socket that nobody closed would be told of
                client.settimeout(5)
                with contextlib.suppress(ConnectionResetError):
                    assert client.recv(1) == b""
