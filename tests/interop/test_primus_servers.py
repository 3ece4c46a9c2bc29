"""`connect()` with real servers of npm's primus: each transformer that we carry, each plugin."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from unisock import ClosedByPeer, ConnectionRejected, connect
from unisock_emitter import Emitter
from unisock_multiplex import Multiplex

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
SCRIPT = HERE / "primus_server.js"
CONNECTORS = {"websockets": None, "sockjs": "sockjs", "engine.io": "engineio"}
EMITTER = ["primus-emitter", "primus-responder", "primus-multiplex"]
EMIT = ["primus-emit", "substream"]
DATA: list[Any] = [0, "", "ünï 漢字 😀", {"deep": [1, {"er": [None, 1.5]}]}]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def npm(**options: Any) -> AsyncGenerator[str]:
    """A server; the URL of it."""
    node = shutil.which("node")
    assert node is not None, "node is missing: run `make test`, which brings it"
    command = [node, str(SCRIPT), json.dumps({"plugins": [], **options})]
    async with await anyio.open_process(command, cwd=HERE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with anyio.fail_after(30):
                port = int(await TextReceiveStream(process.stdout).receive())
            yield f"primus+http://127.0.0.1:{port}/there"
        finally:
            with anyio.CancelScope(shield=True):
                await process.stdin.aclose()
                await process.wait()


transformers = pytest.mark.parametrize("transformer", CONNECTORS)


def dial(url: str, transformer: str, *plugins: Any, **options: Any) -> Any:
    return connect(url, connector=CONNECTORS[transformer], plugins=plugins, **options)


async def echo(spark: Any, payload: Any) -> None:
    await spark.send(payload)
    assert await spark.receive() == {"echo": payload}


async def drain(spark: Any) -> None:
    async for _ in spark:
        pass
    raise spark.closed.error()


@transformers
async def test_emitter_responder_and_multiplex(transformer: str, proves: Any) -> None:
    carrier = CONNECTORS[transformer] or "websocket"
    proves(protocol=carrier, client="`connect()`", server="npm `primus`")
    events, multiplex = Emitter(), Multiplex()
    summed = anyio.Event()
    events.on("sum")(lambda spark, a, b: a + b)
    events.on("summed")(lambda spark, sum: summed.set() if sum == 42 else None)
    back = anyio.Event()
    with anyio.fail_after(40):
        async with npm(transformer=transformer, plugins=EMITTER, pingInterval=500) as url:
            client = dial(url, transformer, events, multiplex, responder=True)
            client.on_state(lambda change: back.set() if change.state == "waiting" else None)
            async with client as spark:
                for payload in DATA:
                    await echo(spark, payload)
                assert await events.request(spark, "double", 21) == 42
                assert await events.request(spark, "request", [1]) == {"you said": [1]}
                await events.emit(spark, "ask me", 40, 2)
                await summed.wait()
                news = multiplex.join(spark, "news")
                await news.send("first")
                assert await news.receive() == {"news": "first"}
                assert await events.request(news, "double", 4) == 8
                # A cut is made up for, and channels are begun again.
                await spark.send("cut")
                await back.wait()
                await news.send("second")
                assert await news.receive() == {"news": "second"}
                await news.send("end")
                with pytest.raises(ClosedByPeer):
                    await news.receive()
                # Pings are answered, or the server would have cut this too.
                await spark.send("pulse")
                for _ in range(3):
                    assert await spark.receive() == {"beat": True}
                # A close for good is not made up for.
                await spark.send("close")
                with pytest.raises(ClosedByPeer):
                    await drain(spark)


@transformers
async def test_emit_and_substreams(transformer: str) -> None:
    events, multiplex = Emitter(), Multiplex()
    told: list[str] = []
    events.on("told")(lambda spark, word: told.append(word))
    with anyio.fail_after(40):
        async with (
            npm(transformer=transformer, plugins=EMIT) as url,
            dial(url, transformer, events, multiplex, events="emit", channels="substream") as spark,
        ):
            await events.emit(spark, "tell", "x")
            for payload in DATA:
                await echo(spark, payload)
            assert told == ["X"]
            news = multiplex.join(spark, "news")
            await news.send([1, None])
            assert await news.receive() == {"news": [1, None]}
            await news.send("end")
            with pytest.raises(ClosedByPeer):
                await news.receive()


@transformers
async def test_a_refusal_has_its_reason(transformer: str) -> None:
    with anyio.fail_after(40):
        async with npm(transformer=transformer, refuse=True) as url:
            with pytest.raises(ConnectionRejected, match="members only"):
                async with dial(url, transformer):
                    pass


async def test_msgpack_query_and_headers() -> None:
    with anyio.fail_after(40):
        async with (
            npm(parser="msgpack") as url,
            connect(f"{url}?token=1", codec="msgpack", headers={"X-Name": "Ada"}) as spark,
        ):
            await spark.send("who")
            assert await spark.receive() == {"query": {"token": "1"}, "name": "Ada"}
            await echo(spark, {"binary": [1, "x" * 300]})
