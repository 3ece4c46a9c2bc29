"""HTTP exchanges: bodies that come in, bodies that go out bit by bit, and clients that go away."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest

from ...abc import Gate, Protocol, Upgrade
from ...errors import ConnectionLost
from ...exchange import Body, Reader, Request, Response, Streamed
from ...registry import offer
from ...server import Server
from ..download import HttpConnection
from ..running import Running
from .base import AdapterTests, eventually

__all__ = ["ExchangeTests", "http_wire"]

BIG = 16 * 1024
"""Bytes in a chunk, where a client is to be slow."""


class Watching(Reader):
    """What a reader of a streamed response was told."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.told: list[str] = []
        self.changed = anyio.Event()

    def congested(self) -> None:
        self._note("congested")

    def relieved(self) -> None:
        self._note("relieved")

    def gone(self) -> None:
        self._note("gone")

    def _note(self, what: str) -> None:
        self.told.append(what)
        changed, self.changed = self.changed, anyio.Event()
        changed.set()

    async def hears(self, what: str) -> None:
        """Wait until it was told this."""
        while what not in self.told:
            await self.changed.wait()


class Probe(Protocol):
    """Answers as the last word of the path says."""

    name = "probe"
    needs = frozenset({"http"})
    below = True
    last: Probe

    def __init__(self, gate: Gate, options: Any = None) -> None:
        super().__init__(gate, options)
        Probe.last = self
        self.streams: list[Watching] = []
        self.waiting = 0
        self.cancelled = 0
        self.opening: Callable[[Body], None] = lambda body: None

    async def answer(self, request: Request) -> Response | Upgrade:
        handshake = request.handshake
        if request.upgrade:
            await self.gate.admit(handshake)
            return Upgrade(self.gate, handshake, self.gate.open)
        match handshake.path.rpartition("/")[2]:
            case "body":
                return Response(200, await request.body(100_000, seconds=2))
            case "impatient":
                return Response(200, await request.body(100_000, seconds=0.1))
            case "stream":
                return Streamed(200, [("Content-Type", "text/x-test")], self._start)
            case "wait":
                return await self._wait()
            case "status":
                return Response(int(handshake.query["is"]), b"content")
            case _:
                seen = [handshake.method, handshake.path, handshake.raw_query]
                headers = [*handshake.headers.all("x-test")]
                cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
                return Response(200, msgspec.json.encode([*seen, headers]), cookies)

    def _start(self, body: Body) -> Reader:
        watching = Watching(body)
        self.streams.append(watching)
        self.opening(body)
        return watching

    async def _wait(self) -> Response:
        self.waiting += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled += 1
        raise AssertionError("it was cancelled and went on")


offer("protocol", Probe.name, Probe)


async def http_wire(running: Running) -> HttpConnection:
    """A connection with HTTP on it; skips where there is none."""
    if running.in_memory:
        pytest.skip("capability: there is no HTTP in memory")
    return await HttpConnection.open(running.place)


