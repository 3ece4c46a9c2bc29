"""The server as adapters, protocols and dialects see it: who may come in, and where they go."""

from __future__ import annotations

import inspect
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Generator, Mapping, Sequence
from copy import copy
from ipaddress import ip_network
from typing import Any

import anyio

from .abc import (
    Answer,
    Channel,
    Connection,
    Dialect,
    Gate,
    Gateway,
    Protocol,
    Runtime,
    Upgrade,
)
from .assets import Asset
from .capabilities import Capabilities
from .config import Endpoint, Settings
from .errors import HandshakeRejected, LimitExceeded, ProtocolError
from .exchange import Held, Request, Response
from .handshake import Handshake, TrustedProxies, parse_ip
from .limits import Heartbeat, Limits, Overflow
from .messages import Close, printable
from .pipeline import Handler, Pipeline, awaited
from .sockets import bind
from .sparks import Sparks
from .stage import PipelineBuilder, SparkStage

__all__ = ["EndpointGate", "ServerGateway"]

log = logging.getLogger("unisock")

_STATUS: dict[type[Exception], int] = {LimitExceeded: 413, ProtocolError: 400}
_FULL = Close(1013, "server full, try again later")


class EndpointGate(Gate, SparkStage):
    """The way into one endpoint, for connections and then for sparks.

    :ivar authorizes: whether the application decides who comes in
    """

    limits: Limits
    runtime: Runtime

    def __init__(
        self,
        gateway: ServerGateway,
        endpoint: Endpoint,
        *,
        heartbeat: Heartbeat,
        capabilities: Capabilities,
        dialect: Dialect,
        pipeline: Pipeline,
        authorize: Handler | None,
        build: PipelineBuilder,
    ) -> None:
        sparks = gateway.sparks
        asks_later = authorize is not None and dialect.asks_later
        super().__init__(
            pipeline,
            entered=sparks.enter,
            finders=sparks.registered.finders,
            build=build,
            guard=self._ask_about if asks_later else None,
        )
        settings = gateway.settings
        self.endpoint = endpoint
        self.heartbeat = heartbeat
        self.capabilities = capabilities
        self.overflow: Overflow = endpoint.overflow or settings.overflow
        self._gateway = gateway
        self._dialect = dialect
        self._authorize = authorize
        self.authorizes = authorize is not None
        origins = settings.origins if endpoint.origins is None else endpoint.origins
        self.origins = frozenset(origin.lower() for origin in origins)

    async def admit(self, handshake: Handshake) -> None:
        self._check(handshake)
        if self._authorize is not None and not self._dialect.asks_later:
            await self._consult(self._authorize, handshake)

    def admit_at_once(self, handshake: Handshake) -> bool:
        if self._authorize is not None and not self._dialect.asks_later:
            return False
        self._check(handshake)
        return True

    def open(self, connection: Connection) -> None:
        if self._gateway.take_in(connection):
            connection.handshake.headers.compact()
            connection.watch()
            connection.attach(self._dialect.converse(connection, self))
        else:
            connection.close(_FULL)

    def left(self, connection: Connection) -> None:
        self._gateway.let_go(connection)

    def count_dropped(self, messages: int) -> None:
        self._gateway.sparks.count_dropped(messages)

    def _check(self, handshake: Handshake) -> None:
        """All but the application's own question."""
        try:
            self._gateway.check_room(handshake)
            if not self.welcomes(handshake):
                raise HandshakeRejected(
                    f"origin {printable(handshake.origin or '', 200)} is not allowed; the setting "
                    "`origins` lists those that are"
                )
        except HandshakeRejected as rejection:
            self._gateway.refused(handshake, rejection)
            raise
        spoken = self.endpoint.subprotocols
        if spoken:
            offers = handshake.subprotocols
            handshake.subprotocol = next((name for name in spoken if name in offers), "")

    async def _consult(self, authorize: Handler, handshake: Handshake) -> None:
        try:
            await self._ask_application(authorize, handshake)
        except HandshakeRejected as rejection:
            self._gateway.refused(handshake, rejection)
            raise

    async def _ask_about(self, channel: Channel) -> Any:
        """Ask what is asked of connections elsewhere; returns the user."""
        handshake = copy(channel.handshake)
        handshake.auth = channel.auth
        assert self._authorize is not None
        await self._consult(self._authorize, handshake)
        return handshake.user

    async def _ask_application(self, authorize: Handler, handshake: Handshake) -> None:
        """Let the application decide: it raises, or returns False, to refuse."""
        answer: Any = None
        with anyio.move_on_after(self.limits.authorize_seconds) as scope:
            try:
                answer = await awaited(authorize(handshake))
                if answer is False:
                    raise HandshakeRejected
            except HandshakeRejected as rejection:
                if not rejection.says_status:
                    rejection.status = self._dialect.refusal
                raise
            except Exception as error:
                log.exception("%r: exception in authorize", handshake)
                raise HandshakeRejected("Internal server error", status=500) from error
        if scope.cancelled_caught:
            raise HandshakeRejected("authorize took too long", status=503, code=1013, retry=True)
        handshake.user = answer


