"""What these tests stand on: a server on picows, and clients that have nothing but a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import pytest
from anyio.abc import ByteStream

from unisock import Message, Server, Spark
from unisock.testing import running
from unisock.testing.conformance.base import Watch
from unisock.testing.running import Running
from unisock_picows import PicowsAdapter
from unisock_picows.parts import IN_C

HEADERS = {
    "Host": "x",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both, for there each test is on other transports: see the options of `Kit`."""
    return "asyncio", {"use_uvloop": request.param}


class Echo(Watch):
    """Has a server send back what it gets, and remembers it."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.heard: list[Message] = []
        server.on_message(self._on_message)

    def _on_message(self, spark: Spark, message: Message) -> None:
        self.heard.append(message)
        spark.send_nowait(message)
        self.changed()


class Kit:
    """What a test of this adapter needs.

    :cvar options: of the adapter
    """

    options: ClassVar[dict[str, Any]] = {"lean": True}

    @classmethod
    def with_options(cls, **options: Any) -> type[Kit]:
        return type("Kit", (cls,), {"options": {**cls.options, **options}})

    @classmethod
    def make(cls, options: dict[str, Any] | None = None, **settings: Any) -> Server:
        settings = {"heartbeat": {"interval": 0}, **settings}
        endpoints = [{"path": "/ws", "codec": "raw"}]
        adapter = PicowsAdapter({**cls.options, **(options or {})})
        return Server(adapter=adapter, folder=None, endpoints=endpoints, **settings)

    @classmethod
    def echoing(cls, **settings: Any) -> tuple[Server, Echo]:
        server = cls.make(**settings)
        return server, Echo(server)

    @staticmethod
    @asynccontextmanager
    async def serving(server: Server, **more: Any) -> AsyncGenerator[Running]:
        with anyio.fail_after(30):
            async with running.serving(server, **more) as live:
                yield live

    @staticmethod
    def handshake(target: str = "/ws", first: str = "", **headers: str | None) -> bytes:
        """An opening handshake with these headers changed, or left out where `None`."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in {**HEADERS, **changed}.items() if value]
        return "\r\n".join([first or f"GET {target} HTTP/1.1", *lines, "", ""]).encode()

    @staticmethod
    async def head(stream: ByteStream) -> bytes:
        """The head of the next response, and not a byte more."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += await stream.receive(1)
        return data

    @classmethod
    async def open(cls, live: Running) -> ByteStream:
        """A WebSocket that is nothing but a socket."""
        stream = await live.place.dial()
        await stream.send(cls.handshake())
        assert b" 101 " in await cls.head(stream)
        return stream


@pytest.fixture(scope="session", params=[True, False], ids=["c", "python"])
def native(request: pytest.FixtureRequest) -> bool:
    """Messages pass the parts in C, or those in Python."""
    if request.param and IN_C is None:
        pytest.skip("the parts of unisock-picows in C are not built: see its README")
    return bool(request.param)


@pytest.fixture(scope="session")
def kit(native: bool) -> type[Kit]:
    return Kit.with_options(native=native)


@pytest.fixture(scope="session")
def lending_kit(native: bool) -> type[Kit]:
    """Each read borrows a parser."""
    return Kit.with_options(native=native, parsers=0)
