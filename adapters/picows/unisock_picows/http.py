"""One client's HTTP/1.1 (RFC 9112), until it leaves or becomes a WebSocket."""

from __future__ import annotations

import asyncio
import binascii
from typing import cast

import httptools

from unisock.abc import Upgrade
from unisock.exchange import Response
from unisock.handshake import Address, Handshake
from unisock.messages import printable
from unisock.sockets import peer_address
from unisock.timers import Timer

from .connection import PicowsConnection
from .door import Door, Visitor
from .exchange import Exchange, Line
from .responses import head, switching

__all__ = ["HttpClient"]

HEAD_BYTES = 16_384
"""The request line and all headers of a request."""
HEADERS = 128
"""The number of those headers."""
EARLY_BYTES = 65_536
"""What a client may send behind its opening handshake, before reading stops until the answer."""


class HttpClient(asyncio.BufferedProtocol, Line, Visitor):
    """A client's requests, one after another.

    Whoever sends a request before the last one is answered finds the connection closed behind that
    answer (RFC 9112 section 9.3.2): there is nothing to queue, and nothing to grow.
    """

    __slots__ = (
        "_crowded",
        "_door",
        "_early",
        "_exchange",
        "_head_bytes",
        "_headers",
        "_over",
        "_parser",
        "_peer",
        "_target",
        "_timer",
        "_transport",
        "_unsent",
        "_upgrading",
    )

    _transport: asyncio.Transport

    def __init__(self, door: Door) -> None:
        self._door = door
        self._parser: httptools.HttpRequestParser | None = None
        self._peer = Address("unknown")
        self._timer: Timer | None = None
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        # Bytes that have come for a head that is not complete.
        self._head_bytes = 0
        self._exchange: Exchange | None = None
        # The opening handshake of a WebSocket, until its end; and what comes behind it.
        self._upgrading: Handshake | None = None
        self._early: bytearray | None = None
        # The client sent another request, which nobody will read.
        self._crowded = False
        # Nothing more is read.
        self._over = False
        # What the client had left to read when it was given its time.
        self._unsent = 0

    # From the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._peer = peer_address(transport.get_extra_info("peername"))
        self._door.add(self)
        if self._door.closed:
            self.abort()
        else:
            self._expect_request()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._door.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not (self._over or self._crowded):
            self._take_in(bytes(self._door.buffer[:nbytes]))

    def _take_in(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
            if len(self._early) > EARLY_BYTES:
                self.pause_reading()
            return
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        before = self._exchange
        if before is None:
            self._head_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._on_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._on_malformed(error)
        exchange = self._exchange
        if exchange is not before and exchange is not None:
            exchange.answer(self._door.gateway)
        elif exchange is None and self._head_bytes > HEAD_BYTES and not self._over:
            self._refuse(431, f"The request line and headers are over {HEAD_BYTES} bytes.")

    def eof_received(self) -> bool:
        return False  # whoever hangs up is gone: a held answer is not for him any more

    def connection_lost(self, exc: Exception | None) -> None:
        exchange, self._exchange = self._exchange, None
        self._leave()
        if exchange is not None:
            exchange.gone()

    def pause_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.congested()

    def resume_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.relieved()

    # From the parser of HTTP.

    def on_message_begin(self) -> None:
        """Another request begins."""
        if self._exchange is not None or self._upgrading is not None:
            self._crowded = True
        self._target = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The request's head is there."""
        parser = self._parser
        if self._over or self._crowded or parser is None:
            return
        if self._head_too_large():
            about = f"The request line and headers are over {HEAD_BYTES} bytes, or {HEADERS}."
            self._refuse(431, about)
            return
        self._head_bytes = 0
        handshake = Handshake(
            target=_origin_form(self._target.decode("latin-1")),
            headers=self._headers,
            peer=self._peer,
            method=parser.get_method().decode("latin-1"),
            scheme="https" if self._door.secure else "http",
        )
        version = parser.get_http_version()
        if version == "1.1" and len(handshake.headers.all("host")) != 1:
            self._refuse(400, "A request has one Host header.")
        elif version not in ("1.0", "1.1"):
            self._refuse(505, "HTTP/1.1 is spoken here.")
        elif parser.should_upgrade() and _wants_websocket(handshake, version):
            refusal = _refusal(handshake)
            if refusal is not None:
                self._answer_at_once(refusal)
            else:
                self._upgrading = handshake
        else:
            keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
            exchange = Exchange(self, handshake, version, keep_alive=keep_alive, upgrade=False)
            self._begin(exchange)

    def _head_too_large(self) -> bool:
        if len(self._headers) > HEADERS:
            return True
        if self._head_bytes <= HEAD_BYTES:  # and some of these may be the body's
            return False
        size = sum([len(name) + len(value) + 4 for name, value in self._headers])
        return size + len(self._target) > HEAD_BYTES

    def on_body(self, body: bytes) -> None:
        """A piece of the request's body."""
        if self._exchange is not None and not (self._over or self._crowded):
            self._exchange.feed(body)

    def on_message_complete(self) -> None:
        """The request's end."""
        if self._exchange is not None and not (self._over or self._crowded):
            self._exchange.complete()

    # In between.

    def _expect_request(self) -> None:
        """Give the client its time for the next request."""
        self._unsent = self._transport.get_write_buffer_size()
        self._door.expect(self)

    def _begin(self, exchange: Exchange) -> None:
        self._door.heard(self)
        self._exchange = exchange

    def _on_upgrade(self, early: bytes) -> None:
        """A request is complete that asks for another protocol; what follows is no HTTP."""
        handshake, self._upgrading = self._upgrading, None
        if self._over:
            return
        if handshake is None:
            self._crowded = True  # another protocol than we know: answered as if it had not asked
            return
        self._early = bytearray(early)
        exchange = Exchange(self, handshake, "1.1", keep_alive=False, upgrade=True)
        exchange.complete()
        self._begin(exchange)

    def _on_malformed(self, error: httptools.HttpParserError) -> None:
        if self._over or self._crowded:
            return
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.begun:
            self.abort()
        else:
            self._refuse(400, f"This is no HTTP request: {printable(str(error), 200)}.")
        if exchange is not None:
            exchange.gone()

    def expire(self) -> None:
        if self._still_reads():
            self._expect_request()
        elif self._head_bytes or self._upgrading is not None:
            seconds = self._door.gateway.limits.handshake_seconds
            self._refuse(408, f"The request took longer than handshake_seconds = {seconds:g}.")
        else:
            self.abort()

    def _refuse(self, status: int, text: str) -> None:
        """Answer what is no request."""
        self._answer_at_once(Response.text(status, text))

    def _answer_at_once(self, response: Response) -> None:
        body = response.body
        self.write(head(response.status, response.headers, "close", length=len(body)) + body)
        self._linger()

    def _linger(self) -> None:
        """Say no more, and throw away what comes until the client hangs up too: to close with bytes
        unread would reset the connection, and could cost the client its answer.
        """
        self._over = True
        self._upgrading = None
        self._leave_parser()
        self._door.heard(self)
        self._set_end()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()
        self._transport.resume_reading()

    def _cut_off(self) -> None:
        if self._still_reads():
            self._set_end()
        else:
            self.abort()

    def _still_reads(self) -> bool:
        """Whether a slow client gets more time, because it has read something."""
        return 0 < self._transport.get_write_buffer_size() < self._unsent

    def _set_end(self) -> None:
        gateway = self._door.gateway
        self._stop_timer()
        self._unsent = self._transport.get_write_buffer_size()
        self._timer = gateway.runtime.timers.call_later(gateway.limits.close_seconds, self._cut_off)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _leave(self) -> None:
        """Nothing more is heard of this client here."""
        self._over = True
        self._stop_timer()
        self._leave_parser()
        self._door.discard(self)

    def _leave_parser(self) -> None:
        self._parser = None  # it refers to this object

    # From the exchange, and from the door.

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def abort(self) -> None:
        self._over = True
        self._transport.abort()

    @property
    def crowded(self) -> bool:
        return self._crowded

    def answered(self, *, keep_alive: bool) -> None:
        self._exchange = None
        if self._over:
            return
        if keep_alive and not self._crowded:
            self._expect_request()
        else:
            self._linger()

    def upgrade(self, upgrade: Upgrade) -> None:
        answer = switching(upgrade.handshake, upgrade.headers)
        early, self._early = self._early, None
        self._exchange = None
        self._transport.resume_reading()
        connection = PicowsConnection(upgrade, self._transport, self._door)
        self._leave()
        connection.start(upgrade, answer, bytes(early or b""))


def _origin_form(target: str) -> str:
    """The target as a path, where a client sent it as to a proxy (RFC 9112 section 3.2.2)."""
    if target.startswith("/"):
        return target
    for scheme in ("http://", "https://"):
        if target[: len(scheme)].lower() == scheme:
            return "/" + target[len(scheme) :].partition("/")[2]
    return target


def _wants_websocket(handshake: Handshake, version: str) -> bool:
    """Whether it is an opening handshake (RFC 6455 section 4.2.1), in good order or not."""
    upgrade = handshake.headers.get("upgrade", "").lower().split(",")
    return (
        handshake.method == "GET"
        and version == "1.1"
        and "websocket" in [word.strip() for word in upgrade]
    )


def _refusal(handshake: Handshake) -> Response | None:
    """The answer to an opening handshake that is not in good order."""
    if handshake.headers.get("sec-websocket-version") != "13":
        return Response.text(
            426, "The WebSocket version must be 13.", ("Sec-WebSocket-Version", "13")
        )
    try:
        key = binascii.a2b_base64(handshake.headers.get("sec-websocket-key", ""), strict_mode=True)
    except ValueError:
        key = b""
    if len(key) != 16:
        return Response.text(400, "The header Sec-WebSocket-Key must be 16 bytes in base64.")
    return None
