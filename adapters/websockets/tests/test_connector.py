"""The client's side against servers that are broken, hostile, or none."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from websockets.utils import accept_key

from unisock import (
    ConnectionClosed,
    ConnectionRejected,
    ProtocolError,
    UnisockError,
    connect,
)
from unisock.errors import ConnectionLost, Unreachable
from unisock.handshake import Address
from unisock_websockets.responses import BODY_BYTES, HEAD_BYTES
from unisock_websockets.stream_link import StreamLink

BACKENDS = ["asyncio", "trio"]


class Server(ByteStream):
    """A server that says what it was told to, whatever it hears, and then no more.

    :param said: its words; ``{accept}`` is the right answer to the client's key
    :param stays: whether it keeps the line open after them
    :ivar heard: what the client said
    """

    def __init__(self, *said: bytes, stays: bool = False) -> None:
        self.heard = b""
        self._said = [*said]
        self._stays = stays
        self._over = anyio.Event()

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        self.heard += item

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self._said:
            if self._stays:
                await self._over.wait()
            raise anyio.EndOfStream
        words = self._said.pop(0)
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", self.heard)
        assert key is not None
        words = words.replace(b"{accept}", accept_key(key[1].decode()).encode())
        if len(words) > max_bytes:
            self._said.insert(0, words[max_bytes:])
        return words[:max_bytes] or b"\n"

    async def send_eof(self) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self._over.set()
        await anyio.lowlevel.checkpoint()


WELCOME = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\n\r\n"
)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``answer(*said)``: connect to a server that says so, and tell how it ended."""
    errors: list[str] = []

    class Listen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            errors.append(self.format(record))

    def answer(*said: bytes, stays: bool = False, backend: str = "asyncio", **options: Any) -> Any:
        async def main() -> Any:
            server = Server(*said, stays=stays)

            async def dial(call: Any, uri: Any) -> StreamLink:
                return StreamLink(server, Address("server", 1), secure=False)

            monkeypatch.setattr("unisock_websockets.connector.dial", dial)
            heard: list[Any] = []
            client = connect("ws://h/", reconnect=False, codec="raw", proxy=False, **options)
            try:
                with anyio.fail_after(30):
                    async with client as spark:
                        while True:
                            heard.append(await spark.receive())
            except (UnisockError, OSError) as error:
                return error, heard, server

        errors.clear()
        result = anyio.run(main, backend=backend)
        assert errors == []
        return result

    handler = Listen(level=logging.ERROR)
    logging.getLogger("unisock").addHandler(handler)
    yield answer
    logging.getLogger("unisock").removeHandler(handler)


def fuzzed(function: Any) -> Any:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=60, deadline=None, suppress_health_check=checks)(function)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_proper_server_is_heard(answer: Any, backend: str) -> None:
    frames = b"\x81\x05hello\x82\x01\x00\x88\x02\x03\xe8"
    error, heard, server = answer(WELCOME[:50], WELCOME[50:] + frames, backend=backend)
    assert heard == ["hello", b"\x00"]
    assert isinstance(error, ConnectionClosed)
    assert error.code == 1000
    assert server.heard.startswith(b"GET / HTTP/1.1\r\nHost: h\r\n")


