"""The adapter without input and output: one client of a server that does not run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from unisock import Server, Spark
from unisock.handshake import Address
from unisock.timers import Timers
from unisock_websockets.connection import WebSocketConnection
from unisock_websockets.link import Link
from unisock_websockets.opening import Door, Opening
from unisock_websockets.options import Options

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The example of RFC 6455 section 1.3, whose answer is known."""


class FakeLink(Link):
    """Takes down what is asked of it."""

    def __init__(self) -> None:
        self.peer = Address("127.0.0.1", 1)
        self.secure = self.full = False
        self.reading = True
        self.ends: list[str] = []
        self.writes: list[bytes] = []

    @property
    def end(self) -> str:
        """What was asked for first of ``finish``, ``close`` and ``abort``."""
        return self.ends[0] if self.ends else ""

    def write(self, data: bytes) -> None:
        assert not self.end, "written after the end"
        assert data
        self.writes.append(data)

    def finish(self) -> None:
        self.ends.append("finish")

    def close(self) -> None:
        self.ends.append("close")

    def abort(self) -> None:
        self.ends.append("abort")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Rig:
    """One client of a server that does not run, with an endpoint ``/ws`` that echoes.

    :param on_message: what to do in place of echoing
    :param greeting: what to send to every client that comes
    :param endpoint: further fields of the endpoint
    :param wait: whether the gateway's answers wait for `go_on`
    :param limits: of the endpoint
    """

    def __init__(
        self,
        on_message: Callable[[Spark, Any], object] | None = None,
        *,
        options: Options | None = None,
        greeting: str = "",
        endpoint: dict[str, Any] | None = None,
        wait: bool = False,
        **limits: float,
    ) -> None:
        fields = {"path": "/ws", "codec": "raw", "limits": limits, **(endpoint or {})}
        server = Server(adapter="websockets", folder=None, endpoints=[fields])
        self.seen: list[Any] = []
        self.closes: list[Any] = []

        @server.on_message
        def arrived(spark: Spark, message: Any) -> None:
            self.seen.append(message)
            (on_message or Spark.send_nowait)(spark, message)

        if greeting:
            server.on_open(lambda spark: spark.send_nowait(greeting))

        @server.on_close
        def closed(spark: Spark, close: Any) -> None:
            self.closes.append(close)

        self.server = server
        self._options = options or Options()
        self._wait = wait
        self._waiting: list[Coroutine[Any, Any, object]] = []
        self.restart()

    def restart(self) -> None:
        """Serve anew, with what the server has been told meanwhile."""
        self.gateway = self.server.check()
        self._now = 0.0
        self.gateway.runtime.timers = Timers(lambda: self._now)
        self._door = Door(self.gateway, self._options, self._spawn)
        self.link = self.another()

    def anew(self) -> None:
        """Forget all that was, and have another client."""
        self.seen.clear()
        self.closes.clear()
        self.link = self.another()

    def another(self) -> FakeLink:
        """Another client, that has said nothing so far."""
        link = FakeLink()
        link.sink = opening = Opening(self._door, link)
        self._door.enter(opening)
        return link

    def pass_time(self, seconds: float) -> None:
        """Let the clock run."""
        self._now += seconds
        self.gateway.runtime.timers.advance()

    def go_on(self) -> None:
        """Let the gateway answer."""
        while self._waiting:
            run_now(self._waiting.pop(0))

    def _spawn(self, function: Callable[..., Any], *args: Any) -> None:
        coroutine = function(*args)
        if self._wait:
            self._waiting.append(coroutine)
        else:
            run_now(coroutine)

    def request(self, *headers: str, path: str = "/ws") -> bytes:
        """A request for a WebSocket."""
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: localhost",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {KEY}",
            "Sec-WebSocket-Version: 13",
            *headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def open(self, *headers: str) -> bytes:
        """Shake hands; returns the answer."""
        self.feed(self.request(*headers))
        return self.take()

    def feed(self, data: bytes) -> None:
        """Let the server receive."""
        self.link.sink.received(data)

    def take(self) -> bytes:
        """All that was written since the last time."""
        data = b"".join(self.link.writes)
        self.link.writes.clear()
        return data

    @property
    def connection(self) -> WebSocketConnection:
        """The server's end, once open."""
        assert isinstance(self.link.sink, WebSocketConnection)
        return self.link.sink

    def lose(self) -> Any:
        """Let the link go; returns how the application sees the end."""
        self.link.sink.lost()
        (close,) = self.closes
        return close


def run_now(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that does not wait for anything."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


@pytest.fixture(scope="session")
def make_rig() -> type[Rig]:
    """`Rig`, to be called with its arguments."""
    return Rig
