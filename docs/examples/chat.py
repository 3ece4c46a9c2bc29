"""A chat: rooms, who is in them, private messages, and a live feed of what the server does.

Run it, and open the address that it prints in two windows:

    unisock demo                       or: python docs/examples/chat.py --port 8001
    unisock demo --adapter tornado     the same chat; another library owns the socket

Client and server send each other events. What a client may say is one ``@command`` each, with the
types of its arguments; a refusal is the answer to it. What the server says is one call of ``tell``
each.
"""

import unicodedata
from collections.abc import Callable
from functools import wraps
from itertools import count
from pathlib import Path
from time import time
from typing import Annotated, Any, TypeVar

import anyio
import msgspec
from msgspec import Meta

from unisock import (
    Close,
    Handshake,
    HandshakeRejected,
    Hub,
    Overflow,
    Server,
    Spark,
    Who,
    __version__,
    hookimpl,
)
from unisock.abc import Runtime
from unisock_emitter import Emitter, EventError
from unisock_rooms import Rooms

Label = Annotated[str, Meta(min_length=1, max_length=24)]
Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Id = Annotated[str, Meta(min_length=1, max_length=40)]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def tell(who: Who, event: str, overflow: Overflow | None = None, **facts: Any) -> None:
    events.emit_nowait(who, event, facts, overflow=overflow)


# The feed is a plugin, because the hooks see more than handlers do: refusals, for one.


class Feed:
    """Tells everyone what the server does."""

    def __init__(self) -> None:
        self.messages = 0
        self.numbers = count(1)

    @hookimpl
    def unisock_start(self, hub: Hub, runtime: Runtime) -> None:
        server.asset("/config.json", msgspec.json.encode(way_in()), "application/json")
        runtime.spawn(self.report)

    @hookimpl
    def unisock_open(self, spark: Spark) -> None:
        spark.state["number"] = next(self.numbers)
        tell(server.everyone, "opened", number=spark.state["number"], transport=spark.transport)

    @hookimpl
    def unisock_close(self, spark: Spark, close: Close) -> None:
        facts = {"number": spark.state["number"], "name": spark.state.get("name")}
        tell(server.everyone, "closed", **facts, code=close.code, reason=close.reason)

    @hookimpl
    def unisock_refused(self, handshake: Handshake, rejection: HandshakeRejected) -> None:
        tell(server.everyone, "refused", status=rejection.status, reason=rejection.reason)

    @hookimpl
    def unisock_error(self, spark: Spark, error: Exception) -> None:
        tell(server.everyone, "fault", number=spark.state["number"], error=type(error).__name__)

    async def report(self) -> None:
        """Once a second, the figures, if they have changed."""
        last: dict[str, Any] = {}
        while True:
            before, started = self.messages, anyio.current_time()
            await anyio.sleep(1)
            rate = (self.messages - before) / (anyio.current_time() - started)
            figures = self.figures(rate)
            if figures != last:
                # Nobody should be cut off for being too slow for figures.
                tell(server.everyone, "figures", Overflow.DROP_NEWEST, **figures)
            last = figures

    def figures(self, rate: float = 0) -> dict[str, Any]:
        return {
            "connections": len(server.hub),
            "rate": round(rate, 1),
            "refused": server.gateway.rejections,
            "dropped": server.gateway.dropped,
        }


feed = Feed()
events = Emitter()
rooms = Rooms()
# All else comes from unisock.toml, the environment and the command line.
server = Server(plugins=[events, rooms, feed])
server.asset("/", Path(__file__).with_name("chat.html").read_text(encoding="utf-8"))

people: dict[str, Spark] = {}
"""Everyone with a name, by that name as `fold` gives it."""


def way_in() -> dict[str, Any]:
    """How the page reaches the chat: what is configured, so that the page need not know."""
    endpoint, sessions = server.settings.endpoints[0], server.adapter.capabilities.sessions
    protocol = endpoint.protocol or (sessions[0] if sessions else "websocket")
    return {"path": endpoint.path, "protocol": protocol, "adapter": server.adapter.name}


# The chat.


