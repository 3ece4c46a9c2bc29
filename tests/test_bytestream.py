"""A message stream as a byte stream."""

import contextlib
from collections import deque
from typing import Any

import anyio
import pytest
from anyio.abc import ObjectStream
from anyio.streams.buffered import BufferedByteReceiveStream
from hypothesis import given
from hypothesis import strategies as st

from unisock.bytestream import MessageByteStream

pytestmark = pytest.mark.anyio


class Messages(ObjectStream[Any]):
    """What was sent can be received."""

    def __init__(self, *messages: Any) -> None:
        self.queue = deque(messages)
        self.closed = 0

    async def send(self, item: Any) -> None:
        self.queue.append(item)

    async def receive(self) -> Any:
        await anyio.lowlevel.checkpoint()
        if not self.queue:
            raise anyio.EndOfStream
        return self.queue.popleft()

    async def send_eof(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed += 1


async def read(stream: MessageByteStream, max_bytes: int = 65536) -> list[bytes]:
    chunks: list[bytes] = []
    with contextlib.suppress(anyio.EndOfStream):
        while True:
            chunks.append(await stream.receive(max_bytes))
    return chunks


async def test_bytes_go_through_as_they_are() -> None:
    messages = Messages()
    stream = MessageByteStream(messages, None)
    await stream.send(b"\x00\xff")
    await stream.send(bytearray(b"x"))  # type: ignore[arg-type]
    assert list(messages.queue) == [b"\x00\xff", b"x"]
    assert await read(stream) == [b"\x00\xff", b"x"]


async def test_a_reader_gets_no_more_than_it_asked_for_and_never_nothing() -> None:
    stream = MessageByteStream(Messages(b"abcdefg", b"", "hé", b"", b"z"), None)
    assert await read(stream, 3) == [b"abc", b"def", b"g", b"h\xc3\xa9", b"z"]


async def test_a_character_may_be_split_over_chunks() -> None:
    messages = Messages()
    stream = MessageByteStream(messages, "utf-8")
    for byte in "h€𝄞!".encode():
        await stream.send(bytes([byte]))
    assert list(messages.queue) == [*"h€𝄞!"]
    assert b"".join(await read(stream)).decode() == "h€𝄞!"


async def test_bytes_that_are_no_text_are_refused_and_forgotten() -> None:
    messages = Messages()
    stream = MessageByteStream(messages, "utf-8")
    await stream.send("€".encode()[:2])
    with pytest.raises(UnicodeDecodeError):
        await stream.send(b"\xff")
    await stream.send("fine €".encode())
    assert list(messages.queue) == ["fine €"]


async def test_closing_closes_the_messages() -> None:
    messages = Messages()
    async with MessageByteStream(messages, None) as stream:
        await stream.send_eof()
    assert messages.closed == 2


async def test_it_works_with_what_anyio_offers() -> None:
    stream = MessageByteStream(Messages("one\r\ntw", "o\r\n"), "utf-8")
    lines = BufferedByteReceiveStream(stream)
    assert await lines.receive_until(b"\r\n", 100) == b"one"
    assert await lines.receive_until(b"\r\n", 100) == b"two"


@given(text=st.text(), cuts=st.lists(st.integers(1, 5)), most=st.integers(1, 7))
async def test_any_text_comes_through_however_it_is_cut(
    text: str, cuts: list[int], most: int
) -> None:
    data = text.encode("utf-8", "replace")
    stream = MessageByteStream(Messages(), "utf-8")
    rest = data
    for cut in cuts:
        await stream.send(rest[:cut])
        rest = rest[cut:]
    await stream.send(rest)
    chunks = await read(stream, most)
    assert b"".join(chunks) == data
    assert all(0 < len(chunk) <= most for chunk in chunks)