class ServerGateway(Gateway):
    """All endpoints of a server, its connections and its sparks.

    :ivar sparks: the life of its sparks
    :ivar rejections: clients turned away so far
    :ivar draining: no new client is let in
    :ivar bound: sockets to serve on, where it need not bind any
    """

    def __init__(
        self,
        settings: Settings,
        sparks: Sparks,
        assets: Mapping[str, Asset],
    ) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.sparks = sparks
        self.runtime = sparks.runtime
        self.plugins = sparks.plugins
        self.gates: tuple[Gate, ...] = ()
        self.rejections = 0
        self.draining = False
        self.bound: Sequence[socket.socket] | None = None
        self._proxies = TrustedProxies(settings.trusted_proxies)
        self._assets = assets
        self._documents: dict[str, Asset] = {}
        self._routes: dict[str, Protocol] = {}
        self._connections: dict[Connection, str] = {}
        self._per_address: Counter[str] = Counter()
        tls = settings.listen.tls
        self._ssl_context = tls.context() if tls is not None else None

    def add(
        self, gate: Gate, protocol: Protocol | None, documents: Mapping[str, Asset] | None = None
    ) -> None:
        """Add an endpoint; without a protocol it is the adapter's own business.

        :param documents: what its dialect offers beneath its path
        """
        self.gates += (gate,)
        here = gate.endpoint.path.rstrip("/")
        self._documents.update({here + name: asset for name, asset in (documents or {}).items()})
        if protocol is not None:
            self._routes[gate.endpoint.path] = protocol

    # For adapters.

    async def answer(self, request: Request) -> Response | Upgrade:
        answer = self.respond(request)
        if isinstance(answer, Held):
            return await _wait_for(answer)
        return answer if isinstance(answer, (Response, Upgrade)) else await answer

    def respond(self, request: Request) -> Answer | Awaitable[Response | Upgrade]:
        handshake = request.handshake
        self.see_through_proxies(handshake)
        asset = self._asset(handshake.path)
        if asset is not None and not request.upgrade:
            return asset.answer(handshake)
        protocol = self._find(handshake.path)
        if protocol is None:
            return Response.text(404, f"There is nothing at {printable(handshake.path, 200)}.")
        try:
            answer = protocol.answer(request)
        except Exception as error:
            return _failed(handshake, error)
        if isinstance(answer, (Response, Upgrade, Held)):
            return answer
        return _Coming(handshake, answer)

    def owns(self, path: str) -> bool:
        return self._asset(path) is not None or self._find(path) is not None

    def see_through_proxies(self, handshake: Handshake) -> None:
        self._proxies.apply(handshake)

    def sockets(self) -> list[socket.socket]:
        if self.bound is None:
            return bind(self.settings.listen)
        for bound in self.bound:
            bound.listen(self.settings.listen.backlog)
        return [*self.bound]

    @property
    def ssl_context(self) -> ssl.SSLContext | None:
        return self._ssl_context

    def _asset(self, path: str) -> Asset | None:
        return self._assets.get(path) or self._documents.get(path)

    def _find(self, path: str) -> Protocol | None:
        """The protocol of the endpoint at this path, or of the nearest above that owns it."""
        path = path.rstrip("/") or "/"
        protocol = self._routes.get(path)
        while protocol is None and path != "/":
            path = path.rpartition("/")[0] or "/"
            above = self._routes.get(path)
            if above is not None and above.below:
                protocol = above
        return protocol

    # For gates.

    def check_room(self, handshake: Handshake) -> None:
        """:raises HandshakeRejected: the server drains, or a cap on connections is reached"""
        limits, address = self.limits, network_of(handshake.peer.host)
        if self.draining:
            reason = "server is restarting"
        elif len(self._connections) >= limits.connections:
            reason = f"over the limit connections = {limits.connections}"
        elif self._per_address[address] >= limits.connections_per_address:
            reason = f"over the limit connections_per_address = {limits.connections_per_address}"
        else:
            return
        raise HandshakeRejected(
            reason, status=503, code=1013, retry=True, headers=(("Retry-After", "5"),)
        )

    def take_in(self, connection: Connection) -> bool:
        """Count a connection; `False` if there is no room for it after all."""
        try:
            self.check_room(connection.handshake)
        except HandshakeRejected as rejection:
            self.refused(connection.handshake, rejection)
            return False
        address = network_of(connection.handshake.peer.host)
        self._connections[connection] = address
        self._per_address[address] += 1
        return True

    def let_go(self, connection: Connection) -> None:
        """Count a connection no more."""
        address = self._connections.pop(connection, None)
        if address is not None:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]

    def refused(self, handshake: Handshake, rejection: HandshakeRejected) -> None:
        """Report that a client was turned away."""
        self.rejections += 1
        log.info(
            "%r: refused with %d: %s", handshake, rejection.status, printable(rejection.reason, 200)
        )
        self.plugins.tell("unisock_refused", handshake=handshake, rejection=rejection)

    @property
    def per_process(self) -> list[str]:
        """What plugins have that reaches the clients of one process only, and is to be known."""
        return [what for what in self.plugins.hook.unisock_per_process() if what]

    @property
    def dropped(self) -> int:
        """Messages to clients that were dropped so far."""
        return self.sparks.dropped

    @property
    def connections(self) -> list[Connection]:
        """All live connections."""
        return [*self._connections]


