"""Sessions over HTTP: each message is a POST and its answer, and with polling each reply another
request and its answer.
"""

import itertools
import json
import socket
from abc import ABC, abstractmethod

from .load import PATIENCE, LoadError

__all__ = ["EngineioPolling", "HttpSession", "SockjsPolling", "SockjsStreaming"]

numbers = itertools.count()


class _Pieces:
    """A socket that is read piece by piece."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""
        self._taken = 0

    def until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more()
        return self._take(self._read.index(end) + len(end))

    def exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        return self._take(size)

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

    @property
    def taken(self) -> int:
        """Bytes that were taken since the last time that this was asked."""
        if self._read:
            raise LoadError(f"the server says {self._read!r}, and nobody has asked")
        taken, self._taken = self._taken, 0
        return taken

    def _more(self) -> None:
        data = self.socket.recv(262_144)
        if not data:
            raise LoadError(f"the server has hung up behind {self._read!r}")
        self._read += data

    def _take(self, size: int) -> bytes:
        taken, self._read = self._read[:size], self._read[size:]
        self._taken += size
        return taken


class HttpSession(ABC):
    """One connection to receive, one to send.

    :param size: of the text that is echoed
    :ivar sends: what each of the two sends to have a message echoed
    """

    def __init__(self, port: int, size: int) -> None:
        self.text = "x" * size
        self._port = port
        self._down, self._up = _Pieces(port), _Pieces(port)
        self.ask, self.say = self.open()
        self._down.taken  # noqa: B018 - what was read to open the session is not counted

    @property
    def sends(self) -> list[tuple[socket.socket, bytes]]:
        return [(self._down.socket, self.ask), (self._up.socket, self.say)]

    @property
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        return self._down.socket, self._up.socket

    @abstractmethod
    def open(self) -> tuple[bytes, bytes]:
        """Open it: the requests that receive and that send a message."""

    @abstractmethod
    def receive(self) -> bytes:
        """What is received next."""

    def request(self, method: str, target: str, body: str = "") -> bytes:
        return (
            f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def echo(self) -> int:
        """Send a message and receive it; the number of bytes that came.

        :raises LoadError: something else came
        """
        for connection, data in self.sends:
            connection.sendall(data)
        status = self._up.head()
        self._up.body(status)
        received = self.receive()
        if not status.startswith(b"http/1.1 20") or self.text.encode() not in received:
            raise LoadError(f"not an echo: {status!r}, {received!r}")
        return self._down.taken + self._up.taken


class SockjsPolling(HttpSession):
    receiver = "xhr"

    def open(self) -> tuple[bytes, bytes]:
        base = f"/echo/000/s{next(numbers)}"
        ask = self.request("POST", f"{base}/{self.receiver}")
        self._down.socket.sendall(ask)
        self.prelude()
        return ask, self.request("POST", f"{base}/xhr_send", f'["{self.text}"]')

    def prelude(self) -> None:
        opened = self.receive()
        if opened != b"o\n":
            raise LoadError(f"the session opens with {opened!r}")

    def receive(self) -> bytes:
        return self._down.body(self._down.head())


class SockjsStreaming(SockjsPolling):
    receiver = "xhr_streaming"

    def open(self) -> tuple[bytes, bytes]:
        return b"", super().open()[1]

    def prelude(self) -> None:
        self._down.head()
        prelude = b""
        while not prelude.endswith(b"h\no\n"):
            prelude += self._down.chunk()

    def receive(self) -> bytes:
        return self._down.chunk()


class EngineioPolling(HttpSession):
    def open(self) -> tuple[bytes, bytes]:
        target = "/echo/?EIO=4&transport=polling"
        self._down.socket.sendall(self.request("GET", target))
        opened = self.receive()
        if opened[:1] != b"0":
            raise LoadError(f"the session opens with {opened!r}")
        target += f"&sid={json.loads(opened[1:])['sid']}"
        return self.request("GET", target), self.request("POST", target, f"4{self.text}")

    def receive(self) -> bytes:
        return self._down.body(self._down.head())
