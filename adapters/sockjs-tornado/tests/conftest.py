"""A SockJS client over plain HTTP, one request at a time, so that a test sees every packet."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from unisock import Server, Spark
from unisock.testing.conformance.base import Watch
from unisock.testing.running import Running

RECEIVERS = {
    "xhr-polling": ("POST", "xhr"),
    "xhr-streaming": ("POST", "xhr_streaming"),
    "eventsource": ("GET", "eventsource"),
    "htmlfile": ("GET", "htmlfile?c=_jp.abc"),
    "jsonp-polling": ("GET", "jsonp?c=_jp.abc"),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Received:
    """One response, read packet by packet."""

    def __init__(self, response: httpx.Response, transport: str) -> None:
        self.response = response
        self.transport = transport
        self._lines = response.aiter_lines()

    @property
    def status(self) -> int:
        return self.response.status_code

    async def packets(self) -> list[str]:
        """All packets until the response ends."""
        return [packet async for packet in self]

    async def packet(self) -> str:
        """The next packet."""
        return await anext(self)

    def __aiter__(self) -> Received:
        return self

    async def __anext__(self) -> str:
        async for line in self._lines:
            packet = unwrap(line, self.transport)
            if packet is not None:
                return packet
        raise StopAsyncIteration


def unwrap(line: str, transport: str) -> str | None:
    """The packet in a line of a response, read as sockjs-client does; `None` if there is none."""
    match transport:
        case "xhr-polling":
            return line
        case "xhr-streaming":
            return None if line == "h" * 2048 else line
        case "eventsource":
            return line[6:].replace("%25", "%") if line.startswith("data: ") else None
        case "htmlfile":
            return json.loads(line[2:-2]) if line.startswith('p("') else None
        case _:
            assert line.startswith("/**/_jp.abc(")
            return json.loads(line[len("/**/_jp.abc(") : -2])


class Session:
    """A client's end of a session that HTTP carries."""

    def __init__(self, running: Running, transport: str, **headers: str) -> None:
        self.transport = transport
        self.method, self.path = RECEIVERS[transport]
        self.base = f"{running.http_url}/ws/000/{next(IDS)}"
        self.stack = AsyncExitStack()
        self.received: list[Received] = []  # while one is there, its response stays open
        self.client = httpx.AsyncClient(timeout=20, headers=headers)

    async def ask(self, transport: str | None = None) -> Received:
        """A request for packets; its response is open until the test ends or `leave`."""
        transport = transport or self.transport
        method, path = RECEIVERS[transport]
        response = await self.stack.enter_async_context(
            self.client.stream(method, f"{self.base}/{path}")
        )
        self.received.append(Received(response, transport))
        return self.received[-1]

    async def open(self) -> Received:
        """Open the session; the response goes on, if the transport is a stream."""
        received = await self.ask()
        assert await received.packet() == "o"
        return received

    async def receive(self, received: Received, count: int) -> list[str]:
        """So many messages, from as many responses as it takes."""
        messages: list[str] = []
        while len(messages) < count:
            try:
                packet = await received.packet()
            except StopAsyncIteration:
                received = await self.ask()
                continue
            if packet != "h":
                assert packet[:1] == "a", packet
                messages += json.loads(packet[1:])
        return messages

    async def post(self, body: bytes | str, **headers: str) -> httpx.Response:
        """Send this, whatever it is."""
        jsonp = self.transport == "jsonp-polling"
        url = f"{self.base}/{'jsonp_send' if jsonp else 'xhr_send'}"
        return await self.client.post(url, content=body, headers=headers)

    async def send(self, *messages: str) -> httpx.Response:
        """Send messages."""
        if self.transport != "jsonp-polling":
            return await self.post(json.dumps(messages))
        url = f"{self.base}/jsonp_send"
        return await self.client.post(url, data={"d": json.dumps(messages)})

    async def leave(self) -> None:
        """Drop all requests under way."""
        await self.stack.aclose()
        await self.client.aclose()


IDS = iter(f"session{number}" for number in range(1_000_000))

SessionFactory = Callable[..., Session]


@pytest.fixture
async def session() -> AsyncGenerator[SessionFactory]:
    """``session(running, transport, **headers)`` makes a client."""
    sessions: list[Session] = []

    def make(running: Running, transport: str = "xhr-streaming", **headers: str) -> Session:
        sessions.append(Session(running, transport, **headers))
        return sessions[-1]

    yield make
    for made in sessions:
        await made.leave()


MakeServer = Callable[..., tuple[Server, Watch]]


@pytest.fixture
def make_server() -> MakeServer:
    """``make_server(**settings)`` is a server that echoes on /ws, and what its handlers see."""

    def make(**settings: Any) -> tuple[Server, Watch]:
        # Short, for the clients that do not come back.
        limits = {"close_seconds": 0.2, **settings.pop("limits", {})}
        endpoint = {"path": "/ws", "codec": "raw"}
        server = Server(folder=None, endpoints=[endpoint], limits=limits, **settings)
        watch = Watch(server)

        def echo(spark: Spark, message: str) -> None:
            spark.send_nowait(message)

        server.on_message(echo)
        return server, watch

    return make


Serve = Callable[..., Awaitable[Running]]


@pytest.fixture
def serve(unisock_serve: Any) -> Serve:
    """``await serve(server, **options)`` runs a server with these options of the adapter."""

    async def run(server: Any, **options: Any) -> Running:
        running: Running = await unisock_serve(
            server, adapter="sockjs-tornado", options={"sockjs-tornado": options}
        )
        return running

    return run
