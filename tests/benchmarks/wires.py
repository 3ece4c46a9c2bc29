"""How the load speaks: what a client sends to open a session, and what its messages look like."""

import itertools
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .load import PATIENCE, LoadError, Step

__all__ = ["ENGINEIO", "PLAIN", "PRIMUS", "RAW_SOCKJS", "SOCKETIO", "SOCKJS", "Wire", "frame"]

REQUEST = (
    "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n"
)
MASK = b"\x37\xfa\x21\x3d"  # the one of RFC 6455 section 5.7
TEXT, CLOSE = 1, 8
TOGETHER = 50
"""Sessions that are opened at a time."""

Words = Callable[[str], str]

numbers = itertools.count()


def header(opcode: int, size: int, masked: int = 0) -> bytes:
    """A frame's header, without its mask (RFC 6455 section 5.2)."""
    if size < 126:
        return bytes([0x80 | opcode, masked | size])
    if size < 65536:
        return bytes([0x80 | opcode, masked | 126]) + size.to_bytes(2, "big")
    return bytes([0x80 | opcode, masked | 127]) + size.to_bytes(8, "big")


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A frame as a client sends it."""
    size = len(payload)
    key = int.from_bytes((MASK * (size // 4 + 1))[:size], "big")
    hidden = (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")
    return header(opcode, size, 0x80) + MASK + hidden


def reply_size(words: str) -> int:
    """The bytes of a message as a server sends it."""
    size = len(words.encode())
    return len(header(TEXT, size)) + size


@dataclass(frozen=True, eq=False)
class Wire:
    """A protocol over WebSocket. A path is ``/echo`` or ``/broadcast``, or one that echoes.

    :ivar target: where to connect; ``{path}``, and ``{number}``, which is another one each time
    :ivar opening: what follows the upgrade
    :ivar says: the message that carries a text, by path; ``""`` for all other paths
    :ivar hears: the same, for what comes back
    """

    name: str
    target: str
    opening: tuple[Step, ...]
    says: dict[str, Words]
    hears: dict[str, Words]

    def message(self, path: str, size: int) -> bytes:
        """The frame with a text of so many bytes."""
        return frame(self._words(self.says, path)("x" * size).encode())

    def reply(self, path: str, size: int) -> int:
        """The bytes that come back for it, to each client."""
        return reply_size(self._words(self.hears, path)("x" * size))

    def steps(self, port: int, path: str) -> list[Step]:
        """From the request to an open session."""
        target = self.target.format(path=path, number=next(numbers))
        request = REQUEST.format(target=target, port=port).encode()
        return [Step(request, b"\r\n\r\n"), *self.opening]

    def visit(self, port: int, path: str) -> list[Step]:
        """From the request to the end: the client closes with 1000."""
        return [*self.steps(port, path), Step(frame(b"\x03\xe8", CLOSE))]

    @contextmanager
    def sessions(self, port: int, path: str, number: int) -> Iterator[list[socket.socket]]:
        """So many open sessions, of which everything has been read."""
        opened: list[socket.socket] = []
        try:
            while len(opened) < number:
                batch = min(TOGETHER, number - len(opened))
                opened += connect(port, [self.steps(port, path) for _ in range(batch)])
            yield opened
        finally:
            for client in opened:
                client.close()

    @staticmethod
    def _words(known: dict[str, Words], path: str) -> Words:
        return known.get(path) or known[""]


class Caller:
    """A client that opens its session."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def hear(self, awaited: bytes) -> bytes:
        """What comes before that.

        :raises LoadError: it does not come
        """
        while awaited not in self._held:
            data = self.socket.recv(65536)
            if not data:
                raise LoadError(f"the server has hung up behind {self._held!r}")
            self._held += data
        before, _, self._held = self._held.partition(awaited)
        return before

    def ready(self) -> socket.socket:
        """Its socket, which does not block any more.

        :raises LoadError: the server has said too much
        """
        if self._held:
            raise LoadError(f"the server says {self._held!r}, and nobody has asked")
        self.socket.setblocking(False)
        return self.socket


def connect(port: int, each: Sequence[Sequence[Step]]) -> list[socket.socket]:
    """Open sessions, all of which take their steps together.

    :raises LoadError: the server does not play its part
    """
    callers: list[Caller] = []
    try:
        callers.extend(Caller(port) for _ in each)
        for number, steps in enumerate(zip(*each, strict=True)):
            for caller, step in zip(callers, steps, strict=True):
                if step.send:
                    caller.socket.sendall(step.send)
            for caller, step in zip(callers, steps, strict=True):
                answer = caller.hear(step.awaited)
                if number == 0 and not answer.startswith(b"HTTP/1.1 101"):
                    asked = step.send.partition(b" HTTP")[0].decode()
                    raise LoadError(f"{asked}: {answer.decode(errors='replace')}")
        return [caller.ready() for caller in callers]
    except BaseException:
        for caller in callers:
            caller.socket.close()
        raise


def _plain(text: str) -> str:
    return text


PLAIN = Wire("WebSocket", "{path}", (), {"": _plain}, {"": _plain})
RAW_SOCKJS = Wire("WebSocket", "{path}/websocket", (), {"": _plain}, {"": _plain})
"""A plain WebSocket below a SockJS endpoint."""

SOCKJS = Wire(
    "SockJS",
    "{path}/000/s{number}/websocket",
    (Step(b"", b"\x81\x01o"),),
    {"": '["{}"]'.format},
    {"": 'a["{}"]'.format},
)
ENGINEIO = Wire(
    "Engine.IO",
    "{path}/?EIO=4&transport=websocket",
    (Step(b"", b"}"),),  # of the packet that opens the session
    {"": "4{}".format},
    {"": "4{}".format},
)
SOCKETIO = Wire(
    "Socket.IO",
    "/socket.io/?EIO=4&transport=websocket",
    (Step(b"", b"}"), Step(frame(b"40"), b"}")),
    {"": '42["echo","{}"]'.format, "/broadcast": '42["spread","{}"]'.format},
    {"": '42["echo","{}"]'.format, "/broadcast": '42["news","{}"]'.format},
)
PRIMUS = Wire("Primus", "{path}", (), {"": '"{}"'.format}, {"": '"{}"'.format})
