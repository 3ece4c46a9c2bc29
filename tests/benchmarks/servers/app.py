"""unisock's side: ``unisock serve tests.benchmarks.servers.app:plain``."""

from collections import deque
from collections.abc import Awaitable
from typing import Any

from unisock import Server, Spark
from unisock_emitter import Emitter
from unisock_rooms import Rooms

from . import pauses

ENDLESS = 1 << 40
"""Bytes after which a stream is to end: none does during a measurement."""
QUIET = {"interval": 300.0}
"""No ping comes into a measurement; the load counts bytes, and would wonder."""
KEPT = 100_000

pauses.watch()


def _echo(spark: Spark, message: Any) -> Awaitable[None]:
    return spark.send(message)


async def _echo_async(spark: Spark, message: Any) -> None:
    await spark.send(message)


def make(**settings: Any) -> tuple[Server, Rooms]:
    """A server that echoes on /echo, and sends to all on /broadcast."""
    rooms = Rooms()
    server = Server(folder=None, plugins=[rooms], heartbeat=QUIET)
    everybody = rooms["all"]

    def enter(spark: Spark) -> None:
        rooms.join(spark, "all")

    def spread(spark: Spark, message: Any) -> None:
        everybody.send_nowait(message)

    server.endpoint("/echo", **settings).on_message(_echo)
    broadcast = server.endpoint("/broadcast", **settings)
    broadcast.on_open(enter)
    broadcast.on_message(spread)
    return server, rooms


def make_plain() -> Server:
    """The same with the raw codec; and what only some measurements need."""
    server, rooms = make(codec="raw")
    history: deque[list[Any]] = deque(maxlen=KEPT)
    talk = rooms["talk"]

    def remember(spark: Spark, message: str) -> Awaitable[None]:
        history.append([message])
        return spark.send(message)

    def order(spark: Spark, message: str) -> Awaitable[None] | None:
        """``one NAME`` to enter a room, ``all NAME`` to let all in; others go to ``talk``."""
        word, _, name = message.partition(" ")
        match word:
            case "one":
                rooms.join(spark, name)
            case "all":
                for each in server.hub:
                    rooms.join(each, name)
            case _:
                talk.send_nowait(message)
                return None
        return spark.send("done")

    server.endpoint("/async", codec="raw").on_message(_echo_async)
    server.endpoint("/history", codec="raw").on_message(remember)
    server.endpoint("/rooms", codec="raw").on_message(order)
    return server


def make_socketio() -> Server:
    events, rooms = Emitter(), Rooms()
    server = Server(folder=None, plugins=[events, rooms], heartbeat=QUIET)
    server.endpoint("/socket.io", protocol="engineio", dialect="socketio")
    everybody = rooms["all"]

    @server.on_open
    def enter(spark: Spark) -> None:
        rooms.join(spark, "all")

    @events.on("echo")
    def echo(spark: Spark, text: str) -> None:
        events.emit_nowait(spark, "echo", text)

    @events.on("spread")
    def spread(spark: Spark, text: str) -> None:
        events.emit_nowait(everybody, "news", text)

    return server


plain = make_plain()
sockjs = make(codec="raw", protocol="sockjs", options={"response_limit": ENDLESS})[0]
engineio = make(codec="raw", protocol="engineio")[0]
primus = make(dialect="primus")[0]
socketio = make_socketio()
