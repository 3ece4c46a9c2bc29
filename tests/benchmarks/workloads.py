"""What is done to a server, and what is measured meanwhile."""

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from .load import Load
from .polling import HttpSession
from .sides import Process, busy_seconds, load_core, server_core
from .wires import Wire, frame, reply_size

__all__ = [
    "Broadcast",
    "Churn",
    "Echo",
    "Idle",
    "Membership",
    "OverHttp",
    "Pauses",
    "Place",
    "Rooms",
    "Sample",
    "Steady",
    "Workload",
]

VISITORS = 10
"""Clients that come at a time."""


@dataclass(frozen=True)
class Place:
    """Where to measure.

    :ivar path: where the side wants to be spoken to; else `None`
    :ivar seconds: how long to measure
    :ivar warmup: seconds before that
    :ivar many: as many connections as there may be at a time
    """

    process: Process
    wire: Wire
    path: str | None
    load: Load
    seconds: float
    warmup: float
    many: int


@dataclass(frozen=True)
class Sample:
    """One measurement.

    :ivar cost: what an operation costs, in the unit of its row
    :ivar beside: what is shown beside it: operations a second, most often
    :ivar load_us: microseconds of the load's CPU for an operation
    :ivar busy: the part of the time that the load's core was busy with it
    :ivar others: the part of both cores that neither server nor load had
    """

    cost: float
    beside: float | None = None
    load_us: float | None = None
    busy: float | None = None
    others: float | None = None


class Workload(ABC):
    @abstractmethod
    def __call__(self, place: Place) -> Sample:
        """Measure once."""


def timed(place: Place, work: Callable[[float], int]) -> Sample:
    """Have work done until a moment, and say what each of its operations has cost the server."""
    if place.warmup:
        work(time.perf_counter() + place.warmup)
    busy_before = busy_seconds()
    before, mine, start = place.process.cpu(), time.thread_time(), time.perf_counter()
    operations = work(start + place.seconds)
    seconds, mine = time.perf_counter() - start, time.thread_time() - mine
    spent = place.process.cpu() - before
    others = busy_seconds() - busy_before - spent - mine
    return Sample(
        cost=spent / operations * 1e6,
        beside=operations / seconds,
        load_us=mine / operations * 1e6,
        busy=mine / seconds,
        others=max(0.0, others) / (seconds * len(server_core | load_core)),
    )


@dataclass(frozen=True)
class Echo(Workload):
    """Each connection has so many messages under way."""

    connections: int
    depth: int = 1
    size: int = 128

    def __call__(self, place: Place) -> Sample:
        path = place.path or "/echo"
        message, reply = place.wire.message(path, self.size), place.wire.reply(path, self.size)
        with place.wire.sessions(place.process.port, path, self.connections) as clients:
            return timed(
                place,
                lambda until: place.load.closed(clients, message, self.depth, reply, until),
            )


@dataclass(frozen=True)
class Broadcast(Workload):
    """One sends so many messages at once; when all have got them, again. For each delivery."""

    members: int
    under_way: int = 1
    size: int = 128

    def __call__(self, place: Place) -> Sample:
        path = "/broadcast"
        messages = place.wire.message(path, self.size) * self.under_way
        deliveries = self.members * self.under_way
        size = deliveries * place.wire.reply(path, self.size)
        with place.wire.sessions(place.process.port, path, self.members) as clients:
            source = [(clients[0], messages)]
            return timed(
                place,
                lambda until: deliveries * place.load.lockstep(source, clients, size, until),
            )


class Churn(Workload):
    """Clients connect and close, a few at a time."""

    def __call__(self, place: Place) -> Sample:
        port = place.process.port
        return timed(
            place,
            lambda until: place.load.churn(port, place.wire.visit(port, "/echo"), VISITORS, until),
        )


@dataclass(frozen=True)
class OverHttp(Workload):
    """So many sessions without WebSocket, each with one message under way."""

    kind: type[HttpSession]
    number: int = 20
    size: int = 128

    def __call__(self, place: Place) -> Sample:
        opened: list[HttpSession] = []
        try:
            opened.extend(self.kind(place.process.port, self.size) for _ in range(self.number))
            size = sum(session.echo() for session in opened)
            sinks = [each for session in opened for each in session.sockets]
            sources = [each for session in opened for each in session.sends if each[1]]
            for sink in sinks:
                sink.setblocking(False)
            return timed(
                place,
                lambda until: self.number * place.load.lockstep(sources, sinks, size, until),
            )
        finally:
            for session in opened:
                for each in session.sockets:
                    each.close()


