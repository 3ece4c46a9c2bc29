"""A chat: rooms, who is in them, private messages, and a live feed of what the server does.

Run it, and open the address that it prints in two windows:

    unisock demo                       or: python docs/examples/chat.py --port 8001
    unisock demo --adapter tornado     the same chat; another library owns the socket

Client and server send each other JSON objects with a ``type``. What a client may say is one class
each, below; what the server says is one call of ``tell`` each, further down.
"""

import unicodedata
from itertools import count
from pathlib import Path
from time import time
from typing import Annotated, Any, TypeAlias

import anyio
import msgspec
from msgspec import Meta, Struct

from unisock import (
    Close,
    Handshake,
    HandshakeRejected,
    Hub,
    LimitExceeded,
    Overflow,
    Register,
    Server,
    Spark,
    Who,
    __version__,
    hookimpl,
)
from unisock.abc import Runtime
from unisock_rooms import Rooms

# What a client may say.

Label = Annotated[str, Meta(min_length=1, max_length=24)]
Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Id = Annotated[str, Meta(min_length=1, max_length=40)]


class Hello(Struct, tag="hello", forbid_unknown_fields=True):
    """My name. The key is a secret of the window's: who has it may take the name over."""

    name: Label
    key: Id


class Join(Struct, tag="join", forbid_unknown_fields=True):
    room: Label


class Leave(Struct, tag="leave", forbid_unknown_fields=True):
    room: Label


class Say(Struct, tag="say", forbid_unknown_fields=True):
    """To everyone in a room. The id comes back, so the sender knows that it got through."""

    room: Label
    text: Text
    id: Id


class Whisper(Struct, tag="whisper", forbid_unknown_fields=True):
    """To one person."""

    to: Label
    text: Text
    id: Id


class Typing(Struct, tag="typing", forbid_unknown_fields=True):
    room: Label


Command: TypeAlias = Hello | Join | Leave | Say | Whisper | Typing


class Refused(Exception):
    """What a client asked for cannot be done: a word for its program, and a sentence for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def tell(who: Who, kind: str, overflow: Overflow | None = None, **facts: Any) -> None:
    who.send_nowait({"type": kind, **facts}, overflow)


# The feed is a plugin, because the hooks see more than handlers do: refusals, for one.


class Feed:
    """Tells everyone what the server does."""

    def __init__(self) -> None:
        self.messages = 0
        self.numbers = count(1)

    @hookimpl
    def unisock_configure(self, register: Register) -> None:
        register.incoming(self.count)

    def count(self, spark: Spark, payload: object) -> object:
        self.messages += 1
        return payload

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
rooms = Rooms()
server = Server(plugins=[rooms, feed])  # all else from unisock.toml, environment, command line
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


@server.on_message
def listen(spark: Spark, payload: object) -> None:
    try:
        command = msgspec.convert(payload, Command)
    except msgspec.ValidationError as error:
        tell(spark, "error", code="bad-message", text=str(error), id=None)
        return
    try:
        obey(spark, command)
    except (Refused, LimitExceeded) as error:
        code = error.code if isinstance(error, Refused) else error.limit
        tell(spark, "error", code=code, text=str(error), id=getattr(command, "id", None))


@server.on_close
def exit(spark: Spark, close: Close) -> None:
    name = spark.state.get("name", "")
    if people.get(fold(name)) is spark:
        del people[fold(name)]


def obey(spark: Spark, command: Command) -> None:
    if isinstance(command, Hello):
        introduce(spark, command)
        return
    name = spark.state.get("name")
    if name is None:
        raise Refused("no-name", "say hello first")
    match command:
        case Join(room):
            check_label(room)
            rooms.join(spark, room)
        case Leave(room):
            rooms.leave(spark, check_member(spark, room))
        case Say(room, text, id):
            said = {"room": room, "name": name, "text": text, "id": id, "at": time()}
            tell(rooms[check_member(spark, room)], "said", **said)
        case Whisper(to, text, id):
            other = people.get(fold(to))
            if other is None:
                raise Refused("gone", f"{to} is not here")
            said = {"to": other.state["name"], "name": name, "text": text, "id": id, "at": time()}
            tell(spark | other, "whispered", **said)
        case Typing(room):
            others = rooms[check_member(spark, room)] - spark
            tell(others, "typing", Overflow.DROP_NEWEST, room=room, name=name)


@rooms.on_join
def joined(spark: Spark, room: str) -> None:
    tell(server.everyone, "joined", room=room, name=spark.state["name"])


@rooms.on_leave
def left(spark: Spark, room: str) -> None:
    tell(server.everyone, "left", room=room, name=spark.state["name"])


def introduce(spark: Spark, hello: Hello) -> None:
    """Give a client its name. One that comes back may find its lost connection still there."""
    check_label(hello.name)
    if "name" in spark.state:
        raise Refused("named", "you have a name already")
    other = people.get(fold(hello.name))
    if other is not None:
        if other.state["key"] != hello.key:
            raise Refused("name-taken", f"somebody else is {hello.name}")
        step_down(other)
    people[fold(hello.name)] = spark
    spark.state.update(name=hello.name, key=hello.key)
    facts = {"name": hello.name, "number": spark.state["number"]}
    tell(spark, "named", **facts, you=True)
    tell(server.everyone - spark, "named", **facts, you=False)


def step_down(spark: Spark) -> None:
    """Take its name and its rooms from a connection, and end it."""
    rooms.leave_all(spark)
    del spark.state["name"]
    spark.close_nowait(4500, "continued in another window")


def directory() -> dict[str, list[str]]:
    """Who is in which room."""
    return {room: sorted(spark.state["name"] for spark in rooms[room]) for room in rooms}


def check_member(spark: Spark, room: str) -> str:
    if room not in rooms.of(spark):
        raise Refused("not-in-room", f"you are not in {room}")
    return room


def check_label(label: str) -> None:
    """Names and rooms are shown to others: nothing invisible, nothing that turns text around."""
    if not label.isprintable() or label != label.strip():
        raise Refused("bad-label", "only visible characters, and no space around them")


def fold(name: str) -> str:
    """Names that look the same are the same."""
    return unicodedata.normalize("NFKC", name).casefold()


if __name__ == "__main__":
    server.run()
