"""Each HTTP transport of the library, as a client on the wire sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from unisock import Handshake, HandshakeRejected, Origin, Server, Spark

pytestmark = pytest.mark.anyio

ALL = ["xhr-polling", "xhr-streaming", "eventsource", "htmlfile", "jsonp-polling"]
STREAMS = ["xhr-streaming", "eventsource", "htmlfile"]
POLLS = ["xhr-polling", "jsonp-polling"]
OPENED = {"htmlfile": True, "jsonp": True, "iframe": True}
NASTY = [
    "",
    "100 %41 %25",
    "\"'\\",
    "\u2028\u2029\ufffe\u0300",
    "ünï😀",
    "</script><!--",
    "\x00\x1f",
]

each = pytest.mark.parametrize("transport", ALL)


@each
async def test_messages_go_both_ways(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()
    client = session(await serve(server, **OPENED), transport)
    received = await client.open()
    spark = await watch.spark()
    assert spark.transport == transport
    answer = await client.send(*NASTY)
    assert (answer.status_code, answer.text) == ((200, "ok") if "jsonp" in transport else (204, ""))
    assert await client.receive(received, len(NASTY)) == NASTY


@each
async def test_order_is_kept_over_many_responses(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, _ = make_server()
    client = session(await serve(server, **OPENED, response_limit=300), transport)
    received = await client.open()
    numbers = [str(number) for number in range(200)]
    async with anyio.create_task_group() as group:
        for number in range(0, 200, 50):
            await client.send(*numbers[number : number + 50])
        group.start_soon(client.send)
        assert await client.receive(received, 200) == numbers


@each
async def test_the_servers_close_reaches_the_client(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()
    client = session(await serve(server, **OPENED), transport)
    received = await client.open()
    spark = await watch.spark()
    spark.send_nowait("last words")
    spark.close_nowait(4321, 'said "no" \\ é')
    assert await client.receive(received, 1) == ["last words"]
    if transport in POLLS:
        received = await client.ask()
    farewell = 'c[4321,"said \\"no\\" \\\\ \\u00e9"]'
    assert await received.packets() == [farewell]
    close = await watch.end()
    assert (close.code, close.reason, close.origin) == (4321, 'said "no" \\ é', Origin.LOCAL)
    assert await (await client.ask()).packets() == [farewell]
    assert (await client.send("too late")).status_code == 404


@each
async def test_a_close_in_on_open_reaches_the_client(
    serve: Any, session: Any, transport: str
) -> None:
    server = Server(
        folder=None,
        endpoints=[{"path": "/ws", "codec": "raw"}],
        limits={"close_seconds": 0.2},
    )

    def away(spark: Spark) -> None:
        spark.close_nowait(3000, "Go away!")

    server.on_open(away)
    client = session(await serve(server, **OPENED), transport)
    received = await client.open()
    if transport in POLLS:
        received = await client.ask()
    assert await received.packets() == ['c[3000,"Go away!"]']


@each
async def test_a_client_that_drops_its_request_has_closed(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()
    running = await serve(server, **OPENED)
    client = session(running, transport)
    await client.open()
    if transport in POLLS:
        async with anyio.create_task_group() as group:
            group.start_soon(client.ask)
            await _attached(running)
            group.cancel_scope.cancel()
    await client.leave()
    close = await watch.end()
    assert (close.code, close.origin) == (1005, Origin.PEER)
    assert running.gateway.connections == []


@pytest.mark.parametrize("transport", POLLS)
async def test_a_client_that_does_not_come_back_is_lost(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()
    running = await serve(server, **OPENED, disconnect_delay=0.1)
    client = session(running, transport)
    await client.open()
    (await watch.spark()).send_nowait("for nobody")
    close = await watch.end()
    assert (close.code, close.origin) == (1006, Origin.LOST)
    assert running.gateway.dropped == 1
    with anyio.fail_after(30):
        while (received := await client.ask()) is not None:
            if await received.packet() == "o":  # the id is free again
                break


@each
async def test_a_second_receiver_gets_2010(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()
    running = await serve(server, **OPENED)
    client = session(running, transport)
    received = await client.open()
    spark = await watch.spark()
    second: list[str] = []
    async with anyio.create_task_group() as group:
        if transport in POLLS:

            async def poll() -> None:
                assert await client.receive(await client.ask(), 1) == ["for the first"]

            group.start_soon(poll)
            await _attached(running)
        second = await (await client.ask()).packets()
        spark.send_nowait("for the first")
        if transport in STREAMS:
            assert await client.receive(received, 1) == ["for the first"]
    assert second == ['c[2010,"Another connection still open"]']


@each
async def test_a_refusal_reaches_the_client(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()

    def refuse(handshake: Handshake) -> None:
        assert handshake.transport == transport
        raise HandshakeRejected(
            "no seat", status=503, code=4503, retry=True, headers=(("Retry-After", "7"),)
        )

    server.authorize(refuse)
    running = await serve(server, **OPENED)
    client = session(running, transport)
    received = await client.ask()
    await received.response.aread()
    assert received.status == 503
    assert received.response.headers["retry-after"] == "7"
    assert received.response.json() == {"error": "no seat", "code": 4503, "retry": True}
    assert (await client.send("hello")).status_code == 404
    assert watch.opened == []


@each
async def test_a_refusal_by_closing(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()
    server.override("the endpoint", {"endpoints": [{"path": "/ws", "refusal": "close"}]})

    def refuse(handshake: Handshake) -> bool:
        return False

    server.authorize(refuse)
    client = session(await serve(server, **OPENED), transport)
    received = await client.open()
    if transport in POLLS:
        received = await client.ask()
    assert await received.packets() == ['c[4500,"Forbidden"]']
    assert watch.opened == []


@each
async def test_a_foreign_page_is_refused(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()
    client = session(await serve(server, **OPENED), transport, Origin="https://evil.example")
    received = await client.ask()
    assert received.status == 403
    assert "access-control-allow-origin" not in received.response.headers
    info = await client.client.get(client.base.partition("/000")[0] + "/info")
    assert info.status_code == 403
    assert "access-control-allow-origin" not in info.headers
    preflight = await client.client.options(f"{client.base}/xhr_send")
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in preflight.headers
    assert watch.opened == []


@each
async def test_a_foreign_page_cannot_use_a_session_that_exists(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()
    client = session(await serve(server, **OPENED), transport)
    await client.open()
    await watch.spark()
    client.client.headers["Origin"] = "null"
    assert (await client.send("forged")).status_code == 403
    assert (await client.ask()).status == 403


@each
async def test_an_allowed_page_comes_in(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    page = "https://good.example"
    server, _ = make_server(origins=[page])
    client = session(await serve(server, **OPENED), transport, Origin=page)
    received = await client.open()
    if transport != "jsonp-polling":
        assert received.response.headers["access-control-allow-origin"] == page
        assert received.response.headers["access-control-allow-credentials"] == "true"
        assert received.response.headers["vary"] == "Origin"
    assert (await client.send("hello")).is_success
    assert await client.receive(received, 1) == ["hello"]


@each
async def test_the_silent_get_heartbeats(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, _ = make_server(heartbeat={"interval": 0.2})
    client = session(await serve(server, **OPENED), transport)
    received = await client.open()
    if transport in POLLS:
        assert await (await client.ask()).packets() == ["h"]
        received = await client.ask()
    assert await received.packet() == "h"


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_stream_ends_at_the_limit(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()
    client = session(await serve(server, **OPENED, response_limit=1000), transport)
    received = await client.open()
    spark = await watch.spark()
    for number in range(12):
        spark.send_nowait(f"{number}".ljust(100))
    packets = await received.packets()
    first = [message for packet in packets for message in json.loads(packet[1:])]
    assert 8 <= len(first) < 12
    rest = await client.receive(await client.ask(), 12 - len(first))
    assert [int(message) for message in first + rest] == [*range(12)]


@pytest.mark.parametrize("transport", POLLS)
async def test_a_poll_takes_all_that_waits(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()
    client = session(await serve(server, **OPENED), transport)
    await client.open()
    spark = await watch.spark()
    with anyio.fail_after(30):
        for number in range(10):
            await spark.send(str(number))
    assert await (await client.ask()).packets() == [
        'a["0","1","2","3","4","5","6","7","8","9"]',
    ]


async def test_a_session_may_change_its_transport(
    make_server: Any, serve: Any, session: Any
) -> None:
    server, watch = make_server()
    running = await serve(server)
    client = session(running, "xhr-polling")
    await client.open()
    received = await client.ask("xhr-streaming")
    spark = await watch.spark()
    spark.send_nowait("hello")
    assert await received.packet() == 'a["hello"]'
    assert spark.transport == "xhr-streaming"
    spark.close_nowait(4000)
    assert await received.packets() == ['c[4000,""]']
    assert running.gateway.connections == []


async def _attached(running: Any) -> None:
    """Wait until a poll waits for the session's next packet."""
    live: Callable[[], list[Any]] = lambda: running.gateway.connections  # noqa: E731
    with anyio.fail_after(30):
        while not live() or live()[0]._link.handler is None:  # noqa: ASYNC110 - there is no event
            await anyio.sleep(0.005)
