"""What is compared with what, and the goals. Each row is a workload on some sides."""

from collections.abc import Sequence
from dataclasses import dataclass

from .goals import Bound, Goal
from .polling import EngineioPolling, SockjsPolling, SockjsStreaming
from .sides import LIMIT, Side, bare, npm, python_socketio, unisock
from .wires import ENGINEIO, PLAIN, PRIMUS, RAW_SOCKJS, SOCKETIO, SOCKJS, Wire
from .workloads import (
    Broadcast,
    Churn,
    Echo,
    Idle,
    Membership,
    OverHttp,
    Pauses,
    Steady,
    Workload,
)

__all__ = ["ADAPTERS", "EMULATED_ON", "Part", "Row", "parts"]

ADAPTERS = ("websockets", "tornado", "aiohttp", "asgi", "picows", "sockjs-tornado")
EMULATED_ON = ("picows", "aiohttp", "tornado", "asgi")
BARE_GOAL = {"websockets", "tornado", "aiohttp", "asgi"}


@dataclass(frozen=True)
class Row:
    """A workload on some sides.

    :ivar goals: of the sides of ours
    :ivar wire: how to speak to sides that have no way of their own
    :ivar unit: of the cost
    :ivar fresh: each measurement gets a new server
    :ivar rounds: at most so many
    :ivar watched: the servers watch their garbage collection
    """

    name: str
    work: Workload
    sides: Sequence[Side]
    goals: Sequence[Goal | Bound] = ()
    wire: Wire = PLAIN
    unit: str = "µs"
    fresh: bool = False
    rounds: int | None = None
    watched: bool = False


@dataclass(frozen=True)
class Part:
    """A table.

    :ivar name: for `--only`
    :ivar beside: the heading of what stands beside the cost
    """

    name: str
    title: str
    rows: Sequence[Row]
    cost: str = "CPU"
    beside: str = "/s"


OURS = unisock()
LEAN = unisock(name="unisock, lean = true", settings=("options.picows.lean=true",))
FROZEN = unisock(name="unisock, freeze = true", settings=("freeze=true",))
ASYNC = unisock(name="unisock, async handler", path="/async")
PICOWS = bare("picows")
WS = npm("ws")


def parts(adapters: Sequence[str] = (), emulated_on: Sequence[str] = EMULATED_ON) -> list[Part]:
    """All tables.

    :param adapters: only these, where adapters are compared; all unless given
    """
    return [
        _websocket(),
        _socketio(),
        _primus(),
        _sockjs([one for one in emulated_on if one in (adapters or emulated_on)]),
        _engineio([one for one in emulated_on if one in (adapters or emulated_on)]),
        _adapters([one for one in ADAPTERS if one in (adapters or ADAPTERS)]),
        _memory(),
        _pauses(),
        _latency(),
    ]


def _websocket() -> Part:
    peer = python_socketio()
    inline = Goal("unisock", 1.5, ours=ASYNC.name)
    return Part(
        "websocket",
        "WebSocket: unisock on picows, the fastest of its adapters",
        [
            Row(
                "echo, 100 connections",
                Echo(100),
                [OURS, ASYNC, PICOWS, WS, peer, LIMIT],
                [Goal(PICOWS.name, 1.10), Goal(WS.name, 0.45), Goal(peer.name, 1 / 18), inline],
            ),
            Row(
                "echo, 16 under way on each",
                Echo(100, depth=16),
                [OURS, ASYNC, PICOWS, WS, peer, LIMIT],
                [Goal(PICOWS.name, 0.45), Goal(WS.name, 0.30), Goal(peer.name, 1 / 40), inline],
            ),
            Row(
                "echo of 16 KiB, 20 connections",
                Echo(20, size=16384),
                [OURS, PICOWS, WS, LIMIT],
                [Goal(PICOWS.name, 1.05)],
            ),
            Row(
                "broadcast to 1000",
                Broadcast(1000),
                [OURS, PICOWS, WS, peer, LIMIT],
                [Goal(PICOWS.name, 1.0), Goal(WS.name, 0.4), Goal(peer.name, 1 / 16)],
            ),
            Row(
                "broadcast to 1000, four under way",
                Broadcast(1000, under_way=4),
                [OURS, PICOWS, WS, LIMIT],
                [Goal(PICOWS.name, 0.25), Goal(LIMIT.name, 1.2)],
            ),
            Row(
                "connect and close",
                Churn(),
                [OURS, PICOWS, WS, peer, LIMIT],
                [Goal(PICOWS.name, 0.8), Goal(WS.name, 0.5), Goal(peer.name, 1 / 12)],
            ),
        ],
    )


def _socketio() -> Part:
    ours, theirs, peer = unisock(app="socketio"), npm("socket.io"), python_socketio()
    goals = [Goal(theirs.name, 0.3), Goal(peer.name, 1 / 12)]
    sides = [ours, theirs, peer]
    return Part(
        "socketio",
        "Socket.IO over WebSocket",
        [
            Row("echo of an event, 100 clients", Echo(100), sides, goals, SOCKETIO),
            Row("the same, 16 under way on each", Echo(100, depth=16), sides, wire=SOCKETIO),
            Row(
                "an event to 1000",
                Broadcast(1000),
                sides,
                [Goal(theirs.name, 0.3), Goal(peer.name, 1 / 15)],
                SOCKETIO,
            ),
        ],
    )


