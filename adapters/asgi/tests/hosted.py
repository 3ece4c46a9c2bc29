"""The application that the hosts under test run."""

import os
from typing import Any

import anyio
import msgspec

from unisock import Close, Handshake, HandshakeRejected, Server, Spark
from unisock.abc import Protocol, Upgrade
from unisock.exchange import Body, Reader, Request, Response, Streamed
from unisock.registry import offer
from unisock_asgi import asgi_app


class Diary:
    """What has happened, for who asks at ``/probe/diary/COUNT``."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.changed = anyio.Event()

    def note(self, *entry: Any) -> None:
        self.entries.append(entry)
        changed, self.changed = self.changed, anyio.Event()
        changed.set()


diary = Diary()


class Noting(Reader):
    def congested(self) -> None:
        diary.note("congested")

    def relieved(self) -> None:
        diary.note("relieved")

    def gone(self) -> None:
        diary.note("gone")


class Probe(Protocol):
    name = "hosted-probe"
    needs = frozenset({"http"})
    below = True

    async def answer(self, request: Request) -> Response | Upgrade:
        what, _, detail = request.handshake.path.removeprefix("/probe/").partition("/")
        match what:
            case "body":
                return Response(200, await request.body(1_000_000))
            case "stream":
                return Streamed(200, [("Content-Type", "text/x-test")], self._start)
            case "wait":
                return await self._wait()
            case "diary":
                while len(diary.entries) < int(detail):
                    await diary.changed.wait()
                taken, diary.entries = diary.entries, []
                return Response(200, msgspec.json.encode(taken))
            case _:
                return Response.text(200, request.handshake.path)

    def _start(self, body: Body) -> Reader:
        body.write(b"one")
        self.gate.runtime.timers.call_later(0, lambda: body.write(b"two"))
        return Noting()

    async def _wait(self) -> Response:
        diary.note("waits")
        try:
            await anyio.sleep_forever()
        finally:
            diary.note("cancelled")
        raise AssertionError("it was cancelled and went on")


offer("protocol", Probe.name, Probe)
server = Server(
    adapter="asgi",
    folder=None,
    endpoints=[
        {"path": "/ws", "codec": "raw", "subprotocols": ["v2", "v1"]},
        {"path": "/probe", "protocol": Probe.name},
    ],
    drain_seconds=2,
)


@server.authorize
def check(handshake: Handshake) -> None:
    if "stranger" in handshake.query:
        raise HandshakeRejected("members only", status=401, code=4501)


@server.on_message
async def echo(spark: Spark, message: str | bytes) -> None:
    if message == "close":
        await spark.close(4001, "as you wish")
    else:
        await spark.send(message)


@server.on_close
def note(spark: Spark, close: Close) -> None:
    diary.note("closed", close.code, close.reason, close.origin.value)


app = asgi_app(server, lazy="UNISOCK_LAZY" in os.environ)
