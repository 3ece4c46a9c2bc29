"""The responses that carry a session: streams of packets, and polls, which take one."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from unisock.exchange import Body, Held, Reader, Response

from .headers import Pairs
from .packets import HEARTBEAT, INTERRUPTED, OPEN, messages
from .session import Carrier, HttpSession

__all__ = ["Packing", "Poll", "Stream", "packing_for", "turn_away"]

HIGH_WATER = 65_536
"""Bytes that are put into one packet."""


class Packing:
    """How a transport puts packets into responses.

    :ivar transport: its name
    :ivar stream: whether one response takes many
    :ivar prelude: what a stream begins with
    """

    __slots__ = ("_callback", "prelude", "stream", "transport")

    def __init__(self, transport: str, callback: str = "") -> None:
        self.transport = transport
        self.stream = transport in _PRELUDES
        self.prelude = _PRELUDES.get(transport, b"")
        self._callback = callback.encode()
        if transport == "htmlfile":
            self.prelude = (_HTMLFILE % self._callback).ljust(1024) + b"\r\n\r\n"

    def pack(self, packet: bytes) -> bytes:
        """A packet as the client's script will find it."""
        match self.transport:
            case "eventsource":
                # sockjs-client runs decodeURI over what it gets.
                return b"data: " + packet.replace(b"%", b"%25") + b"\r\n\r\n"
            case "htmlfile":
                return b"<script>\np(%b);\n</script>\r\n" % _script(packet)
            case "jsonp-polling":
                # The comment keeps the response from being taken for another kind of file.
                return b"/**/%b(%b);\r\n" % (self._callback, _script(packet))
            case _:
                return packet + b"\n"


def packing_for(transport: str, callback: str = "") -> Packing:
    """A transport's packing; one object for all that need no callback."""
    packing = _PACKINGS.get(transport)
    return packing if packing is not None else Packing(transport, callback)


def _script(packet: bytes) -> bytes:
    """A packet as a string in a script; with no ``<``, none can end the script."""
    return msgspec.json.encode(packet.decode()).replace(b"<", b"\\u003c")


_PRELUDES = {
    "xhr-streaming": b"h" * 2048 + b"\n",  # old browsers show a response from 2 KiB on
    "eventsource": b"\r\n",  # old Opera swallows the first line
    "htmlfile": b"",
}

_HTMLFILE = b"""\
<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.%b;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>
"""

_PACKINGS = {name: Packing(name) for name in ("xhr-polling", "xhr-streaming", "eventsource")}


class Stream(Carrier, Reader):
    """A response that takes packets until it has carried so many bytes of them.

    :param limit: of bytes; the prelude is not counted
    """

    __slots__ = ("_body", "_gathered", "_packing", "_room", "_session", "_size", "transport")

    def __init__(self, session: HttpSession, packing: Packing, limit: int) -> None:
        self.transport = packing.transport
        self._session = session
        self._packing = packing
        self._room = limit
        self._body: Body | None = None
        self._gathered: list[bytes] | None = None
        self._size = 0

    def begin(self, body: Body) -> None:
        """Write the prelude; packets may follow."""
        self._body = body
        body.write(self._packing.prelude)

    def open(self) -> None:
        """Tell the client that it has a session."""
        self._write(OPEN)

    def gather(self) -> None:
        self._gathered = []

    def flush(self) -> None:
        gathered, self._gathered = self._gathered, None
        self._size = 0
        if gathered:
            self._write(messages(b",".join(gathered)))

    def take(self, quoted: bytes) -> None:
        gathered = self._gathered
        if gathered is None:
            self._write(messages(quoted))
            return
        gathered.append(quoted)
        self._size += len(quoted)
        if self._size >= min(HIGH_WATER, self._room):
            self.flush()
            self._gathered = []

    def part(self, packet: bytes) -> bool:
        body, self._body = self._body, None
        if body is not None:
            body.write(self._packing.pack(packet))
            body.end()
        return True

    def beat(self) -> None:
        if self._body is not None:
            self._write(HEARTBEAT)

    def cut(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.cut()

    def _write(self, packet: bytes) -> None:
        body = self._body
        if body is None:
            return
        data = self._packing.pack(packet)
        self._room -= len(data)
        body.write(data)
        if self._room <= 0 and self._body is body:
            self._body = None
            body.end()
            self._session.parted(self)

    # From the driver.

    def congested(self) -> None:
        if self._body is not None:
            self._session.congested()

    def relieved(self) -> None:
        if self._body is not None:
            self._session.relieved()

    def gone(self) -> None:
        self._body = None
        self._session.interrupted(self)


class Poll(Carrier, Held):
    """A response that takes one packet, with all that is sent until it leaves."""

    __slots__ = (
        "_headers",
        "_messages",
        "_packet",
        "_packing",
        "_ready",
        "_session",
        "_size",
        "transport",
    )

    def __init__(self, session: HttpSession, packing: Packing, headers: Pairs) -> None:
        self.transport = packing.transport
        self._session = session
        self._packing = packing
        self._headers = headers
        self._messages: list[bytes] = []
        self._size = 0
        self._packet: bytes | None = None
        self._ready: Callable[[], None] | None = None

    @property
    def full(self) -> bool:
        """Whether there is a packet."""
        return bool(self._messages) or self._packet is not None

    def wait(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        if self.full:
            self._tell()

    def response(self) -> Response:
        packet = messages(b",".join(self._messages)) if self._messages else self._packet
        self._session.parted(self)
        return Response(200, self._packing.pack(packet or INTERRUPTED), self._headers)

    def gone(self) -> None:
        self._ready = None
        self._session.gate.count_dropped(len(self._messages))
        self._session.interrupted(self)

    def gather(self) -> None:
        """It always does."""

    def flush(self) -> None:
        """It goes out when the adapter comes for it."""

    def take(self, quoted: bytes) -> None:
        self._messages.append(quoted)
        self._size += len(quoted)
        if self._size >= HIGH_WATER:
            self._session.congested()
        self._tell()

    def part(self, packet: bytes) -> bool:
        if self._messages:
            return False
        self._packet = packet
        self._tell()
        return True

    def beat(self) -> None:
        if not self._messages:
            self._packet = HEARTBEAT
            self._tell()

    def cut(self) -> None:
        self._tell()

    def _tell(self) -> None:
        ready, self._ready = self._ready, None
        if ready is not None:
            ready()


class _Nobody(Reader):
    """Reads a response that is whole already."""

    __slots__ = ()

    def congested(self) -> None: ...

    def relieved(self) -> None: ...

    def gone(self) -> None: ...


def turn_away(body: Body, packing: Packing, packet: bytes) -> Reader:
    """Give a client that has no session its only packet."""
    body.write(packing.prelude)
    body.write(packing.pack(packet))
    body.end()
    return _Nobody()
