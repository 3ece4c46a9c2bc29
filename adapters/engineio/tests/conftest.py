"""A server in memory whose clock the test turns, and Engine.IO clients of it, by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest
from anyio.abc import TaskGroup

from unisock import Server, Spark
from unisock.exchange import Request, Response
from unisock.gateway import ServerGateway
from unisock.handshake import Address, Handshake, Headers
from unisock.memory import MemoryAdapter, MemoryPeer, Refused
from unisock.timers import Timers


class Rig:
    """A server with one endpoint ``/engine.io``, which echoes what no handler takes.

    :ivar sparks: those that came, in order
    :ivar closes: how sparks ended, in order
    :ivar seen: what arrived, in order
    """

    def __init__(
        self,
        options: dict[str, Any],
        endpoint: dict[str, Any],
        on_open: Callable[[Spark], object],
        authorize: Callable[[Handshake], object] | None,
    ) -> None:
        self.now = 0.0
        self.sparks: list[Spark] = []
        self.closes: list[Any] = []
        self.seen: list[Any] = []
        self.echo = True
        fields = {
            "path": "/engine.io",
            "protocol": "engineio",
            "codec": "raw",
            "options": options,
            **endpoint,
        }
        self.server = Server(adapter=MemoryAdapter(), folder=None, endpoints=[fields])
        self._on_open = on_open
        self.server.on_open(self._opened)
        if authorize is not None:
            self.server.authorize(authorize)
        self.server.on_message(self._arrived)
        self.server.on_close(lambda spark, close: self.closes.append(close))
        self.gateway: ServerGateway
        self.group: TaskGroup

    def _opened(self, spark: Spark) -> None:
        self.sparks.append(spark)
        self._on_open(spark)

    def _arrived(self, spark: Spark, message: Any) -> None:
        self.seen.append(message)
        if self.echo:
            spark.send_nowait(message)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Rig]:
        """Let it run."""
        self.gateway = self.server.check()
        runtime: Any = self.gateway.runtime
        runtime.timers = Timers(lambda: self.now)
        async with runtime.running() as self.group:
            yield self

    def pass_time(self, seconds: float) -> None:
        """Let the clock run."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.025)
            self.gateway.runtime.timers.advance()

    async def request(
        self,
        query: str,
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Response:
        """The answer to a request."""
        pieces = deque([body] if body else [])

        async def receive() -> bytes:
            await anyio.lowlevel.checkpoint()
            return pieces.popleft() if pieces else b""

        handshake = self._handshake(query, method, headers)
        answer = await self.gateway.answer(Request(handshake, upgrade=False, receive=receive))
        assert isinstance(answer, Response)
        return answer

    async def websocket(self, query: str, headers: Sequence[tuple[str, str]] = ()) -> MemoryPeer:
        """A WebSocket.

        :raises Refused: it is not accepted
        """
        handshake = self._handshake(query, "GET", headers)
        answer = await self.gateway.answer(Request(handshake, upgrade=True))
        if isinstance(answer, Response):
            raise Refused(answer)
        return MemoryPeer(answer)

    def _handshake(self, query: str, method: str, headers: Sequence[tuple[str, str]]) -> Handshake:
        return Handshake(
            target=f"/engine.io/?{query}",
            method=method,
            headers=[("Host", "memory"), *headers],
            peer=Address("127.0.0.1", 1),
        )

    @staticmethod
    def header(response: Response, name: str) -> str | None:
        """A header of a response."""
        return Headers(response.headers).get(name)

    @staticmethod
    def code(response: Response) -> int:
        """The code in the answer to a request that cannot be served."""
        assert Headers(response.headers)["content-type"] == "application/json"
        return int(msgspec.json.decode(response.body)["code"])

    async def open(self, extra: str = "", eio: int = 4) -> Polling:
        """A client that polls."""
        client = Polling(self, f"EIO={eio}&transport=polling{extra}")
        await client.shake_hands()
        return client

    async def open_websocket(self, extra: str = "", eio: int = 4) -> MemoryPeer:
        """A client on a WebSocket, past the handshake."""
        peer = await self.websocket(f"EIO={eio}&transport=websocket{extra}")
        assert str(await peer.receive()).startswith("0{")
        return peer


class Polling:
    """A client that polls."""

    def __init__(self, rig: Rig, query: str) -> None:
        self.rig = rig
        self.query = query
        self.eio = query[4]
        self.opening: Response
        self.told: dict[str, Any] = {}

    async def shake_hands(self) -> None:
        """Open the session."""
        self.opening = await self.rig.request(self.query)
        assert self.opening.status == 200, self.opening.body
        text = self.opening.body.decode()
        packet = text if self.eio == "4" else text.partition(":")[2]
        assert packet[0] == "0"
        self.told = msgspec.json.decode(packet[1:])
        self.query += f"&sid={self.told['sid']}"

    @property
    def sid(self) -> str:
        """The session's id."""
        return str(self.told["sid"])

    async def get(self) -> Response:
        """The answer to a poll."""
        return await self.rig.request(self.query)

    async def poll(self) -> str:
        """The payload of a poll."""
        answer = await self.get()
        assert answer.status == 200, answer.body
        return answer.body.decode()

    async def post(self, body: bytes | str, kind: str = "text/plain;charset=UTF-8") -> Response:
        """The answer to a POST."""
        data = body.encode() if isinstance(body, str) else body
        headers = [("Content-Type", kind)]
        return await self.rig.request(self.query, method="POST", body=data, headers=headers)

    async def say(self, body: bytes | str) -> None:
        """A POST that is taken."""
        answer = await self.post(body)
        assert (answer.status, answer.body) == (200, b"ok")

    def waiting(self) -> Pending:
        """A poll that waits."""
        return Pending(self)

    async def upgrade_socket(self) -> MemoryPeer:
        """A WebSocket of the same session."""
        query = f"EIO={self.eio}&transport=websocket&sid={self.sid}"
        return await self.rig.websocket(query)


class Pending:
    """A poll that waits, in a task of its own; as a context manager, it has begun."""

    def __init__(self, client: Polling) -> None:
        self.client = client
        self.scope = anyio.CancelScope()
        self._answer: Response | None = None
        self._done = anyio.Event()

    async def __aenter__(self) -> Pending:
        self.client.rig.group.start_soon(self._run)
        await anyio.wait_all_tasks_blocked()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.scope.cancel()
        await self._done.wait()

    async def _run(self) -> None:
        try:
            with self.scope:
                self._answer = await self.client.get()
        finally:
            self._done.set()

    @property
    def over(self) -> bool:
        """Whether it has been answered."""
        return self._answer is not None

    async def answer(self) -> Response:
        """What it was answered."""
        await self._done.wait()
        assert self._answer is not None
        return self._answer

    async def payload(self) -> str:
        """The payload that it was answered."""
        return (await self.answer()).body.decode()


MakeRig = Callable[..., AbstractAsyncContextManager[Rig]]


@pytest.fixture
def serve() -> MakeRig:
    """``async with serve(allow_eio3=True, endpoint={…}) as rig``: a server with these options."""

    def serve(
        endpoint: dict[str, Any] | None = None,
        *,
        on_open: Callable[[Spark], object] = lambda spark: None,
        authorize: Callable[[Handshake], object] | None = None,
        **options: Any,
    ) -> AbstractAsyncContextManager[Rig]:
        given = {"ping_interval": 300, "ping_timeout": 200, **options}
        given = {name: value for name, value in given.items() if value is not None}
        return Rig(given, endpoint or {}, on_open, authorize).running()

    return serve
