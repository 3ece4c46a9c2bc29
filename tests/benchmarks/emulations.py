"""Compares the protocol sockjs on the tornado adapter with sockjs-tornado, in one run.

    python tests/benchmarks/emulations.py --rounds 5 --seconds 1

Messages are in SockJS packets on both sides. As in ``make bench``, server and load each have a core
of their own, rounds are interleaved, and ratios are medians over pairs of the same round.
"""

import argparse
import itertools
import logging
import os
import random
import runpy
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import load
import servers
from load import PATIENCE, Result
from rich.console import Console
from rich.table import Table

SIZE = 128
HERE = Path(__file__).parent
SIDES = {
    "sockjs-tornado": [str(HERE / "servers.py"), "bare", "sockjs-tornado"],
    "unisock": [__file__, "serve"],
}
Work = Callable[[int, int, float], Result]

MESSAGE = '["' + "x" * SIZE + '"]'
REPLY_BYTES = SIZE + 5  # a["…"]
numbers = itertools.count()


async def serve() -> None:
    """The echo example, its endpoints SockJS on tornado."""
    server = runpy.run_path(str(servers.EXAMPLES / "echo.py"))["server"]
    endpoints = [
        {"path": path, "protocol": "sockjs", "codec": "raw"} for path in ("/echo", "/broadcast")
    ]
    server.override(
        "benchmark", {"adapter": "tornado", "listen": {"port": 0}, "endpoints": endpoints}
    )
    async with anyio.create_task_group() as group:
        addresses = await group.start(server.serve)
        servers.announce(addresses[0].port)


def client_frame(text: str) -> bytes:
    """A text message as a client sends it; the mask is zeros."""
    size = len(text)
    assert 126 <= size < 65536
    return b"\x81\xfe" + size.to_bytes(2, "big") + bytes(4) + text.encode()


@contextmanager
def websockets(port: int, path: str, number: int) -> Iterator[list[socket.socket]]:
    """So many open sessions over WebSocket."""
    opened: list[socket.socket] = []
    try:
        for _ in range(number):
            client = load.connect(port, f"{path}/000/s{next(numbers)}/websocket")
            opened.append(client)
        swallow(opened)
        yield opened
    finally:
        for client in opened:
            client.close()


def swallow(opened: list[socket.socket]) -> None:
    """Read what the server says when sessions open."""
    time.sleep(0.2)
    for side in opened:
        side.setblocking(False)
        with suppress(BlockingIOError):
            while side.recv(262_144):
                pass


def flow(
    sources: list[socket.socket], sinks: list[socket.socket], each: int, depth: int, until: float
) -> int:
    """When all that the sources sent has come back, send the next; the number of deliveries.

    :param each: deliveries for each message
    :param depth: messages that a source sends at once
    """
    poll = select.epoll()
    by_number = {sink.fileno(): sink for sink in sinks}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    done = 0
    messages = client_frame(MESSAGE) * depth
    while time.perf_counter() < until:
        for source in sources:
            source.sendall(messages)
        missing = len(sources) * each * depth * (REPLY_BYTES + 4)
        while missing > 0:
            events = poll.poll(PATIENCE)
            if not events:
                raise TimeoutError("the server has stopped answering")
            for number, _ in events:
                missing -= len(by_number[number].recv(262_144))
        done += len(sources) * each * depth
    poll.close()
    return done


def ws_echo(depth: int) -> Work:
    """Each session gets back what it sends, with so many messages under way."""

    def work(pid: int, port: int, seconds: float) -> Result:
        with websockets(port, "/echo", 100) as opened:

            def run(until: float) -> int:
                return flow(opened, opened, 1, depth, until)

            run(time.perf_counter() + 0.1)
            return load.measure(pid, run, seconds)

    return work


def ws_broadcast(pid: int, port: int, seconds: float) -> Result:
    with websockets(port, "/broadcast", 1000) as opened:

        def run(until: float) -> int:
            return flow(opened[:1], opened, len(opened), 1, until)

        run(time.perf_counter() + 0.1)
        return load.measure(pid, run, seconds)


class Session:
    """A session over HTTP: one connection to receive, one to send.

    :param receiver: the last part of the URL that it receives by
    """

    def __init__(self, port: int, receiver: str) -> None:
        base = f"/echo/000/s{next(numbers)}"
        self.down, self.up = (
            socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(2)
        )
        for side in (self.down, self.up):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ask = request(port, f"{base}/{receiver}", "")
        self.say = request(port, f"{base}/xhr_send", MESSAGE)


