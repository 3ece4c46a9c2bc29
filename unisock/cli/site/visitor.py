"""Who tries: requests as a page's browser makes them, and WebSockets."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec

from ...abc import Call, Connection, Connector, Gate, Receiver, Runtime
from ...config import Endpoint
from ...errors import ConfigError
from ...handshake import Handshake
from ...limits import Heartbeat, Limits, Overflow
from ...messages import Close, Message
from ...registry import look_up
from .findings import Answer
from .target import Target

try:
    import httpx
except ImportError as error:
    raise ConfigError("to check a site needs: pip install 'unisock[cli]'", key="httpx") from error

__all__ = ["Failure", "Socket", "Visitor"]

MOST_BYTES = 1_048_576
"""Of a response, and of a message."""


class Failure(Exception):
    """There was no response: the site cannot be reached, or somebody hung up."""


class Visitor:
    """A browser, on a page of the site.

    :param page: whether it says so; scripts do not
    :param headers: what each request says besides
    :param timeout: seconds for one response
    :ivar server: what responses say of who made them
    """

    def __init__(
        self,
        target: Target,
        runtime: Runtime,
        *,
        page: bool,
        headers: tuple[tuple[str, str], ...],
        tls: ssl.SSLContext | None,
        timeout: float,
    ) -> None:
        self.timeout = timeout
        self._target = target
        self._runtime = runtime
        self._tls = tls
        given = {name.lower() for name, _ in headers}
        origin = (("Origin", target.base),) if page and "origin" not in given else ()
        self._headers = (*origin, *headers)
        self._client = httpx.AsyncClient(
            base_url=target.base,
            headers=[*self._headers],
            verify=True if tls is None else tls,
            timeout=httpx.Timeout(timeout),
        )
        self.server = ""

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def ask(
        self,
        method: str,
        resource: str,
        body: bytes | None = None,
        *,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> Answer:
        """The response to a request.

        :param fresh: on a connection of its own
        :raises Failure: there is none
        """
        headers = {"Connection": "close"} if fresh else {}
        if body is not None:
            headers["Content-Type"] = "text/plain;charset=UTF-8"
        try:
            with anyio.fail_after(timeout or self.timeout):
                async with self._client.stream(
                    method, resource, content=body, headers=headers, timeout=None
                ) as response:
                    return await self._read(response)
        except TimeoutError as error:
            raise Failure(f"no answer within {timeout or self.timeout:g} seconds") from error
        except httpx.HTTPError as error:
            raise Failure(_why(error)) from error

    @asynccontextmanager
    async def stream(
        self, method: str, resource: str
    ) -> AsyncGenerator[tuple[Answer, AsyncIterator[bytes]]]:
        """A response that need not end. One that is no success is read.

        :raises Failure: there is none
        """
        try:
            async with self._client.stream(method, resource, timeout=None) as response:
                if response.status_code == 200:
                    self.note(response.headers)
                    head = Answer(200, {**response.headers}, b"")
                    yield head, response.aiter_bytes()
                else:
                    yield await self._read(response), response.aiter_bytes()
        except httpx.HTTPError as error:
            raise Failure(_why(error)) from error

    async def _read(self, response: httpx.Response) -> Answer:
        self.note(response.headers)
        body = b""
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MOST_BYTES:
                break
        return Answer(response.status_code, {**response.headers}, body)

    def note(self, headers: Mapping[str, str]) -> None:
        """Remember what the headers of a response say of who made it."""
        self.server = headers.get("server", "") or self.server

    async def socket(self, resource: str) -> Socket:
        """A WebSocket.

        :raises HandshakeRejected: and what else `Connector.connect` raises
        """
        connector: Connector = look_up("connector", "websocket")()
        gate = _Gate(self._runtime)
        cookies = "; ".join(f"{each.name}={each.value}" for each in self._client.cookies.jar)
        headers = self._headers + ((("Cookie", cookies),) if cookies else ())
        url = msgspec.structs.replace(self._target.url, connector="websocket", resource=resource)
        with anyio.fail_after(self.timeout):
            await connector.connect(Call(url=url, headers=headers, tls=self._tls), gate)
        assert gate.socket is not None
        return gate.socket


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


class Socket(Receiver):
    """A WebSocket, and what came over it.

    :ivar first: the first message
    :ivar closed: how it ended
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.first: Message | None = None
        self.closed: Close | None = None
        self.answers: Callable[[Message], str | None] = lambda message: None
        self._changed = anyio.Event()
        connection.attach(self)

    def on_message(self, message: Message) -> None:
        if self.first is None:
            self.first = message
        answer = self.answers(message)
        if answer is not None:
            self.connection.write(answer)
        self._tell()

    def on_close(self, close: Close) -> None:
        self.closed = close
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def until(self, enough: Callable[[], Any], seconds: float) -> bool:
        """Wait for that, or for the end, for so long.

        :returns: whether it is so, and not the end
        """
        with anyio.move_on_after(seconds):
            while self.closed is None and not enough():
                await self._changed.wait()
        return self.closed is None and bool(enough())

    async def ping(self, seconds: float) -> bool:
        """Whether a ping is answered."""
        answered = False

        def pong() -> None:
            nonlocal answered
            answered = True
            self._tell()

        self.connection.probe(pong)
        return await self.until(lambda: answered, seconds)

    async def held(self, seconds: float) -> float | None:
        """Do nothing for so long.

        :returns: the seconds after which it was cut; `None` if it was not
        """
        began = time.perf_counter()
        await self.until(lambda: False, seconds)
        return None if self.closed is None else time.perf_counter() - began

    async def leave(self) -> None:
        """Close it."""
        self.connection.close(Close())
        await self.connection.wait_closed()


class _Gate(Gate):
    """The way in for one WebSocket."""

    def __init__(self, runtime: Runtime) -> None:
        self.endpoint = Endpoint(path="/")
        self.origins = frozenset()
        self.limits = Limits(message_bytes=MOST_BYTES, close_seconds=1.0)
        self.overflow = Overflow.DROP_NEWEST
        self.heartbeat = Heartbeat(interval=0)
        self.runtime = runtime
        self.socket: Socket | None = None

    async def admit(self, handshake: Handshake) -> None:
        """A client lets its server in."""

    def open(self, connection: Connection) -> None:
        self.socket = Socket(connection)

    def left(self, connection: Connection) -> None: ...

    def count_dropped(self, messages: int) -> None: ...