class ExchangeTests(AdapterTests):
    """For adapters with the capability ``http``."""

    @asynccontextmanager
    async def probing(self, **settings: Any) -> AsyncGenerator[tuple[Running, Probe]]:
        """A server whose one endpoint is the probe."""
        self.needs("http")
        endpoint = {"path": "/probe", "codec": "raw", "protocol": "probe"}
        server = Server(adapter=self.make_adapter(), folder=None, endpoints=[endpoint], **settings)
        async with self.serving(server) as running:
            yield running, Probe.last

    async def test_a_request_is_told_as_it_came(self) -> None:
        async with self.probing() as (running, _):
            for method in ("GET", "POST", "OPTIONS", "PUT", "DELETE"):
                answer = await running.request(
                    "/probe/a%20%C3%BC?b=%20c&d",
                    method=method,
                    headers=[("X-Test", "1"), ("X-Test", "2")],
                )
                assert answer.json == [method, "/probe/a ü", "b=%20c&d", ["1", "2"]]
                assert answer.headers.all("set-cookie") == ("a=1", "b=2")

    @pytest.mark.parametrize("size", [0, 1, 99_999, 100_000])
    async def test_a_body_is_read_to_its_limit(self, size: int) -> None:
        body = b"\x00\xff" * (size // 2) + b"x" * (size % 2)
        async with self.probing() as (running, _):
            answer = await running.request("/probe/body", method="POST", body=body)
            assert (answer.status, answer.body) == (200, body)

    async def test_a_body_over_the_limit_is_refused(self) -> None:
        async with self.probing() as (running, _):
            answer = await running.request("/probe/body", method="POST", body=b"x" * 100_001)
            assert answer.status == 413
            assert (await running.request("/probe")).status == 200

    async def test_a_body_in_chunks_is_put_together(self) -> None:
        async with self.probing() as (running, _):
            client = await http_wire(running)
            head = f"POST /probe/body HTTP/1.1\r\nHost: {running.authority}\r\n"
            await client.send_raw(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            await client.send_raw(b"4\r\ndefg\r\n0\r\n\r\n")
            assert await (await client.response()).read() == b"abcdefg"
            await client.drop()

    async def test_extensions_of_chunks_are_passed_over(self) -> None:
        self.needs("http", "chunk_extensions")
        async with self.probing() as (running, _):
            client = await http_wire(running)
            head = f"POST /probe/body HTTP/1.1\r\nHost: {running.authority}\r\n"
            await client.send_raw(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
            await client.send_raw(b'3;x\r\nabc\r\n4;x=y;z="a b"\r\ndefg\r\n0;last\r\n\r\n')
            assert await (await client.response()).read() == b"abcdefg"
            await client.drop()

    async def test_a_body_that_does_not_come_is_not_waited_for(self) -> None:
        async with self.probing() as (running, _):
            client = await http_wire(running)
            head = f"POST /probe/impatient HTTP/1.1\r\nHost: {running.authority}\r\n"
            await client.send_raw(head.encode() + b"Content-Length: 1000\r\n\r\nabc")
            assert (await client.response()).status == 408
            await client.drop()

    async def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(self) -> None:
        async with self.probing() as (running, _):
            client = await http_wire(running)
            head = f"POST /probe/body HTTP/1.1\r\nHost: {running.authority}\r\n"
            await client.send_raw(head.encode() + b"Content-Length: 1000\r\n\r\nabc")
            await client.drop()
            assert (await running.request("/probe")).status == 200

    async def test_an_answer_that_nobody_waits_for_is_cancelled(self) -> None:
        async with self.probing() as (running, probe), anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            @group.start_soon
            async def ask() -> None:
                with scope:
                    await running.stream("/probe/wait", method="POST", body=b"x")

            await eventually(lambda: probe.waiting == 1)
            scope.cancel()
            await eventually(lambda: probe.cancelled == 1)

    async def test_a_client_that_leaves_right_behind_its_request_is_noticed(self) -> None:
        async with self.probing() as (running, probe):
            client = await http_wire(running)
            await client.send("/probe/wait")
            await client.drop()
            await eventually(lambda: probe.waiting == probe.cancelled)
            assert (await running.request("/probe")).status == 200

    async def test_chunks_come_one_by_one(self) -> None:
        async with self.probing() as (running, probe):
            probe.opening = lambda body: body.write(b"at once")
            async with await running.stream("/probe/stream") as download:
                assert download.status == 200
                assert download.headers["content-type"] == "text/x-test"
                assert await download.receive() == b"at once"
                (stream,) = probe.streams
                for number in range(20):
                    chunk = b"%d" % number * (number + 1)
                    stream.body.write(chunk)
                    assert await download.receive() == chunk
                stream.body.write(b"two")
                stream.body.write(b"")
                stream.body.write(b"three")
                assert [await download.receive(), await download.receive()] == [b"two", b"three"]
                stream.body.end()
                stream.body.write(b"too late")
                stream.body.end()
                assert await download.receive() == b""
                assert stream.told == []

    async def test_a_stream_may_end_as_it_begins(self) -> None:
        async with self.probing() as (running, probe):

            def all_at_once(body: Body) -> None:
                body.write(b"one")
                body.write(b"two")
                body.end()

            probe.opening = all_at_once
            for _ in range(3):
                async with await running.stream("/probe/stream") as download:
                    assert await download.read() == b"onetwo"
            probe.opening = lambda body: body.end()
            async with await running.stream("/probe/stream") as download:
                assert await download.read() == b""
            assert [stream.told for stream in probe.streams] == [[]] * 4

    async def test_after_a_stream_the_connection_is_used_again(self) -> None:
        async with self.probing() as (running, probe):
            client = await http_wire(running)
            for number in range(3):
                await client.send("/probe/stream")
                download = await client.response()
                probe.streams[number].body.write(b"x")
                probe.streams[number].body.end()
                assert await download.read() == b"x"
            await client.send("/probe/body", method="POST", body=b"y")
            assert await (await client.response()).read() == b"y"
            await client.drop()

    async def test_a_cut_is_no_end(self) -> None:
        async with self.probing() as (running, probe):
            async with await running.stream("/probe/stream") as download:
                (stream,) = probe.streams
                stream.body.write(b"half")
                assert await download.receive() == b"half"
                stream.body.cut()
                with pytest.raises(ConnectionLost):
                    await download.receive()
            stream.body.write(b"nowhere")
            stream.body.end()
            assert "gone" not in stream.told

    async def test_a_reader_that_goes_is_noticed_once(self) -> None:
        async with self.probing() as (running, probe):
            download = await running.stream("/probe/stream")
            (stream,) = probe.streams
            stream.body.write(b"hello")
            await download.receive()
            await download.drop()
            await stream.hears("gone")
            for _ in range(3):
                stream.body.write(b"x" * BIG)
            stream.body.end()
            stream.body.cut()
            assert (await running.request("/probe")).status == 200
            assert stream.told.count("gone") == 1
            assert stream.told[-1] == "gone"

    async def test_a_slow_reader_is_felt_and_loses_nothing(self) -> None:
        async with self.probing() as (running, probe):
            download = await running.stream("/probe/stream")
            (stream,) = probe.streams
            written = 0
            while "congested" not in stream.told:
                stream.body.write(bytes([written % 256]) * BIG)
                written += 1
                await anyio.lowlevel.checkpoint()
                assert written < 4000, "64 MiB were taken without a word"
            assert stream.told == ["congested"]
            received = b""
            while len(received) < written * BIG:
                received += await download.receive()
            assert received == b"".join(bytes([n % 256]) * BIG for n in range(written))
            await stream.hears("relieved")
            stream.body.write(b"and on")
            stream.body.end()
            assert await download.read() == b"and on"
            await download.drop()

    async def test_http_1_0_has_no_chunks(self) -> None:
        async with self.probing() as (running, probe):
            client = await http_wire(running)
            await client.send("/probe/stream", version="HTTP/1.0")
            download = await client.response()
            assert "transfer-encoding" not in download.headers
            probe.streams[0].body.write(b"one")
            assert await download.receive() == b"one"
            probe.streams[0].body.write(b"two")
            probe.streams[0].body.end()
            assert await download.read() == b"two"
            await client.drop()

    @pytest.mark.parametrize("status", [204, 304])
    async def test_some_answers_have_no_body(self, status: int) -> None:
        async with self.probing() as (running, _):
            download = await running.stream(f"/probe/status?is={status}")
            assert download.status == status
            assert await download.read() == b""
            await download.drop()

    async def test_head_is_answered_without_a_body(self) -> None:
        async with self.probing() as (running, _):
            client = await http_wire(running)
            await client.send("/probe/status?is=200", method="HEAD")
            download = await client.response(method="HEAD")
            assert (download.status, download.headers["content-length"]) == (200, "7")
            await client.send("/probe/status?is=200")
            assert await (await client.response()).read() == b"content"
            await client.drop()

    async def test_websockets_and_exchanges_share_an_endpoint(self) -> None:
        self.needs("websocket")
        async with self.probing() as (running, probe):
            peer = await running.connect("/probe/socket", kind=self.peer or self._kind(running))
            async with await running.stream("/probe/stream") as download:
                (spark,) = running.hub
                await spark.send("to the socket")
                probe.streams[0].body.write(b"to the stream")
                assert await peer.receive() == "to the socket"
                assert await download.receive() == b"to the stream"

    async def test_the_end_of_the_server_ends_streams_and_waits(self) -> None:
        async with self.probing() as (running, probe), anyio.create_task_group() as group:

            @group.start_soon
            async def ask() -> None:
                with pytest.raises(Exception):  # noqa: B017, PT011 - however it is cut off
                    await (await running.stream("/probe/wait")).read()

            download = await running.stream("/probe/stream")
            await eventually(lambda: probe.waiting == 1)
            running.cancel()
            await running.stopped.wait()
            await probe.streams[0].hears("gone")
            await eventually(lambda: probe.cancelled == 1)
            await download.drop()
            group.cancel_scope.cancel()

    def _kind(self, running: Running) -> str:
        return "memory" if running.in_memory else "websocket"
