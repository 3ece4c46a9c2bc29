"""The load's hot loops, on sockets that do not block. They count bytes and parse nothing.

`load` gives those of `load.c`, where there is a C compiler, and else those in Python.
"""

import select
import socket
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["PATIENCE", "Load", "LoadError", "PythonLoad", "Step"]

PATIENCE = 20.0
"""Seconds without an answer after which a server counts as stuck."""
READ = 262_144


class LoadError(Exception):
    """The server did not do what it was expected to."""


@dataclass(frozen=True)
class Step:
    """What a visitor sends, and what ends its waiting. The last step waits for the server to hang
    up.
    """

    send: bytes
    awaited: bytes = b""


class Load(ABC):
    """Every method works until a moment of `time.perf_counter`, and then waits for what is under
    way.
    """

    name = ""

    @abstractmethod
    def closed(
        self,
        clients: Sequence[socket.socket],
        message: bytes,
        depth: int,
        reply: int,
        until: float,
    ) -> int:
        """Each client has ``depth`` messages under way: what was answered is sent again at once.

        :param reply: bytes that answer a message
        :returns: the answers
        """

    @abstractmethod
    def lockstep(
        self,
        sources: Sequence[tuple[socket.socket, bytes]],
        sinks: Sequence[socket.socket],
        size: int,
        until: float,
    ) -> int:
        """All sources send; when all that was to come has come, again.

        :param size: bytes that come each time, to all sinks together
        :returns: how often; at least once
        """

    @abstractmethod
    def paced(
        self,
        clients: Sequence[socket.socket],
        message: bytes,
        reply: int,
        rate: float,
        until: float,
    ) -> Sequence[float]:
        """One client after the other sends at planned moments, whatever is answered.

        :param rate: messages a second, of all together
        :returns: the seconds of each round trip, counted from the planned moment
        """

    @abstractmethod
    def churn(self, port: int, steps: Sequence[Step], slots: int, until: float) -> int:
        """Visitors come, take their steps and go, so many at a time; returns how many did."""


class PythonLoad(Load):
    """In Python: slower than some of the servers, which the report then shows."""

    name = "Python"

    def closed(
        self,
        clients: Sequence[socket.socket],
        message: bytes,
        depth: int,
        reply: int,
        until: float,
    ) -> int:
        with _Poll(clients) as poll:
            partial = [0] * len(clients)
            for client in clients:
                _send(client, message * depth)
            done, running, missing = 0, True, len(clients) * depth
            while missing:
                ready = poll.wait()
                running = running and time.perf_counter() < until
                for index in ready:
                    whole, partial[index] = divmod(partial[index] + _read(clients[index]), reply)
                    done += whole
                    if running and whole:
                        _send(clients[index], message * whole)
                    else:
                        missing -= whole
            return done

    def lockstep(
        self,
        sources: Sequence[tuple[socket.socket, bytes]],
        sinks: Sequence[socket.socket],
        size: int,
        until: float,
    ) -> int:
        rounds = 0
        with _Poll(sinks) as poll:
            while not rounds or time.perf_counter() < until:
                for source, data in sources:
                    _send(source, data)
                missing = size
                while missing > 0:
                    missing -= sum(_read(sinks[index]) for index in poll.wait())
                if missing < 0:
                    raise LoadError("more came than was to come")
                rounds += 1
        return rounds

    def paced(
        self,
        clients: Sequence[socket.socket],
        message: bytes,
        reply: int,
        rate: float,
        until: float,
    ) -> Sequence[float]:
        due: list[deque[float]] = [deque() for _ in clients]
        partial = [0] * len(clients)
        trips: list[float] = []
        sent, start = 0, time.perf_counter()
        total = int((until - start) * rate) + 1 if until > start else 0
        now = heard = start
        with _Poll(clients) as poll:
            while len(trips) < total:
                planned = start + sent / rate
                if sent < total and planned <= now:
                    index = sent % len(clients)
                    due[index].append(planned)
                    _send(clients[index], message)
                    sent += 1
                ready = poll.look()
                now = time.perf_counter()
                for index in ready:
                    heard = now
                    whole, partial[index] = divmod(partial[index] + _read(clients[index]), reply)
                    trips += [now - due[index].popleft() for _ in range(whole)]
                if len(trips) < sent and now - heard > PATIENCE:
                    raise LoadError("the server has stopped answering")
        return trips

    def churn(self, port: int, steps: Sequence[Step], slots: int, until: float) -> int:
        done, running = 0, True
        poll = select.epoll()
        visitors: dict[int, _Visitor] = {}

        def come() -> None:
            visitor = _Visitor(port, steps)
            visitors[visitor.client.fileno()] = visitor
            poll.register(visitor.client, select.EPOLLIN)

        try:
            for _ in range(slots):
                come()
            while visitors:
                ready = poll.poll(PATIENCE)
                if not ready:
                    raise LoadError("the server has stopped answering")
                running = running and time.perf_counter() < until
                for number, _ in ready:
                    if not visitors[number].go_on():
                        continue
                    poll.unregister(number)
                    visitors.pop(number).client.close()
                    done += 1
                    if running:
                        come()
        finally:
            poll.close()
            for visitor in visitors.values():
                visitor.client.close()
        return done


class _Poll:
    """Says by index which sockets can be read."""

    def __init__(self, clients: Sequence[socket.socket]) -> None:
        self._poll = select.epoll()
        self._indexes = {client.fileno(): index for index, client in enumerate(clients)}
        for number in self._indexes:
            self._poll.register(number, select.EPOLLIN)

    def __enter__(self) -> "_Poll":
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()

    def look(self) -> list[int]:
        return [self._indexes[number] for number, _ in self._poll.poll(0)]

    def wait(self) -> list[int]:
        ready = self._poll.poll(PATIENCE)
        if not ready:
            raise LoadError("the server has stopped answering")
        return [self._indexes[number] for number, _ in ready]


@dataclass
class _Visitor:
    port: int
    steps: Sequence[Step]
    client: socket.socket = field(init=False)
    step: int = 0
    held: bytes = b""

    def __post_init__(self) -> None:
        self.client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client.sendall(self.steps[0].send)

    def go_on(self) -> bool:
        """Take what has come and do what is next; whether the server has hung up at the end."""
        last = len(self.steps) - 1
        try:
            data = self.client.recv(READ)
        except ConnectionResetError:
            data = b""
        if self.step == last:
            return not data
        if not data:
            raise LoadError(f"closed too early, behind {self.held!r}")
        self.held += data
        while self.step < last:
            _, found, rest = self.held.partition(self.steps[self.step].awaited)
            if not found:
                break
            self.held = rest
            self.step += 1
            if self.steps[self.step].send:
                self.client.sendall(self.steps[self.step].send)
        return False


def _read(client: socket.socket) -> int:
    """How many bytes have come."""
    try:
        data = client.recv(READ)
    except BlockingIOError:
        return 0
    if not data:
        raise LoadError("the server has hung up")
    return len(data)


def _send(client: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[client.send(left) :]
        except BlockingIOError:
            if not select.select([], [client], [], PATIENCE)[1]:
                raise LoadError("the server has stopped reading") from None
