"""The sending half of a client: what waits, what does not, and what is never lost."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from unisock.errors import (
    ClosedByPeer,
    ClosedLocally,
    ConnectionClosed,
    ConnectionLost,
    EncodeError,
)
from unisock.limits import Overflow
from unisock.memory import HIGH_WATER, MemoryAdapter
from unisock.messages import Close, Data, Origin, Packet, Sent
from unisock.pipeline import DROP
from unisock.server import Server
from unisock.spark import Spark

pytestmark = pytest.mark.anyio

Serving = Any
BIG = "x" * HIGH_WATER  # one of these, and the client is slow


def make(codec: str = "raw", **settings: Any) -> Server:
    server = Server(
        folder=None,
        adapter=MemoryAdapter(),
        endpoints=[{"path": "/ws", "codec": codec}],
        **settings,
    )
    server.on_message(lambda spark, message: None)
    return server


async def settle() -> None:
    await anyio.wait_all_tasks_blocked()


def only(server: Server) -> Spark:
    [spark] = server.hub
    return spark


async def test_a_closed_client_says_so(serving: Serving) -> None:
    server = make()
    async with serving(server) as memory:
        peer = await memory.connect(headers=[("X-One", "1")])
        [spark] = server.hub
        assert isinstance(spark, Spark)
        assert (spark.transport, spark.endpoint.path) == ("websocket", "/ws")
        assert spark.handshake.headers["x-one"] == "1"
        assert spark.state == {}
        assert (spark.user, spark.latency, spark.closed) == (None, None, None)
        assert "open" in repr(spark)
        await peer.close(4000)
        assert spark.closed == Close(4000, origin=Origin.PEER)
        assert "closed 4000" in repr(spark)
        assert spark.send_nowait("x") is Sent.DROPPED
        await spark.close()  # does nothing, and does not wait


async def test_ids_are_not_to_be_guessed(serving: Serving) -> None:
    server = make()
    async with serving(server) as memory:
        for _ in range(20):
            await memory.connect()
        ids = {spark.id for spark in server.hub}
    assert len(ids) == 20
    assert min(map(len, ids)) >= 22  # 128 bits


async def test_a_payload_is_encoded_and_arrives(serving: Serving) -> None:
    server = make("json")
    async with serving(server) as memory:
        peer = await memory.connect()
        await only(server).send({"a": [1, None]})
        assert await peer.receive() == '{"a":[1,null]}'


class Strange(Packet, frozen=True):
    """A packet that no dialect knows."""


async def test_what_cannot_be_encoded_harms_nobody(serving: Serving) -> None:
    server = make("json")
    async with serving(server) as memory:
        peer = await memory.connect()
        spark = only(server)
        with pytest.raises(EncodeError):
            await spark.send(object())
        with pytest.raises(EncodeError):
            spark.send_nowait(object())
        with pytest.raises(EncodeError, match="Strange"):
            await spark.send_packet(Strange())
        await spark.send_packet(Data("fine"))
        assert spark.send_packet_nowait(Data("too")) is Sent.SENT
        assert [await peer.receive() for _ in range(2)] == ['"fine"', '"too"']


async def test_send_waits_for_a_slow_client_and_send_nowait_does_not(serving: Serving) -> None:
    server = make()
    done: list[str] = []
    async with serving(server) as memory:
        peer = await memory.connect()
        spark = only(server)
        assert spark.send_nowait(BIG) is Sent.SENT
        assert spark.send_nowait("queued") is Sent.QUEUED

        async def send() -> None:
            await spark.send("waited for")
            done.append("sent")

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            await settle()
            assert done == []
            assert [await peer.receive() for _ in range(3)] == [BIG, "queued", "waited for"]
        assert done == ["sent"]
        assert spark.send_nowait("x") is Sent.SENT


async def test_send_takes_its_turn_where_the_outbox_is_full(serving: Serving) -> None:
    server = make(limits={"outbox_messages": 2})
    async with serving(server) as memory:
        peer = await memory.connect()
        spark = only(server)
        got: list[str] = []

        async def send() -> None:
            for number in range(100):
                await spark.send(f"{number} {BIG}")

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            got = [str(await peer.receive()).partition(" ")[0] for _ in range(100)]
        assert got == [str(number) for number in range(100)]
        assert server.gateway.dropped == 0


async def test_many_senders_lose_nothing(serving: Serving) -> None:
    server = make(limits={"outbox_messages": 3})
    async with serving(server) as memory:
        peer = await memory.connect()
        spark = only(server)
        got: list[str] = []

        async def send(name: int) -> None:
            for number in range(10):
                await spark.send(f"{name}.{number} {BIG}")

        async with anyio.create_task_group() as group:
            for name in range(10):
                group.start_soon(send, name)
            got = [str(await peer.receive()).partition(" ")[0] for _ in range(100)]
        for name in range(10):  # each sender's own in order
            own = [text for text in got if text.startswith(f"{name}.")]
            assert own == [f"{name}.{number}" for number in range(10)]


async def test_to_give_up_waiting_leaves_no_gap(serving: Serving) -> None:
    server = make()
    async with serving(server) as memory:
        peer = await memory.connect()
        spark = only(server)
        await spark.send(BIG)
        with anyio.move_on_after(0.01) as scope:
            await spark.send("given up")
        assert scope.cancelled_caught
        spark.send_nowait("next")
        assert [await peer.receive() for _ in range(3)] == [BIG, "given up", "next"]


async def test_send_can_be_started_as_a_task(serving: Serving) -> None:
    server = make()
    async with serving(server) as memory:
        peer = await memory.connect()
        async with anyio.create_task_group() as group:
            group.start_soon(only(server).send, "now")
            group.start_soon(only(server).send, BIG)
        assert await peer.receive() == "now"


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ("close", ClosedLocally),
        ("peer", ClosedByPeer),
        ("drop", ConnectionLost),
    ],
)
async def test_sending_to_one_who_is_gone(
    serving: Serving, end: str, kind: type[ConnectionClosed]
) -> None:
    server = make()
    async with serving(server) as memory:
        peer = await memory.connect()
        spark = only(server)
        if end == "close":
            await spark.close(4001, "bye")
        elif end == "peer":
            await peer.close(4001, "bye")
        else:
            peer.drop()
        with pytest.raises(kind) as caught:
            await spark.send("x")
        assert caught.value.code == (1006 if end == "drop" else 4001)
        assert spark.send_nowait("x") is Sent.DROPPED
        if end == "close":
            assert (await peer.wait_closed()).reason == "bye"


async def test_what_was_sent_goes_before_the_close(serving: Serving) -> None:
    server = make()
    async with serving(server) as memory:
        peer = await memory.connect()
        spark = only(server)
        for message in (BIG, "a", "b"):
            spark.send_nowait(message)
        spark.close_nowait(4001)
        assert [await peer.receive() for _ in range(3)] == [BIG, "a", "b"]
        assert (await peer.wait_closed()).code == 4001


@pytest.mark.parametrize(
    "wrong", [{"code": 1005}, {"code": 999}, {"reason": "x" * 124}, {"reason": "a\nb"}]
)
async def test_a_close_that_cannot_be_sent_is_refused(serving: Serving, wrong: Any) -> None:
    server = make()
    async with serving(server) as memory:
        await memory.connect()
        with pytest.raises(ValueError, match=r"\S"):
            await only(server).close(**wrong)
        assert only(server).closed is None


async def test_a_client_that_never_reads_is_cut_off(serving: Serving) -> None:
    server = make(limits={"outbox_messages": 5})
    async with serving(server) as memory:
        peer = await memory.connect()
        spark = only(server)
        answers = [spark.send_nowait(BIG) for _ in range(7)]
        assert answers == [Sent.SENT, *[Sent.QUEUED] * 5, Sent.DROPPED]
        assert server.gateway.dropped == 6
        assert (await peer.wait_closed()).code == 4008
        assert spark.closed is not None
        assert spark.closed.come_back


async def test_a_policy_for_one_message(serving: Serving) -> None:
    server = make(limits={"outbox_messages": 1})
    async with serving(server) as memory:
        await memory.connect()
        spark = only(server)
        spark.send_nowait(BIG)
        assert spark.send_nowait("a") is Sent.QUEUED
        assert spark.send_nowait("b", Overflow.DROP_NEWEST) is Sent.DROPPED
        assert spark.send_nowait("c", Overflow.DROP_OLDEST) is Sent.QUEUED
        assert spark.closed is None


# Outgoing transforms


async def test_outgoing_transforms_in_order(serving: Serving) -> None:
    server = make()
    server.outgoing(lambda spark, text: f"{text} first")
    server.outgoing(lambda spark, text: DROP if "secret" in text else f"{text} second")
    async with serving(server) as memory:
        peer = await memory.connect()
        spark = only(server)
        await spark.send("a secret")
        assert spark.send_nowait("another secret") is Sent.DROPPED
        assert spark.send_nowait("b") is Sent.SENT
        assert await peer.receive() == "b first second"


async def test_async_outgoing_transforms_keep_the_order(serving: Serving) -> None:
    server = make()
    delays = {"a": 0.03, "b": 0.0, "c": 0.01}

    @server.outgoing
    async def slowly(spark: Spark, text: str) -> Any:
        await anyio.sleep(delays.get(text, 0))
        return DROP if text == "drop" else text

    async with serving(server) as memory:
        peer = await memory.connect()
        spark = only(server)
        async with anyio.create_task_group() as group:
            for text in ("a", "drop"):
                assert spark.send_nowait(text) is Sent.QUEUED
            group.start_soon(spark.send, "b")
            await settle()
            group.start_soon(spark.send, "c")
            assert [await peer.receive() for _ in range(3)] == ["a", "b", "c"]


async def test_async_outgoing_transforms_tell_whoever_waits(serving: Serving) -> None:
    server, errors = make(), list[Any]()

    @server.outgoing
    async def picky(spark: Spark, text: str) -> str:
        await anyio.lowlevel.checkpoint()
        if text == "bad":
            raise ValueError(text)
        return text

    server.on_error(lambda spark, error: errors.append(str(error)))
    async with serving(server) as memory:
        peer = await memory.connect()
        spark = only(server)
        with pytest.raises(ValueError, match="bad"):
            await spark.send("bad")
        assert errors == []
        spark.send_nowait("bad")  # here nobody waits
        assert (await peer.wait_closed()).code == 1011
        assert errors == ["bad"]
        with pytest.raises(ConnectionClosed):
            await spark.send("good")


async def test_async_outgoing_transforms_do_not_queue_without_bound(serving: Serving) -> None:
    server = make(limits={"outbox_messages": 3})

    @server.outgoing
    async def never(spark: Spark, text: str) -> str:
        await anyio.sleep_forever()
        return text

    async with serving(server) as memory:
        await memory.connect()
        answers = [only(server).send_nowait("x") for _ in range(10)]
        assert answers.count(Sent.QUEUED) <= 4
        assert answers[-1] is Sent.DROPPED
        assert server.gateway.dropped == answers.count(Sent.DROPPED)