@server.on_open
def enter(spark: Spark) -> None:
    tell(
        spark,
        "welcome",
        adapter=server.adapter.name,
        transport=spark.transport,
        backend=server.settings.backend,
        version=__version__,
        people=sorted(other.state["name"] for other in people.values()),
        rooms=directory(),
        figures=feed.figures(),
    )


@server.on_close
def exit(spark: Spark, close: Close) -> None:
    name = spark.state.get("name", "")
    if people.get(fold(name)) is spark:
        del people[fold(name)]


def command(name: str) -> Callable[[FunctionT], FunctionT]:
    """What a client may say: an event, which is counted."""

    def register(function: FunctionT) -> FunctionT:
        @wraps(function)
        def handle(spark: Spark, *args: Any) -> None:
            feed.messages += 1
            function(spark, *args)

        events.on(name)(handle)
        return function

    return register


@command("hello")
def hello(spark: Spark, name: Label, key: Id) -> None:
    """My name. The key is a secret of the window's: who has it may take the name over, for one that
    comes back may find its lost connection still there.
    """
    check_label(name)
    if "name" in spark.state:
        raise EventError("named", "you have a name already")
    other = people.get(fold(name))
    if other is not None:
        if other.state["key"] != key:
            raise EventError("name-taken", f"somebody else is {name}")
        step_down(other)
    people[fold(name)] = spark
    spark.state.update(name=name, key=key)
    facts = {"name": name, "number": spark.state["number"]}
    tell(spark, "named", **facts, you=True)
    tell(server.everyone - spark, "named", **facts, you=False)


@command("join")
def join(spark: Spark, room: Label) -> None:
    check_label(room)
    name_of(spark)
    rooms.join(spark, room)


@command("leave")
def leave(spark: Spark, room: Label) -> None:
    rooms.leave(spark, check_member(spark, room))


@command("say")
def say(spark: Spark, room: Label, text: Text, id: Id) -> None:
    """To everyone in a room. The id comes back, so the sender knows that it got through."""
    said = {"room": room, "name": name_of(spark), "text": text, "id": id, "at": time()}
    tell(rooms[check_member(spark, room)], "said", **said)


@command("whisper")
def whisper(spark: Spark, to: Label, text: Text, id: Id) -> None:
    """To one person."""
    name, other = name_of(spark), people.get(fold(to))
    if other is None:
        raise EventError("gone", f"{to} is not here")
    said = {"to": other.state["name"], "name": name, "text": text, "id": id, "at": time()}
    tell(spark | other, "whispered", **said)


@command("typing")
def typing(spark: Spark, room: Label) -> None:
    others = rooms[check_member(spark, room)] - spark
    tell(others, "typing", Overflow.DROP_NEWEST, room=room, name=name_of(spark))


@rooms.on_join
def joined(spark: Spark, room: str) -> None:
    tell(server.everyone, "joined", room=room, name=spark.state["name"])


@rooms.on_leave
def left(spark: Spark, room: str) -> None:
    tell(server.everyone, "left", room=room, name=spark.state["name"])


def step_down(spark: Spark) -> None:
    """Take its name and its rooms from a connection, and end it."""
    rooms.leave_all(spark)
    del spark.state["name"]
    spark.close_nowait(4500, "continued in another window")


def directory() -> dict[str, list[str]]:
    """Who is in which room."""
    return {room: sorted(spark.state["name"] for spark in rooms[room]) for room in rooms}


def name_of(spark: Spark) -> str:
    if "name" not in spark.state:
        raise EventError("no-name", "say hello first")
    name: str = spark.state["name"]
    return name


def check_member(spark: Spark, room: str) -> str:
    name_of(spark)
    if room not in rooms.of(spark):
        raise EventError("not-in-room", f"you are not in {room}")
    return room


def check_label(label: str) -> None:
    """Names and rooms are shown to others: nothing invisible, nothing that turns text around."""
    if not label.isprintable() or label != label.strip():
        raise EventError("bad-label", "only visible characters, and no space around them")


def fold(name: str) -> str:
    """Names that look the same are the same."""
    return unicodedata.normalize("NFKC", name).casefold()


if __name__ == "__main__":
    server.run()