def request(port: int, path: str, body: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def settle(side: socket.socket) -> int:
    """The size of all that comes until nothing more does."""
    side.settimeout(PATIENCE)
    size = len(side.recv(262_144))
    side.settimeout(0.05)
    with suppress(TimeoutError):
        while piece := side.recv(262_144):
            size += len(piece)
    side.settimeout(PATIENCE)
    return size


@contextmanager
def sessions(port: int, receiver: str, number: int) -> Iterator[list[Session]]:
    opened: list[Session] = []
    try:
        for _ in range(number):
            session = Session(port, receiver)
            opened.append(session)
            session.down.sendall(session.ask)
            session.down.recv(16_384)
        swallow([session.down for session in opened])
        for session in opened:
            session.down.settimeout(PATIENCE)
        yield opened
    finally:
        for session in opened:
            session.down.close()
            session.up.close()


def http_echo(receiver: str, number: int) -> Work:
    """Each message is a POST, and with polling each reply another."""
    asks = receiver == "xhr"

    def work(pid: int, port: int, seconds: float) -> Result:
        with sessions(port, receiver, number) as opened:
            first = opened[0]
            if asks:
                first.down.sendall(first.ask)
            first.up.sendall(first.say)
            sizes = settle(first.down) + settle(first.up)
            assert sizes > SIZE, "no echo"
            everybody = [side for one in opened for side in (one.down, one.up)]

            def run(until: float) -> int:
                poll = select.epoll()
                by_number = {side.fileno(): side for side in everybody}
                for one in by_number:
                    poll.register(one, select.EPOLLIN)
                done = 0
                while time.perf_counter() < until:
                    for session in opened:
                        if asks:
                            session.down.sendall(session.ask)
                        session.up.sendall(session.say)
                    missing = sizes * len(opened)
                    while missing > 0:
                        events = poll.poll(PATIENCE)
                        if not events:
                            raise TimeoutError("the server has stopped answering")
                        for one, _ in events:
                            missing -= len(by_number[one].recv(262_144))
                    done += len(opened)
                poll.close()
                return done

            return load.measure(pid, run, seconds)

    return work


WORKLOADS: dict[str, Work] = {
    "websocket: echo, 100 sessions": ws_echo(1),
    "websocket: the same, 16 under way": ws_echo(16),
    "websocket: broadcast to 1000": ws_broadcast,
    "xhr-streaming: echo, 20 sessions": http_echo("xhr_streaming", 20),
    "xhr-polling: echo, 20 sessions": http_echo("xhr", 20),
}
cores = sorted(os.sched_getaffinity(0))


@contextmanager
def running(side: str) -> Iterator[tuple[int, int]]:
    process = subprocess.Popen([sys.executable, *SIDES[side]], stdout=subprocess.PIPE, text=True)
    try:
        if len(cores) > 1:
            os.sched_setaffinity(process.pid, {cores[0]})
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    options = parser.parse_args()
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[1:2]))
    results: dict[str, list[tuple[Result, Result]]] = {name: [] for name in WORKLOADS}
    for _ in range(options.rounds):
        for name, work in WORKLOADS.items():
            pair: dict[str, Result] = {}
            for side in random.sample([*SIDES], 2):
                with running(side) as (pid, port):
                    pair[side] = work(pid, port, options.seconds)
            results[name].append((pair["sockjs-tornado"], pair["unisock"]))
    Console().print(table(results))


def table(results: dict[str, list[tuple[Result, Result]]]) -> Table:
    drawn = Table(title=f"SockJS on tornado, {SIZE}-byte messages", title_justify="left")
    drawn.add_column("", min_width=34)
    for heading in ("sockjs-tornado µs", "unisock µs", "messages per CPU second"):
        drawn.add_column(heading, justify="right")
    for name, pairs in results.items():
        theirs, ours = (
            statistics.median(r.cpu_us for r in side) for side in zip(*pairs, strict=True)
        )
        more = statistics.median(their.cpu_us / our.cpu_us for their, our in pairs)
        drawn.add_row(name, f"{theirs:.1f}", f"{ours:.1f}", f"{more:.1f} times")
    return drawn


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        logging.disable(logging.CRITICAL)
        anyio.run(serve)
    else:
        main()