def _primus() -> Part:
    ours, theirs = unisock(app="primus"), npm("primus")
    goals = [Goal(theirs.name, 0.4)]
    sides = [ours, theirs]
    return Part(
        "primus",
        "Primus over WebSocket",
        [
            Row("echo, 100 clients", Echo(100), sides, goals, PRIMUS),
            Row("the same, 16 under way on each", Echo(100, depth=16), sides, wire=PRIMUS),
            Row("broadcast to 1000", Broadcast(1000), sides, goals, PRIMUS),
        ],
    )


def _sockjs(adapters: Sequence[str]) -> Part:
    peer, theirs = Side("sockjs-tornado", "python", ("sockjs-tornado",)), npm("sockjs")
    sides = [*(unisock(one, "sockjs", _named(one)) for one in adapters), peer, theirs]
    goals = [Goal(theirs.name, 0.4), Goal(peer.name, 1 / 6)] if "picows" in adapters else []
    return Part(
        "sockjs",
        "SockJS",
        [
            Row("WebSocket: echo, 100 sessions", Echo(100), sides, goals, SOCKJS),
            Row("WebSocket: the same, 16 under way", Echo(100, depth=16), sides, wire=SOCKJS),
            Row("WebSocket: broadcast to 1000", Broadcast(1000), sides, goals, SOCKJS),
            Row("xhr-streaming: echo, 20 sessions", OverHttp(SockjsStreaming), sides),
            Row("xhr-polling: echo, 20 sessions", OverHttp(SockjsPolling), sides),
        ],
    )


def _engineio(adapters: Sequence[str]) -> Part:
    peer, theirs = Side("python-engineio", "python", ("python-engineio",)), npm("engine.io")
    sides = [*(unisock(one, "engineio", _named(one)) for one in adapters), peer, theirs]
    return Part(
        "engineio",
        "Engine.IO",
        [
            Row("WebSocket: echo, 100 sessions", Echo(100), sides, wire=ENGINEIO),
            Row("WebSocket: the same, 16 under way", Echo(100, depth=16), sides, wire=ENGINEIO),
            Row("WebSocket: broadcast to 1000", Broadcast(1000), sides, wire=ENGINEIO),
            Row("polling: echo, 20 sessions", OverHttp(EngineioPolling), sides),
        ],
    )


def _named(adapter: str) -> str:
    return "unisock" if adapter == "picows" else f"unisock on {adapter}"


def _adapters(adapters: Sequence[str]) -> Part:
    return Part(
        "adapters",
        "Each adapter, and its driver by itself",
        [row for adapter in adapters for row in _against_driver(adapter)],
    )


def _against_driver(adapter: str) -> list[Row]:
    ours, theirs = unisock(adapter), bare(adapter)
    wire = RAW_SOCKJS if adapter == "sockjs-tornado" else PLAIN
    held = adapter in BARE_GOAL
    alone = [Goal(theirs.name, 1.05)] if held else []
    many = [Goal(theirs.name, 1.0)] if held else []
    works: list[tuple[str, Workload, list[Goal]]] = [
        ("echo, 1 connection", Echo(1), []),
        ("echo, 100 connections", Echo(100), alone),
        ("echo, 16 under way on each", Echo(100, depth=16), many),
        ("broadcast to 1000", Broadcast(1000), many),
        ("connect and close", Churn(), []),
    ]
    rows = [
        Row(f"{adapter}: {name}", work, [ours, theirs], goals, wire) for name, work, goals in works
    ]
    idle = Row(
        f"{adapter}: an idle connection",
        Idle(),
        [ours, theirs],
        wire=wire,
        unit="KiB",
        fresh=True,
        rounds=1,
    )
    return [*rows, idle]


def _memory() -> Part:
    settings = {"unit": "B", "fresh": True, "rounds": 3}
    goals = [Bound(200)]
    return Part(
        "memory",
        "Memory",
        [
            Row(
                "an idle connection",
                Idle(),
                [OURS, LEAN, PICOWS, WS],
                [Goal(WS.name, 1.0), Bound(4, stretch=True)],
                unit="KiB",
                fresh=True,
                rounds=3,
            ),
            Row("its first room", Membership(), [OURS], goals, **settings),
            Row("its second room", Membership(1), [OURS], goals, **settings),
            Row("its tenth room", Membership(9), [OURS], goals, **settings),
        ],
        cost="memory",
        beside="",
    )


def _pauses() -> Part:
    return Part(
        "pauses",
        "The longest garbage collection, once all connections are open",
        [
            Row(
                "messages and visitors",
                Pauses(),
                [FROZEN, OURS, PICOWS],
                [Bound(20, ours=FROZEN.name)],
                unit="ms",
                fresh=True,
                rounds=3,
                watched=True,
            )
        ],
        cost="CPU",
        beside="full ones",
    )


def _latency() -> Part:
    return Part(
        "latency",
        "Round trips at a steady 3000 messages a second over 100 connections",
        [
            Row(
                "round trip",
                Steady(),
                [OURS, PICOWS, WS],
                [Goal(PICOWS.name, 1.1), Goal(WS.name, 1.0)],
            )
        ],
        cost="p50",
        beside="p99, µs",
    )