@dataclass(frozen=True)
class Steady(Workload):
    """Messages at planned moments, whatever is answered: the median and p99 of the round trips, in
    microseconds. The load never sleeps, so that it is never late.
    """

    rate: int = 3000
    connections: int = 100
    size: int = 128

    def __call__(self, place: Place) -> Sample:
        path = "/echo"
        message, reply = place.wire.message(path, self.size), place.wire.reply(path, self.size)
        with place.wire.sessions(place.process.port, path, self.connections) as clients:

            def run(seconds: float) -> list[float]:
                until = time.perf_counter() + seconds
                return [*place.load.paced(clients, message, reply, self.rate, until)]

            run(place.warmup)
            trips = run(4 * place.seconds)
        cuts = statistics.quantiles(trips, n=100)
        return Sample(cuts[49] * 1e6, cuts[98] * 1e6)


class Idle(Workload):
    """KiB of private memory for each idle connection, after one message each."""

    def __call__(self, place: Place) -> Sample:
        message, reply = place.wire.message("/echo", 128), place.wire.reply("/echo", 128)
        port = place.process.port
        with place.wire.sessions(port, "/echo", 50) as clients:
            place.load.closed(clients, message, 1, reply, 0)
        before = place.process.private_bytes()
        with place.wire.sessions(port, "/echo", place.many) as clients:
            place.load.closed(clients, message, 1, reply, 0)
            after = place.process.private_bytes()
        return Sample((after - before) / place.many / 1024)


@dataclass(frozen=True)
class Membership(Workload):
    """Bytes of private memory for each of many who enter one room.

    :ivar rooms: how many each is in before
    """

    rooms: int = 0

    def __call__(self, place: Place) -> Sample:
        with place.wire.sessions(place.process.port, "/rooms", place.many) as clients:

            def enter(name: str) -> int:
                order = frame(f"all {name}".encode())
                place.load.closed(clients[:1], order, 1, reply_size("done"), 0)
                return place.process.private_bytes()

            before = place.process.private_bytes()
            for number in range(self.rooms):
                before = enter(f"room {number}")
            return Sample((enter("one more") - before) / place.many)


class Pauses(Workload):
    """Milliseconds of the longest garbage collection with many connections, after they have come;
    messages make garbage, and visitors too.
    """

    TURNS = 4

    def __call__(self, place: Place) -> Sample:
        path, port, load = "/history", place.process.port, place.load
        message, reply = place.wire.message(path, 128), place.wire.reply(path, 128)
        with place.wire.sessions(port, path, place.many) as clients:
            load.closed(clients, message, 1, reply, 0)
            place.process.pauses()
            for _ in range(self.TURNS):
                load.closed(clients, message, 1, reply, time.perf_counter() + 2 * place.seconds)
                until = time.perf_counter() + place.seconds
                load.churn(port, place.wire.visit(port, path), VISITORS, until)
            seen = place.process.pauses()
        return Sample(seen["longest"] * 1e3, seen["full"])


@dataclass(frozen=True)
class Rooms(Workload):
    """A hundred talk in one room, one of them at a time; all other rooms are silent. For each
    delivery.

    :ivar rooms: how many there are, with one member each but for the one that talks
    """

    rooms: int
    members: int = 100

    def __call__(self, place: Place) -> Sample:
        port, wire, load = place.process.port, place.wire, place.load
        with wire.sessions(port, "/rooms", self.members + self.rooms - 1) as clients:
            members = clients[: self.members]
            orders = [(each, "talk") for each in members]
            orders += [(each, f"r{n}") for n, each in enumerate(clients[self.members :])]
            sends = [(each, frame(f"one {name}".encode())) for each, name in orders]
            load.lockstep(sends, clients, reply_size("done") * len(clients), 0)
            source = [(clients[0], wire.message("/rooms", 128))]
            size = self.members * wire.reply("/rooms", 128)
            return timed(
                place,
                lambda until: self.members * load.lockstep(source, members, size, until),
            )
