"""HTTP requests: each is passed to the gateway, and answered or made a WebSocket."""

from __future__ import annotations

import binascii
import contextlib
import logging
from collections.abc import Sequence
from email.utils import formatdate
from http.client import responses

import anyio
from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import SSLIOStream
from tornado.websocket import WebSocketProtocol13

from unisock import Address, Handshake
from unisock.abc import Gateway, Upgrade
from unisock.exchange import Request, Response
from unisock.sockets import peer_address

from .connection import Connections, TornadoConnection

__all__ = ["MAX_BODY_BYTES", "Front"]

MAX_BODY_BYTES = 65_536
"""A request's body is read, so that the connection can be used again, and dropped."""

log = logging.getLogger("unisock")


class Front(HTTPServerConnectionDelegate):
    """All of a server's HTTP exchanges and WebSockets; target of an HTTP server or of a rule."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.connections = Connections()
        self.closed = False
        self.scopes: set[anyio.CancelScope] = set()

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        assert isinstance(request_conn, HTTP1Connection)
        return _Exchange(self, request_conn)

    def close(self) -> None:
        """Cut all connections, and give up all answers that are not ready yet."""
        self.closed = True
        for scope in self.scopes:
            scope.cancel()
        self.connections.abort()


class _Exchange(HTTPMessageDelegate):
    """One request and its answer."""

    def __init__(self, front: Front, connection: HTTP1Connection) -> None:
        self._front = front
        self._connection = connection
        self._head_only = False
        self._response: Response | None = None

    async def headers_received(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, start_line: object, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, RequestStartLine)
        gateway, connection = self._front.gateway, self._connection
        connection.set_max_body_size(MAX_BODY_BYTES)
        connection.set_body_timeout(gateway.limits.handshake_seconds)
        self._head_only = start_line.method == "HEAD"
        upgrade = _asks_for_websocket(start_line, headers)
        self._response = _refusal(start_line, headers, upgrade)
        if self._front.closed:
            self._response = Response.text(503, "This server has stopped.")
        if self._response is not None:
            return
        request = Request(self._handshake(start_line, headers), upgrade=upgrade)
        answer: Response | Upgrade | None = None
        with anyio.CancelScope() as scope:
            self._front.scopes.add(scope)
            try:
                answer = await gateway.answer(request)
            finally:
                self._front.scopes.discard(scope)
        if isinstance(answer, Upgrade):
            self._accept(answer)
        elif answer is None:
            connection.close()
        else:
            self._response = answer

    def data_received(self, chunk: bytes) -> None:
        """Nobody asks for it."""

    def finish(self) -> None:
        """The request has been read: answer it, unless it became a WebSocket."""
        response = self._response
        if response is None:
            return
        try:
            self._write(response)
        except (ValueError, HTTPInputError):
            log.exception("a response has a header that HTTP does not allow")
            self._write(Response.text(500, "Internal server error."))

    def _handshake(self, start_line: RequestStartLine, headers: HTTPHeaders) -> Handshake:
        stream = self._connection.stream
        assert stream is not None
        peer = Address("unknown")
        if stream.socket is not None:
            with contextlib.suppress(OSError):  # it has gone already
                peer = peer_address(stream.socket.getpeername())
        return Handshake(
            target=start_line.path,
            headers=headers.get_all(),
            peer=peer,
            method=start_line.method,
            scheme="https" if isinstance(stream, SSLIOStream) else "http",
        )

    def _accept(self, upgrade: Upgrade) -> None:
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
            self._connection.write_headers(_status(101), _headers([*headers, *upgrade.headers]))
        except (ValueError, HTTPInputError):
            log.exception("%r: a header that HTTP does not allow", handshake)
            self._response = Response.text(500, "Internal server error.")
            return
        stream = self._connection.detach()
        if stream.closed():
            return
        stream.set_nodelay(True)
        connection = TornadoConnection(upgrade, stream, self._front.connections)
        upgrade.open(connection)
        connection.start()

    def _write(self, response: Response) -> None:
        headers = _headers([("Date", formatdate(usegmt=True)), *response.headers])
        body = response.body
        if response.status in (204, 304):
            body = b""
        else:
            headers["Content-Length"] = str(len(body))
        if self._head_only:
            body = b""
        connection = self._connection
        stream = connection.stream
        assert stream is not None
        written = connection.write_headers(_status(response.status), headers, body)
        connection.finish()
        if stream.writing():
            # A client that does not read its answer is not waited for.
            gateway = self._front.gateway
            timer = gateway.runtime.timers.call_later(
                gateway.limits.handshake_seconds, stream.close
            )
            written.add_done_callback(lambda _: timer.cancel())


def _asks_for_websocket(start_line: RequestStartLine, headers: HTTPHeaders) -> bool:
    """Whether it is an opening handshake (RFC 6455 section 4.2.1), in good order or not."""
    return (
        start_line.method == "GET"
        and start_line.version == "HTTP/1.1"
        and "websocket" in _tokens(headers.get("Upgrade", ""))
        and "upgrade" in _tokens(headers.get("Connection", ""))
    )


def _refusal(start_line: RequestStartLine, headers: HTTPHeaders, upgrade: bool) -> Response | None:
    """The answer to a request that is not even one."""
    if start_line.version == "HTTP/1.1" and not headers.get("Host"):
        return Response.text(400, "The header Host is missing.")
    if not upgrade:
        return None
    if headers.get("Sec-WebSocket-Version") != "13":
        return Response.text(
            426, "The WebSocket version must be 13.", ("Sec-WebSocket-Version", "13")
        )
    try:
        key = binascii.a2b_base64(headers.get("Sec-WebSocket-Key", ""), strict_mode=True)
    except ValueError:
        key = b""
    if len(key) != 16:
        return Response.text(400, "The header Sec-WebSocket-Key must be 16 bytes in base64.")
    return None


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]


def _headers(pairs: Sequence[tuple[str, str]]) -> HTTPHeaders:
    headers = HTTPHeaders()
    for name, value in pairs:
        headers.add(name, value)
    return headers


def _status(code: int) -> ResponseStartLine:
    return ResponseStartLine("HTTP/1.1", code, responses.get(code, "Unknown"))
