"""The sockjs-tornado adapter: as a server of its own, or mounted into a Tornado application."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import unquote

import anyio
from anyio.abc import TaskStatus
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule, URLSpec
from tornado.web import Application, RequestHandler

from unisock import Address, Capabilities, Close, ConfigError, Server
from unisock.abc import Adapter, Gateway, Listener, Upgrade
from unisock.exchange import Request, Response
from unisock.sockets import address_of

from . import library, pages, receivers, senders, websocket
from .guard import handshake_of, write
from .options import ALWAYS, ON_REQUEST, Options
from .router import Router
from .session import SockjsSession, Tie

__all__ = ["SockjsTornadoAdapter", "routes"]

log = logging.getLogger("unisock.sockjs-tornado")

HEADER_BYTES = 65_536
BODY_BYTES = 65_536
"""The most that a request body may have which nobody reads."""

OURS: dict[type[RequestHandler], tuple[str, type[RequestHandler]]] = {
    library.WebSocketTransport: ("websocket", websocket.Socket),
    library.RawWebSocketTransport: ("websocket-raw", websocket.RawSocket),
    library.XhrStreamingTransport: ("xhr-streaming", receivers.XhrStreaming),
    library.XhrPollingTransport: ("xhr-polling", receivers.XhrPolling),
    library.EventSourceTransport: ("eventsource", receivers.EventSource),
    library.HtmlFileTransport: ("htmlfile", receivers.HtmlFile),
    library.JSONPTransport: ("jsonp-polling", receivers.Jsonp),
    library.JSONPSendHandler: ("jsonp-polling", senders.JsonpSend),
    library.XhrSendHandler: ("", senders.XhrSend),
    library.InfoHandler: ("", pages.Info),
    library.GreetingsHandler: ("", pages.Greeting),
}
"""For each handler of the library: the transport that it belongs to, and what stands in for it."""


class SockjsTornadoAdapter(Adapter):
    """Serves SockJS sessions with sockjs-tornado.

    ``close_codes`` holds for the WebSocket transports; over HTTP, the protocol has no way for the
    client to give a code. ``ping`` likewise: over HTTP a client is found gone when its request
    breaks, or when it does not send the next one within ``disconnect_delay``.
    """

    name = "sockjs-tornado"
    capabilities = Capabilities(sessions=("sockjs",), binary=False, subprotocols=False, mount=True)

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.options = Options.read(options or {}, self.name)

    @property
    def sticky(self) -> str | None:
        offered = [name for name in (*ALWAYS, *ON_REQUEST) if self.options.offers(name)]
        if all(name.startswith("websocket") for name in offered):
            return None
        return f'Set options.{self.name}.transports = ["websocket"]'

    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        routers = self.routers(gateway)
        server = HTTPServer(
            Application(
                [url for router in routers for url in urls(router)],
                default_handler_class=_Elsewhere,
                default_handler_args={"gateway": gateway},
                log_function=_log_request,
            ),
            ssl_options=gateway.ssl_context,
            idle_connection_timeout=gateway.limits.handshake_seconds,
            body_timeout=senders.PATIENCE * gateway.limits.handshake_seconds,
            max_header_size=HEADER_BYTES,
            max_body_size=BODY_BYTES,
        )
        sockets = gateway.sockets()
        addresses = tuple(address_of(bound) for bound in sockets)
        server.add_sockets(sockets)
        task_status.started(_Listener(server, addresses))
        try:
            await anyio.sleep_forever()
        finally:
            server.stop()
            for router in routers:
                router.stop()
                for connection in [*router.live]:
                    connection.fail(Close(1001, "server is gone"))
            with anyio.CancelScope(shield=True):
                await server.close_all_connections()

    def routers(self, gateway: Gateway) -> list[Router]:
        """A router of the library for each endpoint."""
        return [
            Router(gateway, gate, self.options, connection=Tie, session=SockjsSession)
            for gate in gateway.gates
        ]


def routes(server: Server) -> list[Rule]:
    """The endpoints and assets of a running server, for a Tornado application of yours::

        async with server:
            application = Application([(r"/", Page), *routes(server)])

    All other paths stay the application's, and so do listening, TLS and the time-outs of HTTP. When
    the ``async with`` ends, all connections are closed.

    :raises ConfigError: the server does not run, or has another adapter
    """
    adapter = server.adapter
    if not isinstance(adapter, SockjsTornadoAdapter):
        raise ConfigError(
            f"the adapter is '{adapter.name}', whose routes these are not; "
            f'set adapter = "{SockjsTornadoAdapter.name}"',
            key="adapter",
        )
    gateway = server.gateway
    rules: list[Rule] = [url for router in adapter.routers(gateway) for url in urls(router)]
    return [*rules, Rule(_Owned(gateway), _Elsewhere, {"gateway": gateway})]


def urls(router: Router) -> list[URLSpec]:
    """The library's URLs for an endpoint, with our handlers. What is not on offer is not there."""
    ours = {
        kind: handler
        for kind, (transport, handler) in OURS.items()
        if not transport or router.options.offers(transport)
    }
    if router.options.iframe:
        ours[library.IFrameHandler] = pages.IFrame
    return [
        URLSpec(pattern, ours[kind], arguments)
        for pattern, kind, arguments in router.urls
        if kind in ours
    ]


class _Listener(Listener):
    def __init__(self, server: HTTPServer, addresses: tuple[Address, ...]) -> None:
        self.addresses = addresses
        self._server = server

    def close(self) -> None:
        self._server.stop()


class _Owned(Matcher):
    """The paths of assets; those of endpoints were matched before."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return {} if self._gateway.owns(unquote(request.path)) else None


class _Elsewhere(RequestHandler):
    """All that is not of an endpoint: the gateway knows the answer."""

    def initialize(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    async def prepare(self) -> None:
        handshake = handshake_of(self.request, self.gateway, "http")
        answer = await self.gateway.answer(Request(handshake, upgrade=False))
        if isinstance(answer, Upgrade):
            answer = Response.text(501, "This server has no WebSockets but those of SockJS.")
        write(self, answer)

    def check_xsrf_cookie(self) -> None:
        """The gateway's business."""

    def compute_etag(self) -> None:
        """The gateway's business."""


def _log_request(handler: RequestHandler) -> None:
    """Quietly: what matters is logged where it happens."""
    request = handler.request
    log.debug("%d %s from %s", handler.get_status(), request.method, request.remote_ip)
