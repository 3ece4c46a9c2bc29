"""HTTP requests: each is passed to the gateway, and answered or made a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import anyio
from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
)
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError
from tornado.websocket import WebSocketProtocol13

from unisock import Address, Handshake
from unisock.abc import Gateway, Upgrade
from unisock.exchange import Held, Request, Response, Streamed
from unisock.frame_connection import Connections
from unisock.sockets import peer_address
from unisock.timers import Timer

from .body import Framed, Incoming, Outgoing
from .connection import TornadoConnection
from .headers import asks_for_websocket, headers_of, refusal, status_line

__all__ = ["Front"]

UNREAD_BYTES = 65_536
"""What may be left of a request's body when it was answered, and the connection is used again."""

NO_LIMIT, A_DAY = 1 << 62, 86_400.0
"""Of a body's size and time: who asks for the body has limits for it."""

log = logging.getLogger("unisock")


class Front(HTTPServerConnectionDelegate):
    """All of a server's HTTP exchanges and WebSockets; target of an HTTP server or of a rule."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.connections = Connections(asyncio.get_running_loop().call_soon)
        self.closed = False
        self.exchanges: set[_Exchange] = set()

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        assert isinstance(request_conn, HTTP1Connection)
        return _Exchange(self, request_conn)

    def close(self) -> None:
        """Cut all connections and streams, and give up all answers that are not ready yet."""
        self.closed = True
        for exchange in [*self.exchanges]:
            exchange.give_up()
        self.connections.abort()


class _Exchange(HTTPMessageDelegate):
    """One request and its answer."""

    def __init__(self, front: Front, connection: HTTP1Connection) -> None:
        self._front = front
        self._connection = connection
        stream: IOStream | None = connection.stream
        assert stream is not None
        self._stream = stream
        self._incoming = Incoming()
        self._start_line = RequestStartLine("GET", "/", "HTTP/1.1")
        self._headers = HTTPHeaders()
        # Bytes of the request's body that have not come; `None` if nobody knows. And those that
        # came when nobody wanted them any more.
        self._missing: int | None = 0
        self._unread = 0
        self._scope: anyio.CancelScope | None = None
        # Whose request the gateway is to be asked about; and an answer that is held back.
        self._unasked: Handshake | None = None
        self._held: Held | None = None
        self._outgoing: Outgoing | None = None
        self._gone = False
        # The answer is out, and the connection is to be used again when the request is whole, or
        # to be closed.
        self._answered: bool | None = None
        self._impatience: Timer | None = None

    # From Tornado.

    def headers_received(self, start_line: object, headers: HTTPHeaders) -> Awaitable[None] | None:
        assert isinstance(start_line, RequestStartLine)
        self._start_line, self._headers = start_line, headers
        self._connection.set_max_body_size(NO_LIMIT)
        self._connection.set_body_timeout(A_DAY)
        length = headers.get("Content-Length", "0").partition(",")[0]
        known = length.isascii() and length.isdecimal() and "Transfer-Encoding" not in headers
        self._missing = int(length[:20]) if known else None
        upgrade = asks_for_websocket(start_line, headers)
        response = refusal(start_line, headers, upgrade)
        if self._front.closed:
            response = Response.text(503, "This server has stopped.")
        if response is not None:
            # When Tornado has found out whether there is a body.
            asyncio.get_running_loop().call_soon(self._reply, response)
            return None
        handshake = self._handshake()
        if upgrade:
            return self._upgrade(Request(handshake, upgrade=True, whole=b""))
        self._unasked = handshake
        # If the request is whole by then, the gateway has been asked.
        asyncio.get_running_loop().call_soon(self._ask)
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._missing is not None:
            self._missing -= len(chunk)
        elif self._answered:
            self._unread += len(chunk)
            if self._unread > UNREAD_BYTES:
                self._answered = False
                self._say_no_more()
        return self._incoming.put(chunk)

    def finish(self) -> None:
        self._incoming.end()
        if self._answered is not None:
            if self._impatience is not None:
                self._impatience.cancel()
            if self._answered:
                self._connection.finish()
            else:
                self._connection.close()
            return
        self._connection.set_close_callback(self._on_gone)
        if self._stream.closed():
            # It went right behind its request: Tornado tells nobody.
            self._on_gone()
        self._ask()

    def on_connection_close(self) -> None:
        self._on_gone()

    def _on_gone(self) -> None:
        self._gone = True
        if self._impatience is not None:
            self._impatience.cancel()
        if self._scope is not None:
            self._scope.cancel()
        if self._held is not None:
            held, self._held = self._held, None
            self._front.exchanges.discard(self)
            held.gone()
        if self._outgoing is not None:
            self._front.exchanges.discard(self)
            self._outgoing.lost()

    # The answer.

    def give_up(self) -> None:
        """The server ends."""
        self._connection.close()
        self._on_gone()

    def _ask(self) -> None:
        """Ask the gateway, if it was not asked yet."""
        handshake, self._unasked = self._unasked, None
        if handshake is None:
            return
        front, incoming = self._front, self._incoming
        if self._gone or front.closed:
            self._connection.close()
            return
        request = Request(
            handshake, upgrade=False, receive=incoming.receive, whole=incoming.whole_body()
        )
        answer = front.gateway.respond(request)
        if isinstance(answer, Response):
            self._reply(answer)
        elif isinstance(answer, Held):
            self._held = answer
            front.exchanges.add(self)
            answer.wait(self._on_ready)
        elif isinstance(answer, Upgrade):
            raise TypeError("nobody asked for an upgrade")
        else:
            front.gateway.runtime.spawn(self._exchange, answer)

    def _on_ready(self) -> None:
        asyncio.get_running_loop().call_soon(self._release)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._front.exchanges.discard(self)
            self._reply(held.response())

    async def _wait_for(self, coming: Awaitable[Response | Upgrade]) -> Response | Upgrade | None:
        """The gateway's answer; `None` if the client or the server has left."""
        front = self._front
        with anyio.CancelScope() as scope:
            self._scope = scope
            front.exchanges.add(self)
            try:
                if self._gone or front.closed:
                    scope.cancel()
                return await coming
            finally:
                front.exchanges.discard(self)
                self._scope = None
        return None

    async def _exchange(self, coming: Awaitable[Response | Upgrade]) -> None:
        answered = False
        try:
            answer = await self._wait_for(coming)
            if isinstance(answer, Response):
                self._reply(answer)
                answered = True
        finally:
            if not answered:
                self._connection.close()

    async def _upgrade(self, request: Request) -> None:
        # While Tornado waits for this coroutine, it looks at nothing that happens on the stream.
        self._stream.set_close_callback(self._on_gone)
        answer = await self._wait_for(self._front.gateway.answer(request))
        if self._gone:
            answer = None
        if isinstance(answer, Upgrade):
            answer = self._accept(answer)
            if answer is None:
                return
        self._stream.set_close_callback(None)
        if answer is None:
            self._connection.close()
        else:
            asyncio.get_running_loop().call_soon(self._reply, answer)

    def _handshake(self) -> Handshake:
        stream = self._stream
        peer = Address("unknown")
        if stream.socket is not None:
            with contextlib.suppress(OSError):  # it has gone already
                peer = peer_address(stream.socket.getpeername())
        return Handshake(
            target=self._start_line.path,
            headers=self._headers.get_all(),
            peer=peer,
            method=self._start_line.method,
            scheme="https" if isinstance(stream, SSLIOStream) else "http",
        )

    def _accept(self, upgrade: Upgrade) -> Response | None:
        """Make it a WebSocket; a response if that cannot be."""
        handshake = upgrade.handshake
        accept = WebSocketProtocol13.compute_accept_value(handshake.headers["sec-websocket-key"])
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept),
        ]
        if handshake.subprotocol:
            headers.append(("Sec-WebSocket-Protocol", handshake.subprotocol))
        try:
            self._connection.write_headers(
                status_line(101), headers_of([*headers, *upgrade.headers])
            )
        except (ValueError, HTTPInputError):
            log.exception("%r: a header that HTTP does not allow", handshake)
            return Response.text(500, "Internal server error.")
        stream = self._connection.detach()
        if not stream.closed():
            stream.set_nodelay(True)
            connection = TornadoConnection(upgrade, stream, self._front.connections)
            upgrade.open(connection)
            connection.read_on()
        return None

    # The response.

    def _reply(self, response: Response) -> None:
        self._incoming.drop()
        if self._gone and not isinstance(response, Streamed):
            return
        try:
            self._write(response)
        except (ValueError, HTTPInputError):
            log.exception("a response has a header that HTTP does not allow")
            self._write(Response.text(500, "Internal server error."))

    def _write(self, response: Response) -> None:
        silent = self._start_line.method == "HEAD" or response.status in (204, 304)
        streamed = isinstance(response, Streamed)
        chunked = streamed and not silent and self._start_line.version == "HTTP/1.1"
        again = self._incoming.whole or (self._missing or 0) <= UNREAD_BYTES
        headers = headers_of([("Date", formatdate(usegmt=True)), *response.headers])
        if streamed:
            again = again and (chunked or silent)
        elif response.status not in (204, 304):
            headers["Content-Length"] = str(len(response.body))
        if not again:
            # Tornado would promise the contrary to a client of HTTP/1.0.
            self._headers.pop("Connection", None)
            headers["Connection"] = "close"
        written = self._connection.write_headers(
            status_line(response.status), headers, b"" if silent else response.body
        )
        if isinstance(response, Streamed):
            self._begin(response, Framed(silent, chunked), again)
            return
        if self._stream.writing():
            # A client that does not read its answer is not waited for.
            timer = self._later(self._stream.close)
            written.add_done_callback(lambda _: timer.cancel())
        if self._incoming.whole:
            self._connection.finish()
        else:
            self._linger(again)

    def _begin(self, response: Streamed, framed: Framed, again: bool) -> None:
        connection, stream = self._connection, self._stream

        def done(whole: bool) -> None:
            self._front.exchanges.discard(self)
            if not whole:
                connection.close()
                return
            if framed.silent or framed.chunked:
                connection.finish()
            if not again:
                with contextlib.suppress(StreamClosedError):
                    stream.write(b"").add_done_callback(lambda _: connection.close())

        stream.set_nodelay(True)
        self._outgoing = Outgoing(stream, framed, done)
        self._front.exchanges.add(self)
        self._outgoing.start(response)
        if self._gone:
            self._on_gone()

    def _linger(self, again: bool) -> None:
        """The answer is out, and the request is not whole. To close now could cost the client the
        answer (RFC 9112 section 9.6), so the rest is read for a while, and dropped.
        """
        self._answered = again
        self._impatience = self._later(self._connection.close)
        if not again:
            self._say_no_more()

    def _say_no_more(self) -> None:
        """Let the client see the end of the answer, as soon as that is written."""

        def shut_down(_: object) -> None:
            if self._stream.socket is not None:
                with contextlib.suppress(OSError):  # it is gone already
                    self._stream.socket.shutdown(socket.SHUT_WR)

        if not isinstance(self._stream, SSLIOStream):
            with contextlib.suppress(StreamClosedError):
                self._stream.write(b"").add_done_callback(shut_down)

    def _later(self, function: Callable[[], None]) -> Timer:
        gateway = self._front.gateway
        return gateway.runtime.timers.call_later(gateway.limits.handshake_seconds, function)
