"""The client's way in and out: its frames, and its links, on servers that are scripted."""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.utils import accept_key

from unisock import connect
from unisock.errors import EncodeError, Unreachable
from unisock_websockets.framing import MaskedFraming

LIMITS: dict[str, Any] = {"limits": {"close_seconds": 0.2}}
"""The servers below do not answer a close."""

Script = Callable[[SocketStream], Awaitable[None]]


class TestFrames:
    @pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_001])
    @pytest.mark.parametrize("text", [True, False])
    def test_a_server_reads_what_was_sent(self, size: int, text: bool) -> None:
        message: Any = "é" * (size // 2) + "x" * (size % 2) if text else bytes(size)
        frame = MaskedFraming([]).frame(message)
        server = ServerProtocol(state=State.OPEN, max_size=None)
        server.receive_data(frame)
        [event] = server.events_received()
        assert event.opcode is (Opcode.TEXT if text else Opcode.BINARY)  # type: ignore[union-attr]
        data: Any = event.data  # type: ignore[union-attr]
        assert data == (message.encode() if text else message)
        assert server.state is State.OPEN

    def test_each_frame_has_a_mask_of_its_own(self) -> None:
        framing = MaskedFraming([])
        assert len({framing.frame("the same") for _ in range(20)}) == 20

    def test_half_a_letter_is_refused(self) -> None:
        with pytest.raises(EncodeError, match="UTF-8"):
            MaskedFraming([]).frame("\ud800")


@asynccontextmanager
async def server(script: Script) -> AsyncGenerator[int]:
    """The port of a server that runs the script for each client."""

    async def run(stream: SocketStream) -> None:
        async with stream:
            await script(stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, run)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        group.cancel_scope.cancel()


async def accept(stream: SocketStream, *behind: bytes) -> None:
    """Read the request, and answer with 101 and what is to follow in the same segment."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += await stream.receive()
    [key] = [
        line.partition(b":")[2].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    ]
    answer = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key.decode())}\r\n\r\n"
    )
    await stream.send(answer.encode() + b"".join(behind))


def text(message: str) -> bytes:
    """A server's frame."""
    return bytes((0x81, len(message))) + message.encode()


def client(port: int, scheme: str = "ws", **options: Any) -> Any:
    return connect(
        f"{scheme}://127.0.0.1:{port}/",
        codec="raw",
        reconnect=False,
        proxy=False,
        **LIMITS,
        **options,
    )


@pytest.mark.anyio
class TestLinks:
    async def test_what_comes_in_one_piece_with_the_handshake_is_delivered_in_order(self) -> None:
        async def script(stream: SocketStream) -> None:
            await accept(stream, text("one"), text("two")[:3])
            await stream.send(text("two")[3:] + text("three"))
            await anyio.sleep_forever()

        with anyio.fail_after(30):
            async with server(script) as port, client(port) as spark:
                assert [await spark.receive() for _ in range(3)] == ["one", "two", "three"]

    async def test_a_head_in_single_bytes(self) -> None:
        async def script(stream: SocketStream) -> None:
            class Slow:
                receive = stream.receive

                async def send(self, data: bytes) -> None:
                    for number in range(len(data)):
                        await stream.send(data[number : number + 1])

            slow: Any = Slow()
            await accept(slow, text("hello"))
            await anyio.sleep_forever()

        with anyio.fail_after(30):
            async with server(script) as port, client(port) as spark:
                assert await spark.receive() == "hello"

    @pytest.mark.parametrize("told", [b"", b"HTTP/1.1 101 Switch"])
    async def test_a_server_that_hangs_up_in_the_handshake(self, told: bytes) -> None:
        async def script(stream: SocketStream) -> None:
            await stream.receive()
            if told:
                await stream.send(told)
            await stream.aclose()

        with anyio.fail_after(30):
            async with server(script) as port:
                with pytest.raises(Unreachable, match="hung up"):
                    await client(port).__aenter__()

    async def test_a_server_that_hangs_up_in_the_tls_handshake(self) -> None:
        async def script(stream: SocketStream) -> None:
            await stream.receive()
            await stream.aclose()

        context = ssl.create_default_context()
        with anyio.fail_after(30):
            async with server(script) as port:
                with pytest.raises(Unreachable, match="the TLS handshake was cut off"):
                    await client(port, "wss", tls=context).__aenter__()

    async def test_nobody_listens(self) -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(Unreachable, match=f"cannot connect to 127.0.0.1:{port}"):
            await client(port).__aenter__()

    async def test_to_cancel_the_handshake_hangs_up(self) -> None:
        connected, gone = anyio.Event(), anyio.Event()

        async def script(stream: SocketStream) -> None:
            await stream.receive()
            connected.set()
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
            gone.set()

        with anyio.fail_after(30):
            async with server(script) as port:
                async with anyio.create_task_group() as group:
                    group.start_soon(client(port).__aenter__)
                    await connected.wait()
                    group.cancel_scope.cancel()
                await gone.wait()

    async def test_a_client_that_does_not_read_slows_the_server(self) -> None:
        """It takes a bounded number of bytes, then the server's own send waits."""
        sent, full = 0, anyio.Event()
        frame = b"\x82\x7e\xff\xff" + bytes(65_535)

        async def script(stream: SocketStream) -> None:
            nonlocal sent
            await accept(stream)
            while True:
                with anyio.move_on_after(1) as waiting:
                    await stream.send(frame)
                    sent += 1
                if waiting.cancelled_caught:
                    full.set()
                    return

        with anyio.fail_after(30):
            async with server(script) as port, client(port) as spark:
                await full.wait()
                assert sent < 1000  # 64 MB: sockets on loopback hold a few
                assert await spark.receive() == bytes(65_535)

    async def test_much_that_is_sent_at_once_arrives_whole(self) -> None:
        got: list[int] = []
        over = anyio.Event()

        async def script(stream: SocketStream) -> None:
            await accept(stream)
            protocol = ServerProtocol(state=State.OPEN, max_size=None)
            while len(got) < 200:
                protocol.receive_data(await stream.receive())
                got.extend(
                    event.data[0]  # type: ignore[union-attr]
                    for event in protocol.events_received()
                    if event.opcode is Opcode.BINARY  # type: ignore[union-attr]
                )
            over.set()
            await anyio.sleep_forever()

        with anyio.fail_after(30):
            async with server(script) as port, client(port) as spark:
                for number in range(200):
                    await spark.send(bytes([number]) * 20_000)
                await over.wait()
        assert got == [*range(200)]