@pytest.mark.parametrize(
    ("said", "tells"),
    [
        (WELCOME.replace(b"{accept}", b"c3VyZWx5IG5vdA=="), "Sec-WebSocket-Accept"),
        (WELCOME.replace(b"Sec-WebSocket-Accept: {accept}\r\n", b""), "Sec-WebSocket-Accept"),
        (WELCOME.replace(b"Upgrade: websocket\r\n", b""), "Upgrade"),
        (WELCOME.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: x\r\n\r\n"), "subprotocol"),
        (WELCOME.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: x\r\n\r\n"), "extension"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "answered with 200"),
        (b"HTTP/1.1 302 Gone\r\n\r\n", "answered with 302"),
        (b"HTTP/1.1 999 x\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/2 101 x\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 401 x\r\nNo colon\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 401 x\r\n" + b"X: y\r\n" * 1000 + b"\r\n", "does not speak HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_BYTES * 2, f"over {HEAD_BYTES} bytes"),
        (b"HTTP/1.1 200 " + b"x" * 9000 + b"\r\n\r\n", "does not speak HTTP"),
    ],
)
@pytest.mark.parametrize("stays", [False, True])
def test_what_is_no_websocket_is_told_at_once(
    answer: Any, said: bytes, tells: str, stays: bool
) -> None:
    error, _, _ = answer(said, stays=stays)
    assert type(error) is ProtocolError
    assert tells in str(error)


@pytest.mark.parametrize("said", [(), (b"HTTP",), (WELCOME[:-2],)])
def test_a_server_that_hangs_up_was_not_reached(answer: Any, said: tuple[bytes, ...]) -> None:
    error, _, _ = answer(*said)
    assert isinstance(error, Unreachable)
    assert "hung up" in str(error)


def test_a_body_without_an_end_is_not_read_to_it(answer: Any) -> None:
    endless = [b"x" * 65536] * 1000
    error, _, _ = answer(b"HTTP/1.1 403 No\r\n\r\n", *endless, stays=True)
    assert isinstance(error, ConnectionRejected)
    assert error.status == 403
    error, _, _ = answer(b"HTTP/1.1 403 No\r\n\r\n" + b"y" * (BODY_BYTES // 2))
    assert "403 yyy" in str(error)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x86\x00\x00\x00\x00masked", 1002),
        (b"\xc1\x01x", 1002),  # RSV1 without an extension
        (b"\x83\x01x", 1002),  # an opcode that there is not
        (b"\x09\x01x", 1002),  # a ping in fragments
        (b"\x80\x01x", 1002),  # the continuation of nothing
        (b"\x81\x01\xff", 1007),
        (b"\x01\x01\xff", 1007),  # told before the message's end
        (b"\x82\x7f" + (2**40).to_bytes(8, "big"), 1009),
        (b"\x02\x05hello" + b"\x00\x05hello" * 3, 1009),
    ],
)
@pytest.mark.parametrize("stays", [False, True])
def test_a_broken_rule_ends_it_and_is_told_both(
    answer: Any, frame: bytes, code: int, stays: bool
) -> None:
    limits = {"message_bytes": 12, "close_seconds": 0.05}
    error, heard, server = answer(WELCOME, frame, stays=stays, limits=limits)
    assert heard == []
    assert isinstance(error, ConnectionLost)
    assert error.code == code
    told = server.heard.partition(b"\r\n\r\n")[2]
    assert told[0] == 0x88
    assert told[1] & 0x80, "a client's frames are masked"
    payload = bytes(one ^ told[2 + at % 4] for at, one in enumerate(told[6:]))
    assert int.from_bytes(payload[:2], "big") == code


@fuzzed
@given(st.lists(st.binary(max_size=300), max_size=6), st.booleans())
@example([b"HTTP/1.1 "], False)
def test_any_response_is_a_typed_error(answer: Any, said: list[bytes], head: bool) -> None:
    words = [b"HTTP/1.1 " if head else b"", *said]
    error, _, _ = answer(*words)
    assert isinstance(error, ProtocolError | Unreachable | ConnectionRejected)


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                b"Content-Length",
                b"Transfer-Encoding",
                b"Location",
                b"Retry-After",
                b"Upgrade",
                b"Connection",
                b"Sec-WebSocket-Accept",
                b"Sec-WebSocket-Extensions",
                b"Sec-WebSocket-Protocol",
            ]
        ),
        st.sampled_from([b"", b"chunked", b"websocket", b"{accept}", b"permessage-deflate", b"-1"])
        | st.binary(max_size=20).filter(lambda value: not set(value) & set(b"\r\n\0")),
    ),
    max_size=6,
)


@fuzzed
@given(st.integers(0, 999), HEADERS, st.binary(max_size=50))
def test_any_headers_are_a_typed_error(
    answer: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    lines = [b"HTTP/1.1 %d x" % status, *(b"%s: %s" % pair for pair in headers), b"", body]
    error, _, _ = answer(b"\r\n".join(lines), redirects=2, compression=True)
    assert isinstance(error, UnisockError)


@fuzzed
@given(st.lists(st.binary(max_size=100), max_size=6))
@example([b"\x88\x01x"])
@example([b"\x88\x02\x00\x00"])
@example([b"\x89\x7e\x00\x7e" + b"x" * 126])
def test_any_frames_are_messages_or_a_typed_error(answer: Any, said: list[bytes]) -> None:
    error, _, _ = answer(WELCOME, *said, limits={"message_bytes": 200})
    assert isinstance(error, ConnectionClosed)


@fuzzed
@given(st.lists(st.binary(max_size=100), max_size=6))
def test_so_are_any_compressed_ones(answer: Any, said: list[bytes]) -> None:
    accepted = b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    error, _, _ = answer(
        WELCOME.replace(b"\r\n\r\n", accepted),
        *(b"\xc1" + bytes((len(words),)) + words for words in said),
        limits={"message_bytes": 200},
        compression=True,
    )
    assert isinstance(error, ConnectionClosed)
