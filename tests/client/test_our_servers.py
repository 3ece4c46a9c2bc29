"""`connect` to our own server, on each adapter."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from unisock import (
    Close,
    ClosedByPeer,
    ConnectionRejected,
    Handshake,
    HandshakeRejected,
    Server,
    Spark,
    connect,
)
from unisock.errors import ConnectionLost, Unreachable
from unisock.messages import Origin
from unisock.redial import Backoff
from unisock_emitter import Emitter

pytestmark = pytest.mark.anyio

AT_ONCE = Backoff(first=0)
WHERE = [
    ("websockets", "asyncio"),
    ("websockets", "trio"),
    ("tornado", "asyncio"),
    ("sockjs-tornado", "asyncio"),
]


@pytest.fixture(params=WHERE, ids="-".join)
def where(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture
def anyio_backend(where: tuple[str, str]) -> str:
    return where[1]


@pytest.fixture
def adapter(where: tuple[str, str]) -> str:
    return where[0]


def make_server(**settings: Any) -> Server:
    server = Server(folder=None, **settings)
    server.endpoint("/ws")

    @server.on_message
    def answer(spark: Spark, message: Any) -> Any:
        if message == "close":
            spark.close_nowait(4500, "enough")
            return None
        return spark.send(message)

    return server


def at(running: Any, adapter: str, path: str = "/ws") -> str:
    """On sockjs-tornado, a plain WebSocket client uses the endpoint for raw WebSockets."""
    return running.url + path + ("/websocket" if adapter == "sockjs-tornado" else "")


async def test_messages_keep_their_order_and_content(unisock_serve: Any, adapter: str) -> None:
    running = await unisock_serve(make_server(), adapter=adapter)
    with anyio.fail_after(30):
        async with connect(at(running, adapter)) as spark, anyio.create_task_group() as group:
            messages: list[Any] = ["grüße", "", "x" * 300_000, [1, None, {"a": []}], *range(500)]

            async def say() -> None:
                for message in messages:
                    await spark.send(message)

            group.start_soon(say)
            for message in messages:
                assert await spark.receive() == message


async def test_compression_is_agreed_on(unisock_serve: Any, adapter: str) -> None:
    if adapter != "websockets":
        pytest.skip("capability: the adapter has no such option")
    server = make_server(options={"websockets": {"compression": True}})
    running = await unisock_serve(server, adapter=adapter)
    text = "the same again and again; " * 10_000
    with anyio.fail_after(30):
        async with connect(at(running, adapter), compression=True) as spark:
            for _ in range(3):
                await spark.send(text)
                assert await spark.receive() == text
            (there,) = server.everyone
            assert "permessage-deflate" in there.handshake.headers["Sec-WebSocket-Extensions"]


async def test_a_refusal_ends_it(unisock_serve: Any, adapter: str) -> None:
    server = make_server()

    @server.authorize
    def refuse(handshake: Handshake) -> None:
        if handshake.headers.get("Authorization") != "Bearer right":
            raise HandshakeRejected("members only", status=401, code=4501)

    running = await unisock_serve(server, adapter=adapter)
    url = at(running, adapter)
    with anyio.fail_after(30):
        with pytest.raises(ConnectionRejected) as error:
            async with connect(url, token="wrong"):
                pass
        assert error.value.status == 401
        assert "members only" in error.value.reason
        with pytest.raises(ConnectionRejected) as error:
            async with connect(url, token="right", origin="https://evil.example"):
                pass
        assert error.value.status == 403
        with pytest.raises(ConnectionRejected) as error:
            async with connect(running.url + "/nothing"):
                pass
        assert error.value.status == 404
        async with connect(url, token="right") as spark:
            await spark.send("close")
            with pytest.raises(ConnectionRejected, match="4500 enough"):
                await spark.receive()


async def test_tokens_expire_and_are_asked_for_again(
    unisock_serve: Any, adapter: str, watch: Any
) -> None:
    server, valid = make_server(), {"t1"}

    @server.authorize
    def check(handshake: Handshake) -> bool:
        return handshake.headers["Authorization"].removeprefix("Bearer ") in valid

    tokens = iter(["t1", "t2", "t3"])

    async def token() -> str:
        await anyio.lowlevel.checkpoint()
        return next(tokens)

    running = await unisock_serve(server, adapter=adapter)
    client = connect(at(running, adapter), token=token, reconnect=AT_ONCE)
    seen = watch(client)
    with anyio.fail_after(30):
        async with client as spark:
            valid.clear()
            valid.add("t2")
            (there,) = server.everyone
            there.close_nowait(1012, "restart")
            await seen.until("open", "waiting", "connecting", "open")
            assert seen.steps[-3].close == Close(1012, "restart", origin=Origin.PEER)
            await spark.send("still here")
            assert await spark.receive() == "still here"
            (there,) = server.everyone
            there.close_nowait(1012)
            with pytest.raises(ConnectionRejected, match="403"):
                await spark.receive()


async def test_the_close_of_either_side_arrives(unisock_serve: Any, adapter: str) -> None:
    server, closes = make_server(), []
    gone = anyio.Event()

    @server.on_close
    def left(spark: Spark, close: Close) -> None:
        closes.append(close)
        gone.set()

    running = await unisock_serve(server, adapter=adapter)
    with anyio.fail_after(30):
        async with connect(at(running, adapter)) as spark:
            await spark.send("x")
            await spark.close(4001, "done here")
        await gone.wait()
        assert (closes[0].code, closes[0].reason, closes[0].origin) == (
            4001,
            "done here",
            Origin.PEER,
        )
        async with connect(at(running, adapter)) as spark:
            await spark.send("x")
            await spark.receive()
            (there,) = server.everyone
            there.close_nowait(1000, "that is all")
            with pytest.raises(ClosedByPeer, match="1000 that is all"):
                await spark.receive()


async def test_what_was_read_is_confirmed_and_what_was_not_is_reported(
    unisock_serve: Any, adapter: str, watch: Any
) -> None:
    running = await unisock_serve(make_server(), adapter=adapter)
    client = connect(at(running, adapter), reconnect=AT_ONCE)
    seen = watch(client)
    with anyio.fail_after(30):
        async with client as spark:
            confirmed = anyio.Event()
            connection: Any = client._connection
            for number in range(10):
                await spark.send(number)
                await spark.receive()
            assert connection.unconfirmed
            connection.lower.overhear(lambda frame: frame.sent or confirmed.set())
            await confirmed.wait()
            await anyio.wait_all_tasks_blocked()
            assert connection.unconfirmed == 0
            await spark.send("in flight")
            connection.lower.abort()
            await seen.until("open", "waiting", "connecting", "open")
            await spark.send("last")
    assert [step.unconfirmed for step in seen.steps if step.state == "waiting"] == [1]
    assert seen.steps[-1].unconfirmed == 0  # the server has answered the close


async def test_a_message_beyond_message_bytes_ends_it(unisock_serve: Any, adapter: str) -> None:
    running = await unisock_serve(make_server(), adapter=adapter)
    client = connect(at(running, adapter), limits={"message_bytes": 1000}, reconnect=AT_ONCE)
    with anyio.fail_after(30):
        async with client as spark:
            await spark.send("x" * 998)
            assert len(await spark.receive()) == 998
            await spark.send("x" * 999)
            with pytest.raises(ConnectionLost, match="message_bytes = 1000"):
                await spark.receive()
    assert isinstance(client.error, ConnectionLost)


async def test_a_slow_application_slows_the_server(unisock_serve: Any, adapter: str) -> None:
    server = make_server(limits={"outbox_messages": 100_000, "outbox_bytes": 2**26})
    running = await unisock_serve(server, adapter=adapter)
    with anyio.fail_after(30):
        async with connect(at(running, adapter), limits={"inbox_messages": 4}) as spark:
            (there,) = server.everyone
            for number in range(300):
                there.send_nowait(f"{number:04}" + "x" * 50_000)
            await anyio.wait_all_tasks_blocked()
            assert spark._waiting() < 100  # the rest is not read yet
            for number in range(300):
                assert (await spark.receive())[:4] == f"{number:04}"


async def test_events_go_both_ways(unisock_serve: Any, adapter: str) -> None:
    there, here = Emitter(), Emitter()
    server = Server(folder=None, plugins=[there])
    server.endpoint("/ws")

    @there.on("double")
    async def double(spark: Spark, number: int) -> int:
        return await there.request(spark, "times two", number)

    here.on("times two")(lambda spark, number: number * 2)
    running = await unisock_serve(server, adapter=adapter)
    with anyio.fail_after(30):
        async with connect(at(running, adapter), plugins=[here]) as spark:
            assert await here.request(spark, "double", 21) == 42


async def test_an_answer_that_cannot_come_any_more_is_told(
    unisock_serve: Any, adapter: str, watch: Any
) -> None:
    there, here = Emitter(), Emitter()
    server = Server(folder=None, plugins=[there])
    server.endpoint("/ws")
    asked, over = anyio.Event(), anyio.Event()

    @there.on("think")
    async def think(spark: Spark, question: str) -> str:
        if question == "quick":
            return "42"
        asked.set()
        await over.wait()
        return "too late"

    running = await unisock_serve(server, adapter=adapter)
    client = connect(at(running, adapter), plugins=[here], reconnect=AT_ONCE)
    seen = watch(client)
    with anyio.fail_after(30):
        async with client as spark, anyio.create_task_group() as group:
            lost: list[Exception] = []

            async def ask() -> None:
                try:
                    await here.request(spark, "think", "long")
                except ConnectionLost as error:
                    lost.append(error)

            group.start_soon(ask)
            await asked.wait()
            connection: Any = client._connection
            connection.lower.abort()
            await seen.until("open", "waiting", "connecting", "open")
            assert await here.request(spark, "think", "quick") == "42"
            assert len(lost) == 1
    over.set()


async def test_tls_and_client_certificates(
    unisock_serve: Any, adapter: str, tmp_path: Path
) -> None:
    authority = trustme.CA()
    chain = authority.issue_cert("127.0.0.1", "localhost")
    files = {name: str(tmp_path / f"{name}.pem") for name in ("certificate", "client_ca")}
    chain.private_key_and_cert_chain_pem.write_to_path(files["certificate"])
    authority.cert_pem.write_to_path(files["client_ca"])
    running = await unisock_serve(make_server(), adapter=adapter, listen={"port": 0, "tls": files})
    url = at(running, adapter)
    assert url.startswith("wss://")
    trusting = ssl.create_default_context(cafile=files["client_ca"])
    known = ssl.create_default_context(cafile=files["client_ca"])
    authority.issue_cert("client@example.com").configure_cert(known)
    with anyio.fail_after(30):
        async with connect(url, tls=known) as spark:
            await spark.send("x" * 100_000)
            assert len(await spark.receive()) == 100_000
            assert spark.handshake.scheme == "https"
        # Nobody of whom this side knows the authority: final, and no loop.
        with pytest.raises(ssl.SSLCertVerificationError):
            async with connect(url):
                pass
        with pytest.raises(ssl.SSLCertVerificationError):
            async with connect(url, tls=known, server_name="other.example"):
                pass
        # A server that does not know the client; asyncio's cuts the line before it has said so.
        with pytest.raises((ssl.SSLError, Unreachable)):
            async with connect(url, tls=trusting, reconnect=False):
                pass


async def test_a_server_without_tls_is_final_too(unisock_serve: Any, adapter: str) -> None:
    if adapter != "websockets":
        pytest.skip("capability: tornado waits for more of what is no HTTP")
    running = await unisock_serve(make_server(), adapter=adapter)
    with anyio.fail_after(30), pytest.raises(ssl.SSLError):
        async with connect(at(running, adapter).replace("ws:", "wss:")):
            pass


async def test_a_unix_socket(unisock_serve: Any, adapter: str, tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    await unisock_serve(make_server(), adapter=adapter, listen={"unix": path})
    below = "/websocket" if adapter == "sockjs-tornado" else ""
    with anyio.fail_after(30):
        async with connect(f"ws+unix:{path}:/ws{below}?x=1") as spark:
            await spark.send("hello")
            assert await spark.receive() == "hello"
            assert spark.handshake.headers["Host"] == "localhost"
