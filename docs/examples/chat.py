"""A chat: rooms, who is in them, private messages, and a live feed of what the server does.

Run it, and open the address that it prints in two windows:

    unisock demo                       an endpoint for each kind of client
    unisock demo --adapter picows      the same chat; another library owns the socket
    python docs/examples/chat.py       what is configured, and nothing else

Client and server send each other events. What a client may say is one ``@command`` each, with the
types of its arguments; a refusal is the answer to it. What the server says is one call of ``tell``
each. How somebody has come makes no difference here: it is only shown. Who speaks on channels, of
one connection or another, comes by the channel "chat".
"""

import os
import unicodedata
from collections.abc import Callable
from functools import wraps
from itertools import count
from pathlib import Path
from secrets import token_urlsafe
from shutil import which
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
    LimitExceeded,
    Overflow,
    Server,
    Spark,
    Who,
    __version__,
    hookimpl,
)
from unisock.abc import Runtime
from unisock.config import Endpoint
from unisock.registry import installed, look_up
from unisock_emitter import Emitter, EventError
from unisock_multiplex import Multiplex
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
        spark.state["shown"] = transport_of(spark)
        facts = {"number": spark.state["number"], "transport": spark.state["shown"]}
        tell(everyone, "opened", **facts)

    @hookimpl
    def unisock_close(self, spark: Spark, close: Close) -> None:
        facts = {"number": spark.state["number"], "name": spark.state.get("name")}
        tell(everyone, "closed", **facts, code=close.code, reason=close.reason)

    @hookimpl
    def unisock_refused(self, handshake: Handshake, rejection: HandshakeRejected) -> None:
        tell(everyone, "refused", status=rejection.status, reason=rejection.reason)

    @hookimpl
    def unisock_error(self, spark: Spark, error: Exception) -> None:
        tell(everyone, "fault", number=spark.state["number"], error=type(error).__name__)

    async def report(self) -> None:
        """Once a second: who went over to another transport, and the figures, if they changed."""
        last: dict[str, Any] = {}
        while True:
            before, started = self.messages, anyio.current_time()
            await anyio.sleep(1)
            for spark in everyone:
                if isinstance(spark, Spark):
                    self.follow(spark)
            rate = (self.messages - before) / (anyio.current_time() - started)
            figures = self.figures(rate)
            if figures != last:
                # Nobody should be cut off for being too slow for figures.
                tell(everyone, "figures", Overflow.DROP_NEWEST, **figures)
            last = figures

    def follow(self, spark: Spark) -> None:
        """Tell everyone if somebody went over; a session stays the same, so there is no hook."""
        shown, now = spark.state.get("shown"), transport_of(spark)
        if shown is not None and shown != now:
            spark.state["shown"] = now
            facts = {"number": spark.state["number"], "name": spark.state.get("name")}
            tell(everyone, "moved", **facts, transport=now)

    def figures(self, rate: float = 0) -> dict[str, Any]:
        return {
            "connections": len(everyone),
            "rate": round(rate, 1),
            "refused": server.gateway.rejections,
            "dropped": server.gateway.dropped,
        }


feed = Feed()
events = Emitter()
rooms = Rooms(shared=True)  # whoever comes by a channel is in the same ones
multiplex = Multiplex()
# All else comes from unisock.toml, the environment and the command line.
server = Server(plugins=[events, rooms, multiplex, feed])
channel = multiplex.channel("chat")
everyone = server.everyone | multiplex["chat"]

people: dict[str, Spark] = {}
"""Everyone with a name, by that name as `fold` gives it."""


# The pages.

PAGES = Path(__file__).with_name("chat_page")
TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
LIBRARIES = {
    "engine.io-client": "dist/engine.io.min.js",
    "socket.io-client": "dist/socket.io.min.js",
    "sockjs-client": "dist/sockjs.min.js",
    "websocket-multiplex": "multiplex_client.js",
}
"""npm's clients, each with its file for browsers."""

for file in PAGES.rglob("*.*"):
    name = file.relative_to(PAGES).as_posix()
    path = {"index.html": "/", "chat.html": "/chat"}.get(name, f"/{name}")
    server.asset(path, file.read_bytes(), f"{TYPES[file.suffix]}; charset=utf-8")


def way_in() -> dict[str, Any]:
    """How the pages reach the chat: what is configured, so that they need not know."""
    return {
        "adapter": server.adapter.name,
        "endpoints": [
            {"path": one.path, "protocol": protocol_of(one), "dialect": one.dialect}
            for one in server.settings.endpoints
        ],
        "carries": {name: carries(name) for name in installed("protocol")},
        "dialects": installed("dialect"),
        "node": which("node") is not None,
        "clients": sorted(file.stem for file in PAGES.glob("clients/*.js")),
        "libraries": libraries(),
    }


