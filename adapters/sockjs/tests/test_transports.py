"""Each HTTP transport, as a client on the wire sees it."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from unisock import ConnectionLost, Handshake, HandshakeRejected, Origin, Server, Spark
from unisock.testing.conformance.base import eventually

pytestmark = pytest.mark.anyio

STREAMS = ["xhr-streaming", "eventsource", "htmlfile"]
POLLS = ["xhr-polling", "jsonp-polling"]
EVERYTHING = {"htmlfile": True, "jsonp": True, "iframe": True}
NASTY = [
    "",
    "100 %41 %25",
    "\"'\\",
    "\u2028\u2029\ufffe\u0300",
    "ünï😀",
    "</script><!--",
    "\x00\x1f\x7f",
]

each = pytest.mark.parametrize("transport", [*STREAMS, *POLLS])


@each
async def test_messages_go_both_ways(sockjs: Any, client: Any, transport: str) -> None:
    async with sockjs(options=EVERYTHING) as (running, watch):
        session = client(running, transport)
        received = await session.open()
        assert (await watch.spark()).transport == transport
        answer = await session.send(*NASTY)
        assert (answer.status, answer.text) == ((200, "ok") if "jsonp" in transport else (204, ""))
        assert await session.messages(received, len(NASTY)) == NASTY


@each
async def test_order_is_kept_over_many_responses(sockjs: Any, client: Any, transport: str) -> None:
    async with sockjs(options={**EVERYTHING, "response_limit": 300}) as (running, _):
        session = client(running, transport)
        received = await session.open()
        sent = [str(number) for number in range(200)]
        for start in range(0, 200, 50):
            await session.send(*sent[start : start + 50])
        assert await session.messages(received, 200) == sent


@each
async def test_a_client_that_waits_is_served_at_once(
    sockjs: Any, client: Any, transport: str
) -> None:
    async with sockjs(options=EVERYTHING) as (running, watch):
        session = client(running, transport)
        received = await session.open()
        spark = await watch.spark()
        async with anyio.create_task_group() as group:

            @group.start_soon
            async def wait() -> None:
                assert await session.messages(received, 3) == ["one", "two", "three"]

            await anyio.wait_all_tasks_blocked()
            for message in ("one", "two", "three"):
                spark.send_nowait(message)


@each
async def test_the_servers_close_reaches_the_client(
    sockjs: Any, client: Any, transport: str
) -> None:
    async with sockjs(options=EVERYTHING) as (running, watch):
        session = client(running, transport)
        received = await session.open()
        spark = await watch.spark()
        spark.send_nowait("last words")
        spark.close_nowait(4321, 'said "no" \\ é')
        assert await session.messages(received, 1) == ["last words"]
        if transport in POLLS:
            received = await session.ask()
        farewell = 'c[4321,"said \\"no\\" \\\\ \\u00e9"]'
        assert await received.packets() == [farewell]
        close = await watch.end()
        assert (close.code, close.reason, close.origin) == (4321, 'said "no" \\ é', Origin.LOCAL)
        for _ in range(2):
            assert await (await session.ask()).packets() == [farewell]
        assert (await session.send("too late")).status == 404


@each
async def test_a_close_in_on_open_reaches_the_client(
    sockjs: Any, client: Any, transport: str
) -> None:
    def prepare(server: Server) -> None:
        @server.endpoint("/ws").on_open
        def away(spark: Spark) -> None:
            spark.send_nowait("hello")
            spark.close_nowait(3000, "Go away!")

    async with sockjs(options=EVERYTHING, prepare=prepare) as (running, _):
        session = client(running, transport)
        received = await session.open()
        assert await session.messages(received, 1) == ["hello"] if transport in STREAMS else True
        if transport in POLLS:
            assert await (await session.ask()).packets() == ['a["hello"]']
            received = await session.ask()
        assert await received.packets() == ['c[3000,"Go away!"]']


@each
async def test_a_second_receiver_is_told_so(sockjs: Any, client: Any, transport: str) -> None:
    async with sockjs(options=EVERYTHING) as (running, watch):
        session = client(running, transport)
        received = await session.open()
        async with anyio.create_task_group() as group:
            if transport in POLLS:

                @group.start_soon
                async def wait() -> None:
                    assert await (await session.ask()).packets() == ['a["news"]']

                await anyio.wait_all_tasks_blocked()
            second = await session.ask()
            assert await second.packets() == ['c[2010,"Another connection still open"]']
            (await watch.spark()).send_nowait("news")
            if transport in STREAMS:
                assert await received.packet() == 'a["news"]'


@each
async def test_a_client_that_drops_its_request_has_closed(
    sockjs: Any, client: Any, transport: str
) -> None:
    async with sockjs(options=EVERYTHING) as (running, watch):
        session = client(running, transport)
        received = await session.open()
        if transport in POLLS:
            async with anyio.create_task_group() as group:
                group.start_soon(session.ask)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
        else:
            await received.download.drop()
        close = await watch.end()
        assert (close.code, close.origin) == (1005, Origin.PEER)
        assert running.gateway.connections == []
        back = await session.ask()
        assert await back.packets() == ['c[1002,"Connection interrupted"]']


@each
async def test_a_client_that_does_not_come_back_costs_nothing(
    sockjs: Any, client: Any, transport: str
) -> None:
    options = {**EVERYTHING, "disconnect_delay": 50, "response_limit": 1}
    async with sockjs(options=options) as (running, watch):
        session = client(running, transport)
        assert await (await session.ask()).packets() == ["o"]
        close = await watch.end()
        assert (close.code, close.origin) == (1006, Origin.LOST)
        assert running.gateway.connections == []
        assert await (await session.ask()).packets() == ["o"]  # a new one, of that name


@each
async def test_a_silent_session_hears_a_heartbeat(sockjs: Any, client: Any, transport: str) -> None:
    async with sockjs(options={**EVERYTHING, "heartbeat_delay": 50}) as (running, watch):
        session = client(running, transport)
        received = await session.open()
        for _ in range(2):
            if transport in POLLS:
                received = await session.ask()
            assert await received.packet() == "h"
        await watch.spark()
        assert watch.closed == []


@each
async def test_a_session_may_change_its_transport(sockjs: Any, client: Any, transport: str) -> None:
    async with sockjs(options={**EVERYTHING, "response_limit": 1}) as (running, watch):
        session = client(running, transport)
        await (await session.ask()).packets()
        await session.send("x")
        received = await session.ask("xhr-polling")
        assert await received.packets() == ['a["x"]']
        assert (await watch.spark()).transport == "xhr-polling"


@each
async def test_a_refusal_has_its_status_or_its_code(
    sockjs: Any, client: Any, transport: str
) -> None:
    def prepare(server: Server) -> None:
        @server.authorize
        def refuse(handshake: Handshake) -> None:
            raise HandshakeRejected("members only", code=4403)

    async with sockjs(options=EVERYTHING, prepare=prepare) as (running, _):
        with pytest.raises(AssertionError):
            await client(running, transport).ask()
    endpoint = {"refusal": "close"}
    async with sockjs(options=EVERYTHING, prepare=prepare, endpoint=endpoint) as (running, watch):
        received = await client(running, transport).ask()
        assert await received.packets() == ['c[4403,"members only"]']
        assert watch.opened == []


async def test_two_receivers_that_open_one_session(sockjs: Any, client: Any) -> None:
    asked = anyio.Event()
    answer = anyio.Event()

    def prepare(server: Server) -> None:
        @server.authorize
        async def slow(handshake: Handshake) -> bool:
            asked.set()
            await answer.wait()
            return True

    async with sockjs(prepare=prepare) as (running, watch):
        session = client(running, "xhr-polling")
        async with anyio.create_task_group() as group:
            group.start_soon(session.open)
            await asked.wait()
            taken = await session.ask()
            assert await taken.packets() == ['c[2010,"Another connection still open"]']
            answer.set()
        await watch.spark()
        assert len(watch.opened) == 1


async def test_a_slow_reader_of_a_stream_loses_nothing(sockjs: Any, client: Any) -> None:
    options = {"response_limit": 100_000_000}
    async with sockjs(options=options) as (running, watch):
        session = client(running, "xhr-streaming")
        received = await session.open()
        spark = await watch.spark()
        async with anyio.create_task_group() as group:

            @group.start_soon
            async def write() -> None:
                for number in range(300):
                    await spark.send(f"{number} " + "x" * 10_000)

            await anyio.wait_all_tasks_blocked()
            found = await session.messages(received, 300)
            assert [message.split()[0] for message in found] == [str(n) for n in range(300)]


async def test_the_application_may_take_its_time(sockjs: Any, client: Any) -> None:
    """A POST is answered when its messages have been taken; a dropped POST loses none."""
    taken: list[str] = []
    go_on = anyio.Event()

    def prepare(server: Server) -> None:
        @server.session
        async def read(spark: Spark) -> None:
            await go_on.wait()
            async for message in spark:
                taken.append(message)  # noqa: PERF401 - it is looked at meanwhile

    sent = [str(number) for number in range(100)]
    limits = {"inbox_messages": 4}
    async with sockjs(echo=False, prepare=prepare, limits=limits) as (running, _):
        session = client(running, "xhr-streaming")
        await session.open()
        async with anyio.create_task_group() as group:
            group.start_soon(session.send, *sent[:50])
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        async with anyio.create_task_group() as group:
            group.start_soon(session.send, *sent[50:])
            await anyio.wait_all_tasks_blocked()
            go_on.set()
        await eventually(lambda: len(taken) == 100)
        assert taken == sent


async def test_the_end_of_the_server_cuts_streams(sockjs: Any, client: Any) -> None:
    async with sockjs() as (running, watch):
        received = await client(running, "xhr-streaming").open()
        await watch.spark()
        running.cancel()
        await running.stopped.wait()
        with pytest.raises(ConnectionLost):
            await received.packets()


async def test_a_broadcast_escapes_once_for_all_transports(sockjs: Any, client: Any) -> None:
    async with sockjs(options=EVERYTHING) as (running, watch):
        sessions = [client(running, transport) for transport in [*STREAMS, *POLLS]]
        received = [await session.open() for session in sessions]
        await watch.spark(4)
        assert len({spark.connection.framing for spark in running.hub}) == 1
        await running.server.everyone.send("né <b>")
        for session, response in zip(sessions, received, strict=True):
            assert await session.messages(response, 1) == ["né <b>"]


async def test_what_a_packet_is_on_each_wire(sockjs: Any, client: Any) -> None:
    async with sockjs(options=EVERYTHING) as (running, _):
        wires = {
            "xhr": ["o\n"],
            "xhr_streaming": ["h" * 2048 + "\n", "o\n"],
            "eventsource": ["\r\n", "data: o\r\n\r\n"],
            "jsonp?c=_jp.abc": ['/**/_jp.abc("o");\r\n'],
        }
        for number, (path, chunks) in enumerate(wires.items()):
            method = "POST" if path.startswith("xhr") else "GET"
            async with await running.stream(f"/ws/0/w{number}/{path}", method=method) as download:
                for chunk in chunks:
                    assert await download.receive() == chunk.encode()
        async with await running.stream("/ws/0/h/htmlfile?c=_jp.abc") as download:
            head = (await download.receive()).decode()
            assert len(head) > 1024
            assert "var c = parent._jp.abc;" in head
            assert await download.receive() == b'<script>\np("o");\n</script>\r\n'


async def test_messages_are_in_ascii(sockjs: Any, client: Any) -> None:
    async with sockjs() as (running, _):
        session = client(running, "xhr-polling")
        await session.open()
        await session.send("\u200c\uffff\x00é")
        (packet,) = await (await session.ask()).packets()
        assert packet == 'a["\\u200c\\uffff\\u0000\\u00e9"]'
        assert json.loads(packet[1:]) == ["\u200c\uffff\x00é"]
