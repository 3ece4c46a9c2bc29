"""Clients of SockJS and Engine.IO on raw sockets, as far as a load needs them.

Sessions are opened with care, each answer read to its end. Under load bytes are counted, and
nothing is parsed.
"""

import itertools
import json
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from load import PATIENCE, REQUEST, Result, measure

__all__ = ["PROTOCOLS", "SIZE", "Protocol", "Work"]

SIZE = 128
TEXT = "x" * SIZE
Work = Callable[[int, int, float], Result]

numbers = itertools.count()


class Wire:
    """A socket that is read piece by piece."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""
        self._taken = 0

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more()
        return self._take(self._read.index(end) + len(end))

    def exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        return self._take(size)

    def _more(self) -> None:
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionError(f"closed behind {self._read!r}")
        self._read += data

    def _take(self, size: int) -> bytes:
        taken, self._read = self._read[:size], self._read[size:]
        self._taken += size
        return taken

    def head(self) -> bytes:
        """A response's status line and headers."""
        return self.until(b"\r\n\r\n").lower()

    def body(self, head: bytes) -> bytes:
        """A whole response's body."""
        if head.startswith(b"http/1.1 204"):
            return b""
        if b"content-length: " in head:
            return self.exactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        body = b""
        while chunk := self.chunk():
            body += chunk
        return body

    def chunk(self) -> bytes:
        size = int(self.until(b"\r\n"), 16)
        return self.exactly(size + 2)[:-2]

    def frame(self) -> bytes:
        """The payload of a WebSocket frame."""
        first, size = self.exactly(2)
        assert first == 0x81, hex(first)
        if size >= 126:
            size = int.from_bytes(self.exactly(2 if size == 126 else 8), "big")
        return self.exactly(size)

    @property
    def taken(self) -> int:
        """Bytes that were taken since the last time that this was asked."""
        assert not self._read, self._read
        taken, self._taken = self._taken, 0
        return taken


