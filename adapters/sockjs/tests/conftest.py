"""A SockJS client over plain HTTP, one request at a time, so that a test sees every packet."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from unisock import Server, Spark
from unisock.testing.conformance.base import Watch
from unisock.testing.download import Download
from unisock.testing.running import Running, serving
from unisock.testing.wire import Answer

RECEIVERS = {
    "xhr-polling": ("POST", "xhr"),
    "xhr-streaming": ("POST", "xhr_streaming"),
    "eventsource": ("GET", "eventsource"),
    "htmlfile": ("GET", "htmlfile?c=_jp.abc"),
    "jsonp-polling": ("GET", "jsonp?c=_jp.abc"),
}
STREAMS = ["xhr-streaming", "eventsource", "htmlfile"]
POLLS = ["xhr-polling", "jsonp-polling"]
ALL = {"htmlfile": True, "jsonp": True, "iframe": True}

numbers = itertools.count()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Received:
    """A response, read packet by packet."""

    def __init__(self, download: Download, transport: str) -> None:
        self.download = download
        self.transport = transport
        self.first = transport in STREAMS

    async def packet(self) -> str | None:
        """The next packet; `None` at the end."""
        if self.first:
            self.first = False
            assert await self.download.receive()  # the prelude
        chunk = (await self.download.receive()).decode()
        return unwrap(chunk, self.transport) if chunk else None

    async def packets(self) -> list[str]:
        """All packets until the end."""
        found: list[str] = []
        while (packet := await self.packet()) is not None:
            found.append(packet)
        return found


def unwrap(chunk: str, transport: str) -> str:
    """The packet in a chunk, read as sockjs-client does."""
    match transport:
        case "xhr-polling" | "xhr-streaming":
            assert chunk.endswith("\n")
            return chunk[:-1]
        case "eventsource":
            assert chunk.startswith("data: ")
            assert chunk.endswith("\r\n\r\n")
            return chunk[6:-4].replace("%25", "%")
        case "htmlfile":
            assert chunk.startswith("<script>\np(")
            assert chunk.endswith(");\n</script>\r\n")
            return json.loads(chunk[11:-14])
        case _:
            assert chunk.startswith("/**/_jp.abc(")
            assert chunk.endswith(");\r\n")
            return json.loads(chunk[12:-4])


class Client:
    """A client's end of a session that HTTP carries."""

    def __init__(self, running: Running, transport: str, **headers: str) -> None:
        self.running = running
        self.transport = transport
        self.base = f"/ws/000/s{next(numbers)}"
        self.headers = headers

    async def ask(self, transport: str | None = None, **headers: str) -> Received:
        """A request for packets."""
        transport = transport or self.transport
        method, path = RECEIVERS[transport]
        download = await self.running.stream(
            f"{self.base}/{path}", method=method, headers=self._headers(headers)
        )
        assert download.status == 200
        return Received(download, transport)

    async def open(self) -> Received:
        """Open the session; the response goes on, if the transport is a stream."""
        received = await self.ask()
        assert await received.packet() == "o"
        return received

    async def messages(self, received: Received, count: int) -> list[str]:
        """So many messages, from as many responses as it takes."""
        found: list[str] = []
        while len(found) < count:
            packet = await received.packet()
            if packet is None:
                received = await self.ask()
            elif packet != "h":
                assert packet[:1] == "a", packet
                found += json.loads(packet[1:])
        return found

    async def post(self, body: bytes | str, **headers: str) -> Answer:
        """Send this, whatever it is."""
        path = "jsonp_send" if self.transport == "jsonp-polling" else "xhr_send"
        data = body.encode() if isinstance(body, str) else body
        return await self.running.request(
            f"{self.base}/{path}", method="POST", headers=self._headers(headers), body=data
        )

    async def send(self, *messages: str, **headers: str) -> Answer:
        """Send messages."""
        return await self.post(json.dumps(messages), **headers)

    def _headers(self, more: dict[str, str]) -> list[tuple[str, str]]:
        return [(k.replace("_", "-"), v) for k, v in {**self.headers, **more}.items()]


@asynccontextmanager
async def running(
    *, options: dict[str, Any] | None = None, echo: bool = True, **settings: Any
) -> AsyncGenerator[tuple[Running, Watch]]:
    """A server that echoes on /ws, in memory, and what its handlers see."""
    endpoint = {
        "path": "/ws",
        "codec": "raw",
        "protocol": "sockjs",
        "options": options or {},
        **settings.pop("endpoint", {}),
    }
    prepare: Callable[[Server], None] | None = settings.pop("prepare", None)
    settings.setdefault("adapter", "memory")
    # Short, for the clients that do not come back.
    settings["limits"] = {"close_seconds": 0.2, **settings.get("limits", {})}
    server = Server(folder=None, endpoints=[endpoint], **settings)
    watch = Watch(server)
    if echo:

        def answer(spark: Spark, message: str) -> None:
            spark.send_nowait(message)

        server.on_message(answer)
    if prepare is not None:
        prepare(server)
    with anyio.fail_after(30):
        async with serving(server) as served:
            yield served, watch


@pytest.fixture
def sockjs() -> Any:
    """``async with sockjs(options={…}, **settings) as (running, watch)``"""
    return running


@pytest.fixture
def client() -> type[Client]:
    """``client(running, transport, **headers)``"""
    return Client
