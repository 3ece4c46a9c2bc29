"""Before any request reaches the library: who asks, and whether it may."""
# pyright: reportUnknownMemberType=false
# Tornado's `write`, `finish` and `set_cookie` are annotated with bare dicts and tuples.

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from http import HTTPStatus
from socket import AF_UNIX
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream
from tornado.web import RequestHandler

from unisock import Address, Close, Handshake, HandshakeRejected
from unisock.abc import Gate, Gateway
from unisock.exchange import Response
from unisock.messages import printable

from .connection import SockjsConnection
from .library import PreflightHandler
from .router import Router

__all__ = ["Admitting", "Guarded", "Plain", "handshake_of", "stream_of", "write"]

log = logging.getLogger("unisock.sockjs-tornado")

SESSION_ID_BYTES = 128
NO_STORE = "no-store, no-cache, no-transform, must-revalidate, max-age=0"


def handshake_of(
    request: HTTPServerRequest, gateway: Gateway, transport: str, *extra: tuple[str, str]
) -> Handshake:
    """The request as the core sees it.

    :param extra: further headers
    """
    context = getattr(request.connection, "context", None)
    if getattr(context, "address_family", None) == AF_UNIX:
        peer = Address("unix")
    else:
        address = getattr(context, "address", None)
        peer = Address(request.remote_ip or "", address[1] if isinstance(address, tuple) else 0)
    handshake = Handshake(
        target=request.uri or "/",
        headers=[*request.headers.get_all(), *extra],
        peer=peer,
        method=request.method or "GET",
        scheme=request.protocol,
        transport=transport,
    )
    gateway.see_through_proxies(handshake)
    return handshake


def stream_of(request: HTTPServerRequest) -> IOStream:
    """The stream that a request came by."""
    stream = getattr(request.connection, "stream", None)
    assert isinstance(stream, IOStream)
    return stream


def write(handler: RequestHandler, response: Response) -> None:
    """Answer a request with this response."""
    handler.set_status(response.status)
    for name in ("Content-Type", "Etag"):
        handler.clear_header(name)
    for name, value in response.headers:
        handler.add_header(name, value)
    handler.finish(response.body or None)


class Guarded(RequestHandler):
    """A request to an endpoint.

    :cvar transport: how it carries a session, as the application is told
    :cvar embeds: a page of another origin can make browsers send it without an ``Origin`` header
    :ivar handshake: the request as the core sees it
    :ivar gone: the client has closed the connection
    """

    transport = "http"
    embeds = False
    server: Router
    handshake: Handshake
    gone = False

    @property
    def gate(self) -> Gate:
        """The gate of the endpoint."""
        return self.server.gate

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    async def prepare(self) -> None:
        counted = super().prepare()
        assert counted is None  # the library counts; nothing to wait for
        extra = [("Origin", page) for page in self._pages()] if self.embeds else []
        self.handshake = handshake_of(self.request, self.server.gateway, self.transport, *extra)
        try:
            await self.check()
        except HandshakeRejected as rejection:
            self.refuse(rejection)

    async def check(self) -> None:
        """Refuse what comes from pages that may not connect.

        :raises HandshakeRejected: the request is refused
        """
        if not self.gate.welcomes(self.handshake):
            raise self.denied(f"origin {self.handshake.origin} is not allowed")

    def denied(self, reason: str, status: int = 403) -> HandshakeRejected:
        """A refusal that the gate does not know of, and so does not report."""
        log.info("%r: refused with %d: %s", self.handshake, status, printable(reason, 200))
        return HandshakeRejected(reason, status=status)

    def refuse(self, rejection: HandshakeRejected) -> None:
        """Turn the client away."""
        write(self, Response.refusal(rejection))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        try:
            phrase = HTTPStatus(status_code).phrase
        except ValueError:
            phrase = "Error"
        self.finish(f"{phrase}.\n")

    def compute_etag(self) -> None:
        """None: what is said here is said once."""

    def check_trusted_origin(self, origin: str) -> bool:
        """The settings of unisock decide, in `check`, and not those of the application."""
        return True

    def check_xsrf_cookie(self) -> None:
        """The same: there is no form that could carry the cookie's value."""

    def _pages(self) -> Iterator[str]:
        """The origin of the page that embeds this request, which has no ``Origin`` header.

        ``null`` stands for a foreign one. A request with cookies and without any sign of where it
        comes from may be forged.
        """
        headers = self.request.headers
        site = headers.get("Sec-Fetch-Site", "")
        if "Origin" in headers or site in ("same-origin", "none"):
            return
        referer = urlsplit(headers.get("Referer", ""))
        if referer.scheme and referer.netloc:
            yield f"{referer.scheme}://{referer.netloc}"
        elif site or "Cookie" in headers:
            yield "null"


class Plain(Guarded, PreflightHandler):
    """A request to an endpoint that is answered over HTTP."""

    def initialize(self, server: Router) -> None:
        self.logged = False  # not every handler of the library sets it
        super().initialize(server)

    def on_connection_close(self) -> None:
        self.gone = True
        super().on_connection_close()

    def preflight(self) -> None:
        """The headers that let a page of another origin in: only if it may connect."""
        self.add_header("Vary", "Origin")
        origin = self.request.headers.get("Origin")
        if origin is None or not self.gate.welcomes(self.handshake):
            return
        self.set_header("Access-Control-Allow-Origin", origin)
        self.set_header("Access-Control-Allow-Credentials", "true")
        asked = self.request.headers.get("Access-Control-Request-Headers")
        if asked:
            self.set_header("Access-Control-Allow-Headers", asked)

    def verify_origin(self) -> bool:
        return self.gate.welcomes(self.handshake)

    def refuse(self, rejection: HandshakeRejected) -> None:
        self.preflight()
        super().refuse(rejection)

    def disable_cache(self) -> None:
        self.set_header("Cache-Control", NO_STORE)

    def handle_session_cookie(self) -> None:
        if self.server.options.jsessionid:
            value = self.get_cookie("JSESSIONID") or ""
            plain = re.fullmatch(r"[\w.!~-]{1,128}", value, re.ASCII)
            self.set_cookie("JSESSIONID", value if plain else "dummy")


class Admitting(Guarded):
    """A request that carries a session, and may open one."""

    _rejection: HandshakeRejected | None = None

    async def prepare(self) -> None:
        await super().prepare()
        # Tornado says nothing of a client that hung up right behind its request.
        if not self._finished and (self.gone or stream_of(self.request).closed()):
            self.abandoned()
            self.finish()  # and go no further: the session would wait for nobody

    def abandoned(self) -> None:
        """The client has hung up before it could be answered."""

    async def admit(self) -> None:
        """Ask the gate. Where the endpoint refuses by closing, `welcome` does it.

        :raises HandshakeRejected: the client is turned away
        """
        try:
            await self.gate.admit(self.handshake)
        except HandshakeRejected as rejection:
            if self.gate.endpoint.refusal == "http":
                raise
            self._rejection = rejection

    def welcome(self, connection: SockjsConnection) -> None:
        """Let the connection in, or close it with the reason for which it is refused."""
        refused = self._rejection
        if refused is None:
            self.gate.open(connection)
        else:
            reason = printable(refused.reason)
            connection.close(Close(refused.code, reason, refused.retry))
