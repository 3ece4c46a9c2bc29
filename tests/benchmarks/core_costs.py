"""What the core alone costs: in process, without a socket, the least of many repeats.

Each function returns the seconds of an operation, and takes a fraction of a second. They run event
loops of their own: call them where none runs.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import repeat

import anyio

from unisock import Server, Spark
from unisock.abc import Upgrade
from unisock.connection import LOST, BufferedConnection
from unisock.exchange import Request
from unisock.framing import TEXT_AND_BINARY
from unisock.handshake import Address, Handshake
from unisock.memory import MemoryAdapter
from unisock.messages import Close, Message
from unisock_rooms import Rooms

from .goals import within

__all__ = ["COSTS", "judged"]

TEXT = "x" * 128
MEMBERS = 1000
TURNS = 1000
REPEATS = 200
TRIES = 20
"""Another process may have had the core, or half of it, during a whole measurement."""
WHERE = Address("127.0.0.1", 1)

Task = Callable[[], float]


class _Void(BufferedConnection):
    """A connection whose driver takes all, and does nothing with it."""

    __slots__ = ()

    def transmit(self, frame: Message) -> None:
        """Nobody is there."""

    def shut(self, close: Close) -> None:
        self.ended(close)

    def abort(self) -> None:
        self.ended(LOST)

    def pause_reading(self) -> None:
        """Nothing comes that is not wanted."""

    def resume_reading(self) -> None:
        """Nothing was paused."""


class _House:
    """A server with connections, most of them in the room ``all``."""

    def __init__(self, rooms: Rooms | None) -> None:
        self.rooms = rooms
        self.connections: list[_Void] = []
        plugins = [] if rooms is None else [rooms]
        self.server = Server(adapter=MemoryAdapter(), folder=None, plugins=plugins)
        self.server.endpoint("/ws", codec="raw").on_message(_hear)
        if rooms is not None:
            self.server.on_open(lambda spark: _enter(rooms, spark))

    async def let_in(self, number: int) -> None:
        for _ in range(number):
            request = Request(Handshake(target="/ws", headers=(), peer=WHERE), upgrade=True)
            answer = await self.server.gateway.answer(request)
            assert isinstance(answer, Upgrade)
            connection = _Void(answer.gate, answer.handshake, TEXT_AND_BINARY)
            self.connections.append(connection)
            answer.open(connection)


def _enter(rooms: Rooms, spark: Spark) -> None:
    rooms.join(spark, "all")


def _hear(spark: Spark, message: object) -> None:
    """The application's handler."""


def least(work: Callable[[], object], turns: int) -> float:
    """The seconds of one call, in the best of many repeats."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in repeat(None, turns):
            work()
        best = min(best, time.perf_counter() - start)
    return best / turns


def _within(rooms: Rooms | None, number: int, measure: Callable[[_House], float]) -> float:
    async def run() -> float:
        house = _House(rooms)
        async with house.server:
            await house.let_in(number)
            return measure(house)

    return anyio.run(run)


def dispatch() -> float:
    """One message, from the driver's callback to a plain handler, with the raw codec."""
    return _within(None, 1, _dispatch)


def _dispatch(house: _House) -> float:
    receiver = house.connections[0].receiver
    return least(partial(receiver.on_message, TEXT), TURNS)


def broadcast_member() -> float:
    """One member of a broadcast to a room of 1000, above the driver's write."""
    return _within(Rooms(), MEMBERS, _broadcast)


def _broadcast(house: _House) -> float:
    assert house.rooms is not None
    whole = least(partial(house.rooms["all"].send_nowait, TEXT), 1)
    writes = [connection.transmit for connection in house.connections]

    def write() -> None:
        for transmit in writes:
            transmit(TEXT)

    return (whole - least(write, 1)) / MEMBERS


def idle_plugin() -> float:
    """What a message costs more with a plugin that it does not concern: `Rooms`, and its sender is
    in one. With and without take turns, so that a slow moment hits both.
    """
    alone, there = float("inf"), float("inf")
    for _ in range(3):
        alone = min(alone, dispatch())
        there = min(there, _within(Rooms(), 1, _dispatch))
    return max(0.0, there - alone)


COSTS: dict[str, tuple[Task, float]] = {
    "dispatch of one message": (dispatch, 0.5e-6),
    "one member of a broadcast, above the write": (broadcast_member, 0.3e-6),
    "an idle plugin, for each message": (idle_plugin, 0.02e-6),
}
"""By name: how to measure it, and the most that it may cost. Nothing is 20 ns here: less cannot be
told from noise.
"""


def judged(name: str) -> tuple[float, bool]:
    """The seconds that this costs, and whether that is within its goal: measured again while it is
    not, for so many tries.
    """
    measure, most = COSTS[name]
    best = float("inf")
    for _ in range(TRIES):
        best = min(best, measure())
        if within(best * 1e6, most * 1e6):
            return best, True
    return best, False
