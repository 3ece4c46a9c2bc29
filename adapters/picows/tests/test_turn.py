"""Writes that are gathered over one turn of the event loop: order, bounds, and no waiting alone."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from unisock import Message, Server, Spark
from unisock.testing.conformance.base import Watch
from unisock.testing.websocket import frame
from unisock_picows.outlet import LARGE, MANY
from unisock_picows.turn import AT_ONCE, Turn

from .spy import exactly, spy

pytestmark = pytest.mark.anyio

TEXT = 1


class Page:
    """Keeps what is flushed."""

    def __init__(self, book: list[Page]) -> None:
        self._book = book

    def flush(self) -> None:
        self._book.append(self)


async def test_one_frame_after_another_is_written_at_once() -> None:
    turn = Turn()
    for _ in range(AT_ONCE - 1):
        turn.count()
    assert turn.mark is None


async def test_many_frames_make_a_turn_and_it_ends() -> None:
    turn, book = Turn(), list[Page]()
    for _ in range(AT_ONCE):
        turn.count()
    assert turn.mark is not None
    first, second = Page(book), Page(book)
    turn.flush_later(first)
    turn.flush_later(second)
    assert book == []
    await asyncio.sleep(0)
    assert book == [first, second]
    assert turn.mark is None


async def test_tasks_that_several_messages_start_are_part_of_the_turn() -> None:
    turn, book, seen = Turn(), list[Page](), list[bool]()
    turn.gather()

    async def handle() -> None:
        seen.append(turn.whole)
        turn.flush_later(Page(book))

    task = asyncio.create_task(handle())
    await task
    await asyncio.sleep(0)
    assert seen == [True]
    assert len(book) == 1
    assert (turn.mark, turn.whole) == (None, False)


def talking(kit: Any, *, tasks: bool = False) -> tuple[Server, Watch]:
    """Everybody hears what anybody says."""
    server: Server = kit.make()

    def spread(spark: Spark, message: Message) -> None:
        if message == "fail":
            raise ValueError("as it was told")
        server.everyone.send_nowait(message)

    async def spread_later(spark: Spark, message: Message) -> None:
        await server.everyone.send(message)

    server.on_message(spread_later if tasks else spread)
    return server, Watch(server)


async def listeners(kit: Any, live: Any, watch: Watch, count: int) -> list[tuple[ByteStream, Any]]:
    """Clients, and what is written to each."""
    opened: list[tuple[ByteStream, Any]] = []
    for number in range(count):
        stream = await kit.open(live)
        opened.append((stream, spy(await watch.spark(number))))
    return opened


@pytest.mark.parametrize("tasks", [False, True], ids=["inline", "async"])
async def test_messages_of_one_read_reach_others_in_one_write(kit: Any, tasks: bool) -> None:
    server, watch = talking(kit, tasks=tasks)
    async with kit.serving(server) as live:
        clients = await listeners(kit, live, watch, 3)
        words = [b"one", b"two", b"three", b"four"]
        await clients[0][0].send(b"".join(frame(TEXT, word) for word in words))
        wanted = b"".join(b"\x81" + bytes([len(word)]) + word for word in words)
        for stream, written in clients:
            assert await exactly(stream, len(wanted)) == wanted
            assert written == [wanted]
            await stream.aclose()


async def test_a_lone_message_is_written_before_the_send_returns(kit: Any) -> None:
    server, watch = talking(kit)
    async with kit.serving(server) as live:
        clients = await listeners(kit, live, watch, AT_ONCE + 4)
        server.everyone.send_nowait("now")
        for stream, written in clients:
            assert written == [b"\x81\x03now"]
            await stream.aclose()


async def test_many_messages_of_one_turn_are_gathered_in_order(kit: Any) -> None:
    server, watch = talking(kit)
    async with kit.serving(server) as live:
        clients = await listeners(kit, live, watch, AT_ONCE)
        words = [f"{number:02}" for number in range(10)]
        for word in words:
            server.everyone.send_nowait(word)
        wanted = b"".join(b"\x81\x02" + word.encode() for word in words)
        for stream, written in clients:
            assert await exactly(stream, len(wanted)) == wanted
            assert len(written) <= 3
            await stream.aclose()


async def test_what_is_gathered_over_a_turn_is_bounded(kit: Any) -> None:
    server, watch = talking(kit)
    async with kit.serving(server) as live:
        [(stream, written)] = await listeners(kit, live, watch, 1)
        words = [f"{number:03}" for number in range(AT_ONCE + 3 * MANY)] + ["l" * (LARGE + 1)] * 3
        for word in words:
            server.everyone.send_nowait(word)
        # Nothing but the last bit waits for the end of the turn.
        assert sum(map(len, written)) > 5 * (AT_ONCE + 2 * MANY) + 3 * LARGE
        assert max(map(len, written)) <= 5 * MANY + LARGE + 5
        data = await exactly(stream, 5 * (AT_ONCE + 3 * MANY) + 3 * (LARGE + 5))
        assert data == b"".join(written)
        assert data[: 5 * len(words) - 15 : 5][:AT_ONCE] == b"\x81" * AT_ONCE
        await stream.aclose()


async def test_a_failure_amid_a_read_costs_nobody_a_message(kit: Any) -> None:
    server, watch = talking(kit)
    async with kit.serving(server) as live:
        clients = await listeners(kit, live, watch, 2)
        (first, _), (second, _) = clients
        await first.send(frame(TEXT, b"a") + frame(TEXT, b"fail") + frame(TEXT, b"never"))
        assert await exactly(first, 7) == b"\x81\x01a\x88\x10\x03\xf3"
        assert await exactly(second, 3) == b"\x81\x01a"
        server.everyone.send_nowait("b")
        assert await exactly(second, 3) == b"\x81\x01b"
        for stream, _ in clients:
            await stream.aclose()


async def test_a_close_comes_behind_what_was_gathered(kit: Any) -> None:
    server, watch = talking(kit)
    async with kit.serving(server) as live:
        clients = await listeners(kit, live, watch, AT_ONCE)
        for word in ("a", "b"):
            server.everyone.send_nowait(word)
        spark = await watch.spark()
        spark.close_nowait(4000)
        assert await exactly(clients[0][0], 10) == b"\x81\x01a\x81\x01b\x88\x02\x0f\xa0"
        for stream, _ in clients:
            await stream.aclose()
        with anyio.fail_after(30):
            await watch.end()
