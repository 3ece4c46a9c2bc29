"""With real sockets: what a client meets that does not behave, and what is left afterwards."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from unisock import Server, Spark
from unisock.testing.certificates import Certificates
from unisock.testing.running import Running, serving, task_group
from unisock.testing.websocket import WebSocketPeer, frame
from unisock.testing.wire import Place, read_all

pytestmark = pytest.mark.anyio

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def make_server(**settings: Any) -> Server:
    """A server that echoes at ``/ws``."""
    server = Server(
        adapter="websockets", folder=None, endpoints=[{"path": "/ws", "codec": "raw"}], **settings
    )
    server.on_message(Spark.send_nowait)
    return server


@contextlib.asynccontextmanager
async def running(server: Server, **settings: Any) -> AsyncGenerator[Running]:
    """The server, for some seconds at most."""
    with anyio.fail_after(30):
        async with serving(server, **settings) as run:
            yield run


async def until_cut(stream: ByteStream) -> bytes:
    """All that comes before the server closes."""
    try:
        return await read_all(stream)
    finally:
        await anyio.aclose_forcefully(stream)


async def read_to_end(stream: ByteStream) -> bytes:
    """All that comes before the server closes in good order."""
    data = b""
    with contextlib.suppress(anyio.EndOfStream):
        while True:
            data += await stream.receive()
    return data


async def test_replies_to_one_read_arrive_in_one_read() -> None:
    async with running(make_server()) as run, await run.place.dial() as stream:
        await stream.send(HANDSHAKE)
        assert (await stream.receive()).startswith(b"HTTP/1.1 101 ")
        for _ in range(5):
            await stream.send(b"".join(frame(1, b"%d" % number) for number in range(10)))
            assert await stream.receive() == b"".join(b"\x81\x01%d" % n for n in range(10))


async def test_messages_right_behind_the_request() -> None:
    async with running(make_server()) as run, await run.place.dial() as stream:
        await stream.send(HANDSHAKE + frame(1, b"a") + frame(1, b"b"))
        data = b""
        while not data.endswith(b"\x81\x01a\x81\x01b"):
            data += await stream.receive()


async def test_a_body_that_is_not_read_does_not_break_the_connection() -> None:
    """A reset would come before the client has sent its body, and could overtake the answer."""
    async with running(make_server()) as run, await run.place.dial() as stream:
        size = 5_000_000
        head = f"POST /ws HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        await stream.send(head.encode() + b"x" * size)
        await stream.send_eof()
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 405 ")


async def test_a_client_that_talks_on_learns_why_it_is_not_heard() -> None:
    server = make_server(limits={"message_bytes": 1000})
    async with running(server) as run, await run.place.dial() as stream:
        await stream.send(HANDSHAKE)
        await stream.receive()
        await stream.send(frame(2, b"x" * 5_000_000))
        await stream.send_eof()
        assert b"over the limit message_bytes = 1000" in await read_to_end(stream)


async def test_a_stream_that_ends_without_a_close() -> None:
    server = make_server()
    closes: list[Any] = []
    closed = anyio.Event()

    @server.on_close
    def note(spark: Spark, close: Any) -> None:
        closes.append(close)
        closed.set()

    async with running(server) as run, await run.place.dial() as stream:
        await stream.send(HANDSHAKE)
        await stream.receive()
        await stream.send_eof()
        assert await until_cut(stream) == b""
        await closed.wait()
        assert closes[0].code == 1006


@pytest.mark.parametrize("sent", [b"", b"GET /ws HT", HANDSHAKE[:-1]])
async def test_a_handshake_that_takes_too_long(sent: bytes) -> None:
    async with running(make_server(limits={"handshake_seconds": 0.2})) as run:
        stream = await run.place.dial()
        if sent:
            await stream.send(sent)
        answer = await until_cut(stream)
        assert answer.startswith(b"HTTP/1.1 408 ") if sent else not answer


async def test_silence_is_cut_off_in_favour_of_those_who_come() -> None:
    async with running(make_server(options={"websockets": {"handshakes": 3}})) as run:
        silent = [await run.place.dial() for _ in range(4)]
        assert await until_cut(silent[0]) == b""
        async with await run.connect() as peer:
            await peer.send("hello")
            assert await peer.receive() == "hello"
        # Two of the others had to give way, and one is there still.
        await silent[3].send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await until_cut(silent[3])).startswith(b"HTTP/1.1 404 ")
        for stream in silent[1:3]:
            await anyio.aclose_forcefully(stream)


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, Any]:
    certificates = Certificates()
    listen = {"port": 0, "tls": certificates.write(tmp_path)}
    return {"listen": listen, "trust": certificates.client}


def without_tls(run: Running) -> Place:
    return Place(run.place.host, run.place.port)


async def test_a_tls_handshake_that_takes_too_long(tls: dict[str, Any]) -> None:
    async with running(make_server(limits={"handshake_seconds": 0.2}), **tls) as run:
        assert await until_cut(await without_tls(run).dial()) == b""
        async with await run.connect() as peer:
            await anyio.sleep(0.3)  # the time is for the handshake only
            await peer.send("hello")
            assert await peer.receive() == "hello"


async def test_tls_handshakes_count_too(tls: dict[str, Any]) -> None:
    async with running(make_server(options={"websockets": {"handshakes": 2}}), **tls) as run:
        silent = [await without_tls(run).dial() for _ in range(3)]
        assert await until_cut(silent[0]) == b""
        async with await run.connect() as peer:
            await peer.send("hello")
            assert await peer.receive() == "hello"
        for stream in silent[1:]:
            await anyio.aclose_forcefully(stream)


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_a_request_in_one_go_with_the_end_of_the_tls_handshake(
    tls: dict[str, Any], method: bytes
) -> None:
    async with running(make_server(), **tls) as run, await without_tls(run).dial() as stream:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = tls["trust"].wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    await stream.send(outgoing.read())
                incoming.write(await stream.receive())
        client.write(method + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await stream.send(outgoing.read())
        answer = b""
        while not answer:
            incoming.write(await stream.receive())
            with contextlib.suppress(ssl.SSLWantReadError):
                answer = client.read()
        assert answer.startswith(b"HTTP/1.1 404 " if method == b"GET" else b"HTTP/1.1 405 ")


async def test_large_messages_over_tls(tls: dict[str, Any]) -> None:
    async with running(make_server(), **tls) as run, await run.connect() as peer:
        for _ in range(5):
            await peer.send(b"x" * 1_000_000)
            assert len(await peer.receive()) == 1_000_000
        await peer.close(4001, "enough")


@pytest.mark.parametrize("secure", [False, True])
async def test_a_server_that_is_cancelled_cuts_everyone(
    secure: bool, tls: dict[str, Any], anyio_backend_name: str
) -> None:
    server = make_server()
    deciding = anyio.Event()

    @server.authorize
    async def decide(handshake: Any) -> None:
        if "slow" in handshake.query:
            deciding.set()
            await anyio.sleep_forever()

    with anyio.fail_after(30):
        before = tasks(anyio_backend_name)
        async with task_group() as clients, anyio.create_task_group() as group:
            settings = {"backend": anyio_backend_name, "listen": {"port": 0}}
            if secure:
                settings["listen"] = tls["listen"]
            server.override("the test", settings)
            (address, *_) = await group.start(server.serve)
            place = Place(address.host, address.port, tls=tls["trust"] if secure else None)
            plain = Place(address.host, address.port)
            silent = await plain.dial()
            halfway = await place.dial()
            await halfway.send(b"GET /ws HTTP/1.1\r\n")
            asked = await place.dial()
            await asked.send(HANDSHAKE.replace(b"/ws", b"/ws?slow"))
            await deciding.wait()
            peer = await WebSocketPeer.connect(place, "/ws", group=clients)
            await peer.send("hello")
            assert await peer.receive() == "hello"
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                for stream in (silent, halfway, asked):
                    assert await until_cut(stream) == b""
                assert (await peer.wait_closed()).code == 1006
                with pytest.raises(OSError, match=r"failed|refused"):
                    await plain.dial()
        assert tasks(anyio_backend_name) == before


def tasks(backend: str) -> int:
    """How many tasks there are."""
    if backend == "asyncio":
        import asyncio

        return len(asyncio.all_tasks())
    import trio

    return trio.lowlevel.current_statistics().tasks_living


async def test_a_closed_listener_leaves_connections_alone() -> None:
    async with running(make_server()) as run, await run.connect() as peer:
        halfway = await run.place.dial()
        await halfway.send(HANDSHAKE[:20])
        listener = run.server._listener
        assert listener is not None
        listener.close()
        listener.close()
        with pytest.raises(OSError, match=r"failed|refused"):
            await run.place.dial()
        await peer.send("hello")
        assert await peer.receive() == "hello"
        await halfway.send(HANDSHAKE[20:])
        assert (await halfway.receive()).startswith(b"HTTP/1.1 101 ")
        await anyio.aclose_forcefully(halfway)


async def test_the_librarys_own_client_with_compression(anyio_backend_name: str) -> None:
    if anyio_backend_name == "trio":
        from websockets.trio.client import connect
    else:
        from websockets.asyncio.client import connect
    server = make_server(options={"websockets": {"compression": True}})
    async with running(server) as run, connect(f"{run.url}/ws") as client:
        assert [extension.name for extension in client.protocol.extensions]
        for message in ("small", "large " * 10_000, b"\0" * 100_000, ""):
            await client.send(message)
            assert await client.recv() == message


async def test_every_address_of_the_host_is_listened_to() -> None:
    async with running(make_server(), listen={"port": 0, "host": ""}) as run:
        hosts = {"127.0.0.1" if ":" not in address.host else "::1" for address in run.addresses}
        assert "127.0.0.1" in hosts
        for host in hosts:
            answer = await Place(host, run.addresses[0].port).request("/ws")
            assert answer.status == 426
