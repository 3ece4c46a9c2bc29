"""The load: raw sockets in one epoll loop. It counts bytes and parses nothing, so that the server
is the bottleneck, not this.
"""

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n"
)
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"  # 1000, with a mask of zeros
PATIENCE = 20.0


def frame(size: int) -> bytes:
    """A text message as a client sends it; the mask is zeros (RFC 6455 section 5.3)."""
    payload = b"x" * size
    if size < 126:
        header = bytes([0x81, 0x80 | size])
    elif size < 65536:
        header = b"\x81\xfe" + size.to_bytes(2, "big")
    else:
        header = b"\x81\xff" + size.to_bytes(8, "big")
    return header + bytes(4) + payload


def reply_size(size: int) -> int:
    """The same message as a server sends it: no mask."""
    return len(frame(size)) - 4


def connect(port: int, path: str) -> socket.socket:
    """An open WebSocket."""
    client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(REQUEST.format(path=path, port=port).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = client.recv(4096)
        if not chunk:
            raise ConnectionError(f"refused: {head!r}")
        head += chunk
    if not head.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(head.decode())
    client.setblocking(False)
    return client


@contextmanager
def clients(port: int, path: str, number: int) -> Iterator[list[socket.socket]]:
    """So many open WebSockets."""
    opened: list[socket.socket] = []
    try:
        opened.extend(connect(port, path) for _ in range(number))
        yield opened
    finally:
        for client in opened:
            client.close()


def cpu(pid: int) -> float:
    """The seconds of CPU that a process has used with all its threads, to the nanosecond."""
    spent = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in spent) / 1e9


def private_bytes(pid: int) -> int:
    """The memory that a process shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


@dataclass(frozen=True)
class Result:
    """So many operations in so many seconds, and what the server's CPU was busy for it."""

    operations: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return self.operations / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / self.operations * 1e6


def measure(pid: int, work: Callable[[float], int], seconds: float) -> Result:
    """Run work for some seconds; it is told when to end, and returns the operations done."""
    before, start = cpu(pid), time.perf_counter()
    operations = work(start + seconds)
    return Result(operations, time.perf_counter() - start, cpu(pid) - before)


def echo(opened: list[socket.socket], depth: int, size: int, until: float) -> int:
    """Keep ``depth`` messages under way on each connection; the number that came back."""
    message, reply = frame(size), reply_size(size)
    poll = select.epoll()
    by_number = {client.fileno(): client for client in opened}
    partial = dict.fromkeys(by_number, 0)
    for number, client in by_number.items():
        poll.register(number, select.EPOLLIN)
        client.sendall(message * depth)
    done, running, missing = 0, True, len(opened) * depth
    while missing:
        events = poll.poll(PATIENCE)
        if not events:
            raise TimeoutError("the server has stopped answering")
        running = running and time.perf_counter() < until
        for number, _ in events:
            client = by_number[number]
            received = partial[number] + len(client.recv(262_144))
            whole, partial[number] = divmod(received, reply)
            done += whole
            if running and whole:
                client.sendall(message * whole)
            else:
                missing -= whole
    poll.close()
    return done


def broadcast(opened: list[socket.socket], depth: int, size: int, until: float) -> int:
    """One client sends, all receive, and so on; the number of deliveries."""
    message, reply = frame(size), reply_size(size)
    poll = select.epoll()
    by_number = {client.fileno(): client for client in opened}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    done = 0
    while time.perf_counter() < until:
        opened[0].sendall(message * depth)
        missing = len(opened) * reply * depth
        while missing:
            events = poll.poll(PATIENCE)
            if not events:
                raise TimeoutError("the server has stopped sending")
            for number, _ in events:
                missing -= len(by_number[number].recv(262_144))
        done += len(opened) * depth
    poll.close()
    return done


def churn(port: int, path: str, until: float) -> int:
    """Connect and close, one after the other; how often."""
    done = 0
    while time.perf_counter() < until:
        client = connect(port, path)
        client.settimeout(PATIENCE)
        client.sendall(CLOSE)
        while client.recv(4096):
            pass
        client.close()
        done += 1
    return done