class Session(ABC):
    """A session over HTTP: one connection to receive, one to send.

    :ivar ask: the request that receives; ``b""`` where one goes on
    :ivar say: the request that sends a message
    """

    ask = b""
    say = b""

    def __init__(self, port: int) -> None:
        self.port = port
        self.down, self.up = Wire(port), Wire(port)

    @abstractmethod
    def receive(self) -> bytes:
        """What is received next."""

    def request(self, method: str, target: str, body: str = "") -> bytes:
        return (
            f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def echo(self) -> int:
        """Send a message and receive it; the number of bytes that came."""
        self.down.send(self.ask)
        self.up.send(self.say)
        status = self.up.head()
        self.up.body(status)
        received = self.receive()
        assert status.startswith(b"http/1.1 20"), status
        assert TEXT.encode() in received, received
        return self.down.taken + self.up.taken


class SockjsPolling(Session):
    def __init__(self, port: int, receiver: str = "xhr") -> None:
        super().__init__(port)
        base = f"/echo/000/s{next(numbers)}"
        self.ask = self.request("POST", f"{base}/{receiver}")
        self.say = self.request("POST", f"{base}/xhr_send", f'["{TEXT}"]')
        self.down.send(self.ask)
        self.open()

    def open(self) -> None:
        assert self.receive() == b"o\n"
        assert self.down.taken

    def receive(self) -> bytes:
        return self.down.body(self.down.head())


class SockjsStreaming(SockjsPolling):
    def __init__(self, port: int) -> None:
        super().__init__(port, "xhr_streaming")
        self.ask = b""

    def open(self) -> None:
        self.down.head()
        prelude = b""
        while not prelude.endswith(b"h\no\n"):
            prelude += self.down.chunk()
        assert self.down.taken

    def receive(self) -> bytes:
        return self.down.chunk()


class EngineioPolling(Session):
    def __init__(self, port: int) -> None:
        super().__init__(port)
        target = "/echo/?EIO=4&transport=polling"
        self.down.send(self.request("GET", target))
        opened = self.receive()
        assert opened[:1] == b"0", opened
        target += f"&sid={json.loads(opened[1:])['sid']}"
        self.ask = self.request("GET", target)
        self.say = self.request("POST", target, f"4{TEXT}")
        assert self.down.taken

    def receive(self) -> bytes:
        return self.down.body(self.down.head())


class Protocol:
    """How a protocol's WebSockets speak.

    :ivar message: what a client sends
    :ivar reply: what a client gets
    """

    def __init__(self, message: str, reply: str, target: str, opening: bytes) -> None:
        self.message = message.encode()
        self.reply = reply.encode()
        self._target = target
        self._opening = opening

    def connect(self, port: int, path: str) -> socket.socket:
        """An open session, of which everything was read."""
        wire = Wire(port)
        target = self._target.format(path=path, number=next(numbers))
        wire.send(REQUEST.format(path=target, port=port).encode())
        head = wire.head()
        assert head.startswith(b"http/1.1 101"), head
        opened = wire.frame()
        assert opened[:1] == self._opening, opened
        assert wire.taken
        return wire.socket

    @contextmanager
    def sessions(self, port: int, path: str, number: int) -> Iterator[list[socket.socket]]:
        opened: list[socket.socket] = []
        try:
            opened.extend(self.connect(port, path) for _ in range(number))
            yield opened
        finally:
            for client in opened:
                client.close()

    @property
    def frame(self) -> bytes:
        """A message as a client sends it; the mask is zeros."""
        assert 126 <= len(self.message) < 65536
        return b"\x81\xfe" + len(self.message).to_bytes(2, "big") + bytes(4) + self.message

    @property
    def reply_bytes(self) -> int:
        return 4 + len(self.reply)


def flow(sinks: list[socket.socket], send: Callable[[], None], size: int, until: float) -> int:
    """When all that was to come has come, send again; returns how often.

    :param size: bytes that come each time, to all together
    """
    poll = select.epoll()
    by_number = {sink.fileno(): sink for sink in sinks}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    done = 0
    while time.perf_counter() < until:
        send()
        missing = size
        while missing > 0:
            events = poll.poll(PATIENCE)
            if not events:
                raise TimeoutError("the server has stopped answering")
            for number, _ in events:
                missing -= len(by_number[number].recv(262_144))
        assert missing == 0, "more came than was to come"
        done += 1
    poll.close()
    return done


def websocket(protocol: Protocol, path: str, number: int, depth: int) -> Work:
    """So many sessions. On /echo all of them send, and on /broadcast one sends to all.

    :param depth: messages that a client sends at once
    """

    def work(pid: int, port: int, seconds: float) -> Result:
        with protocol.sessions(port, path, number) as opened:
            sources = opened if path == "/echo" else opened[:1]
            messages = protocol.frame * depth

            def send() -> None:
                for source in sources:
                    source.sendall(messages)

            def run(until: float) -> int:
                size = number * depth * protocol.reply_bytes
                return number * depth * flow(opened, send, size, until)

            run(time.perf_counter() + 0.1)
            return measure(pid, run, seconds)

    return work


def http(kind: Callable[[int], Session], number: int) -> Work:
    """Each message is a POST, and with polling each reply another request."""

    def work(pid: int, port: int, seconds: float) -> Result:
        opened = [kind(port) for _ in range(number)]
        sizes = sum(session.echo() for session in opened)
        sinks = [wire.socket for session in opened for wire in (session.down, session.up)]

        def send() -> None:
            for session in opened:
                session.down.send(session.ask)
                session.up.send(session.say)

        def run(until: float) -> int:
            return number * flow(sinks, send, sizes, until)

        run(time.perf_counter() + 0.1)
        result = measure(pid, run, seconds)
        for sink in sinks:
            sink.close()
        return result

    return work


def websockets(protocol: Protocol) -> dict[str, Work]:
    return {
        "WebSocket: echo, 100 sessions": websocket(protocol, "/echo", 100, 1),
        "WebSocket: the same, 16 under way": websocket(protocol, "/echo", 100, 16),
        "WebSocket: broadcast to 1000": websocket(protocol, "/broadcast", 1000, 1),
    }


SOCKJS = Protocol(f'["{TEXT}"]', f'a["{TEXT}"]', "{path}/000/s{number}/websocket", b"o")
ENGINEIO = Protocol(f"4{TEXT}", f"4{TEXT}", "{path}/?EIO=4&transport=websocket", b"0")

PROTOCOLS: dict[str, dict[str, Work]] = {
    "sockjs": {
        **websockets(SOCKJS),
        "xhr-streaming: echo, 20 sessions": http(SockjsStreaming, 20),
        "xhr-polling: echo, 20 sessions": http(SockjsPolling, 20),
    },
    "engineio": {
        **websockets(ENGINEIO),
        "polling: echo, 20 sessions": http(EngineioPolling, 20),
    },
}
