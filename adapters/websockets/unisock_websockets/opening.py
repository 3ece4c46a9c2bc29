"""The opening handshake: from a client's first byte to the answer to its request."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from enum import Enum
from typing import cast

from websockets.exceptions import HeaderLineTooLong, RequestLineTooLong, TooManyHeaders
from websockets.extensions import ServerExtensionFactory
from websockets.http11 import Request as RawRequest
from websockets.http11 import Response as RawResponse

from unisock.abc import Gateway, Upgrade
from unisock.exchange import Request, Response
from unisock.handshake import Handshake
from unisock.messages import printable

from .connection import WebSocketConnection
from .framing import COMPRESSION, framing_for
from .http import serialize
from .link import Link, Sink
from .options import Options
from .protocol import WebSocketServer

__all__ = ["Door", "Opening"]

log = logging.getLogger("unisock")

HEAD_BYTES = 16_384
"""The request line and all headers of a request."""
EARLY_BYTES = 65_536
"""What a client may send behind its request, before reading from it stops until the answer."""

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) \S+ HTTP/1\.[01]\r\n")


class Door:
    """What all clients of a server share on their way in.

    :param spawn: runs ``await function(*args)`` beside all else, as long as the adapter serves
    """

    def __init__(
        self,
        gateway: Gateway,
        options: Options,
        spawn: Callable[..., object],
    ) -> None:
        self.gateway = gateway
        self.spawn = spawn
        self.compression: ServerExtensionFactory | None = (
            COMPRESSION if options.compression else None
        )
        self._most = options.handshakes
        # Those whose request is not complete, the oldest first.
        self._openings: dict[Opening, None] = {}

    def enter(self, opening: Opening) -> None:
        """A client begins its request; perhaps another has to give way."""
        self._openings[opening] = None
        if len(self._openings) > self._most:
            log.info(
                "an opening handshake was cut off: over the option handshakes = %d", self._most
            )
            next(iter(self._openings)).give_up()

    def leave(self, opening: Opening) -> None:
        """The request is complete, or will never be."""
        self._openings.pop(opening, None)


class _Phase(Enum):
    READING = "reading the request"
    ANSWERING = "waiting for the gateway's answer"
    OVER = "answered, or gone"


class Opening(Sink):
    """A client that has no connection yet."""

    __slots__ = ("_buffer", "_door", "_input_ended", "_link", "_phase", "_timer")

    def __init__(self, door: Door, link: Link) -> None:
        self._door = door
        self._link = link
        self._buffer = bytearray()
        self._phase = _Phase.READING
        self._input_ended = False
        gateway = door.gateway
        self._timer = gateway.runtime.timers.call_later(
            gateway.limits.handshake_seconds, self._expire
        )

    # From the link.

    def received(self, data: bytes) -> None:
        if self._phase is _Phase.OVER:
            return
        buffer = self._buffer
        known = len(buffer)
        buffer += data
        if self._phase is _Phase.ANSWERING:
            if len(buffer) > EARLY_BYTES:
                self._link.pause_reading()
            return
        size = buffer.find(b"\r\n\r\n", max(0, known - 3)) + 4
        if size < 4 and not buffer[:1].isalpha():
            # TLS, most likely. Other requests that are none are told when they are complete.
            self._refuse(400, "This is no HTTP request.")
        elif max(size, len(buffer) if size < 4 else 0) > HEAD_BYTES:
            self._refuse(431, f"The request line and headers are over {HEAD_BYTES} bytes.")
        elif size >= 4:
            head = bytes(buffer[:size])
            del buffer[:size]
            self._read(head)

    def input_ended(self) -> bool:
        self._input_ended = True
        return self._phase is _Phase.ANSWERING

    def lost(self) -> None:
        self._end()

    def congested(self) -> None: ...

    def relieved(self) -> None: ...

    # From the door.

    def give_up(self) -> None:
        """Cut the client off, so that another can come in."""
        self._end()
        self._link.abort()

    def _expire(self) -> None:
        if self._buffer:
            seconds = self._door.gateway.limits.handshake_seconds
            self._refuse(408, f"The request took longer than handshake_seconds = {seconds:g}.")
        else:
            self.give_up()

    # The request.

    def _read(self, head: bytes) -> None:
        line = _REQUEST_LINE.match(head)
        if line is not None and line[1] not in (b"GET", b"HEAD"):
            self._refuse(405, "Only GET and HEAD are understood here.", ("Allow", "GET, HEAD"))
            return
        protocol = WebSocketServer(self._door.compression)
        protocol.receive_data(head)
        requests = protocol.events_received()
        if requests:
            self._check(protocol, cast("RawRequest", requests[0]))
            return
        error = protocol.handshake_exc
        if isinstance(error, RequestLineTooLong):
            self._refuse(414, "The request line is too long.")
        elif isinstance(error, HeaderLineTooLong | TooManyHeaders):
            self._refuse(431, "The headers are too long, or too many.")
        else:
            cause = error.__cause__ if error is not None else None
            self._refuse(400, f"This is no HTTP request: {printable(str(cause), 200)}.")

    def _check(self, protocol: WebSocketServer, request: RawRequest) -> None:
        """Look whether the request is what it wants to be, and ask the gateway."""
        headers = request.headers
        if request.protocol == "HTTP/1.1" and len(headers.get_all("Host")) != 1:
            self._refuse(400, "A request has one Host header.")
            return
        accepted: RawResponse | None = None
        if request.method == "GET" and "websocket" in ",".join(headers.get_all("Upgrade")).lower():
            accepted = protocol.accept(request)
            if accepted.status_code != 101:
                accepted.headers["Sec-WebSocket-Version"] = "13"  # RFC 6455 section 4.4
                self._finish(accepted.serialize())
                return
        self._leave(_Phase.ANSWERING)
        handshake = Handshake(
            target=request.path,
            headers=[*headers.raw_items()],
            peer=self._link.peer,
            method=request.method,
            scheme="https" if self._link.secure else "http",
        )
        self._door.spawn(self._answer, handshake, protocol, accepted)

    # The answer.

    async def _answer(
        self, handshake: Handshake, protocol: WebSocketServer, accepted: RawResponse | None
    ) -> None:
        request = Request(handshake, upgrade=accepted is not None)
        try:
            answer = await self._door.gateway.answer(request)
            if self._phase is _Phase.OVER:
                return  # the client has not waited
            if isinstance(answer, Response):
                self._finish(serialize(answer, head=handshake.method == "HEAD"))
            else:
                assert accepted is not None
                self._accept(answer, protocol, accepted)
        except Exception:
            log.exception("%r: exception while answering", handshake)
            if self._phase is _Phase.ANSWERING:
                self._refuse(500, "Internal server error.")
            else:
                self._link.abort()

    def _accept(self, answer: Upgrade, protocol: WebSocketServer, accepted: RawResponse) -> None:
        handshake = answer.handshake
        if handshake.subprotocol:
            accepted.headers["Sec-WebSocket-Protocol"] = handshake.subprotocol
        for name, value in answer.headers:
            accepted.headers[name] = value
        protocol.limit(answer.gate.limits.message_bytes)
        protocol.send_response(accepted)
        framing = framing_for(protocol.extensions)
        connection = WebSocketConnection(answer, self._link, protocol, framing)
        early = bytes(self._buffer)
        self._end()
        self._link.sink = connection
        connection.begin(answer, early)
        if self._input_ended:
            self._link.close()

    def _refuse(self, status: int, text: str, *headers: tuple[str, str]) -> None:
        self._finish(serialize(Response.text(status, text, *headers)))

    def _finish(self, data: bytes) -> None:
        """Send a response; the client has some time to read it."""
        self._end()
        runtime, limits = self._door.gateway.runtime, self._door.gateway.limits
        self._timer = runtime.timers.call_later(limits.close_seconds, self._link.abort)
        self._link.write(data)
        if self._input_ended:
            self._link.close()
        else:
            self._link.finish()
            self._link.resume_reading()

    def _end(self) -> None:
        self._leave(_Phase.OVER)
        self._buffer.clear()

    def _leave(self, phase: _Phase) -> None:
        self._phase = phase
        self._timer.cancel()
        self._door.leave(self)