class _Coming(Awaitable[Response | Upgrade]):
    """An answer that has to be waited for."""

    __slots__ = ("_coming", "_handshake")

    def __init__(self, handshake: Handshake, coming: Awaitable[Answer]) -> None:
        self._handshake = handshake
        self._coming = coming

    def __await__(self) -> Generator[Any, Any, Response | Upgrade]:
        return self._wait().__await__()

    async def _wait(self) -> Response | Upgrade:
        try:
            answer = await self._coming
        except Exception as error:
            return _failed(self._handshake, error)
        return await _wait_for(answer) if isinstance(answer, Held) else answer

    def __del__(self) -> None:
        # Nobody has waited, if the server has stopped; a coroutine would complain.
        if inspect.iscoroutine(self._coming):
            self._coming.close()


async def _wait_for(held: Held) -> Response:
    ready = anyio.Event()
    held.wait(ready.set)
    try:
        await ready.wait()
    except BaseException:
        held.gone()
        raise
    return held.response()


def _failed(handshake: Handshake, error: Exception) -> Response:
    """The answer to a request in which something went wrong."""
    match error:
        case HandshakeRejected():
            return Response.refusal(error)
        case LimitExceeded() | ProtocolError():
            reason = printable(str(error), 200)
            log.info("%r: %s", handshake, reason)
            status = error.code if 400 <= error.code <= 499 else _STATUS[type(error)]
            return Response.text(status, reason)
        case _:
            log.error("%r: exception while answering", handshake, exc_info=error)
            return Response.text(500, "Internal server error.")


def network_of(host: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that an IPv6 host can choose from."""
    if ":" not in host:
        return host
    address = parse_ip(host)
    if address is None:
        return host
    return str(address if address.version == 4 else ip_network((address, 64), strict=False))