def carries(protocol: str) -> bool:
    """Whether the adapter in use can."""
    can = server.adapter.capabilities
    return protocol in can.sessions or all(
        getattr(can, need) for need in look_up("protocol", protocol).needs
    )


def libraries() -> dict[str, dict[str, str]]:
    """The scripts of npm's clients that are there, with the version."""
    found: dict[str, dict[str, str]] = {}
    for name, script in LIBRARIES.items():
        home = package(name)
        if home is not None and (home / script).is_file():
            server.asset(f"/npm/{name}.js", (home / script).read_bytes(), "text/javascript")
            found[name] = {"path": f"npm/{name}.js", "version": version_of(home)}
    for one in server.settings.endpoints:
        if one.options.get("client"):  # a library that was built for this endpoint, which has it
            path = f"{one.path.strip('/')}/{one.dialect}.js"
            found[one.dialect] = {"path": path, "version": version_of(package(one.dialect))}
    return found


def package(name: str) -> Path | None:
    """The folder of an npm package, where Node would look for it."""
    folders = [Path(name) for name in os.environ.get("NODE_PATH", "").split(os.pathsep) if name]
    folders += [folder / "node_modules" for folder in (Path.cwd(), *Path.cwd().parents)]
    return next((home for home in (one / name for one in folders) if home.is_dir()), None)


def version_of(home: Path | None) -> str:
    facts = {} if home is None else msgspec.json.decode((home / "package.json").read_bytes())
    return str(facts.get("version", ""))


def protocol_of(endpoint: Endpoint) -> str:
    """What the endpoint speaks; where it does not say so, what the adapter brings."""
    own = server.adapter.capabilities.sessions
    return endpoint.protocol or (own[0] if own else "websocket")


def transport_of(spark: Spark) -> str:
    """How somebody is connected, as the server sees it: ``sockjs/xhr-streaming``, or
    ``engineio/polling→websocket`` for one that went over.
    """
    first, now = spark.state.setdefault("came by", spark.transport), spark.transport
    dialect = spark.endpoint.dialect
    names = [] if dialect == "plain" else [dialect]
    names += [protocol_of(spark.endpoint), now if first == now else f"{first}→{now}"]
    return "/".join(dict.fromkeys(names))


# The chat.


@server.on_open
@channel.on_open
def enter(spark: Spark) -> None:
    tell(
        spark,
        "welcome",
        adapter=server.adapter.name,
        transport=transport_of(spark),
        backend=server.settings.backend,
        version=__version__,
        people=sorted(other.state["name"] for other in people.values()),
        transports={other.state["name"]: transport_of(other) for other in people.values()},
        rooms=directory(),
        figures=feed.figures(),
    )
    query = spark.handshake.query
    if "name" in query:  # a command such as curl says hello by its URL
        try:
            hello(spark, msgspec.convert(query["name"], Label), token_urlsafe(16))
            join(spark, msgspec.convert(query.get("room", "lobby"), Label))
        except (EventError, LimitExceeded, msgspec.ValidationError) as error:
            spark.close_nowait(4500, str(error))


@server.on_close
@channel.on_close
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
    number, transport = spark.state["number"], transport_of(spark)
    facts = {"name": name, "number": number, "transport": transport}
    tell(spark, "named", **facts, you=True)
    tell(everyone - spark, "named", **facts, you=False)


@command("join")
def join(spark: Spark, room: Label) -> None:
    check_label(room)
    name_of(spark)
    rooms.join(spark, room)


@command("leave")
def leave(spark: Spark, room: Label) -> None:
    rooms.leave(spark, check_member(spark, room))


@command("say")
def say(spark: Spark, room: Label, text: Text, id: Id | None = None) -> None:
    """To everyone in a room. The id comes back, so the sender knows that it got through."""
    tell(rooms[check_member(spark, room)], "said", room=room, **message(spark, text, id))


@command("whisper")
def whisper(spark: Spark, to: Label, text: Text, id: Id | None = None) -> None:
    """To one person."""
    said, other = message(spark, text, id), people.get(fold(to))
    if other is None:
        raise EventError("gone", f"{to} is not here")
    tell(spark | other, "whispered", to=other.state["name"], **said)


def message(spark: Spark, text: str, id: str | None) -> dict[str, Any]:
    facts = {"name": name_of(spark), "transport": transport_of(spark)}
    return {**facts, "text": text, "id": id, "at": time()}


@command("typing")
def typing(spark: Spark, room: Label) -> None:
    others = rooms[check_member(spark, room)] - spark
    tell(others, "typing", Overflow.DROP_NEWEST, room=room, name=name_of(spark))


@rooms.on_join
def joined(spark: Spark, room: str) -> None:
    tell(everyone, "joined", room=room, name=spark.state["name"])


@rooms.on_leave
def left(spark: Spark, room: str) -> None:
    tell(everyone, "left", room=room, name=spark.state["name"])


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
