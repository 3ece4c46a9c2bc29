"""Who owns the socket, how sessions live on it, and the server as both see it."""

from __future__ import annotations

import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import msgspec
from anyio.abc import TaskStatus

from ..capabilities import Capabilities
from ..config import Endpoint
from ..errors import Unsupported
from ..exchange import Held, Request, Response
from ..handshake import Address, Handshake
from ..limits import Heartbeat, Limits, Overflow
from ..options import NoOptions
from .connection import Connection, Runtime

__all__ = ["Adapter", "Answer", "Gate", "Gateway", "Listener", "Protocol", "Upgrade"]


class Gate(ABC):
    """The way into one endpoint, for protocols and for adapters with sessions of their own.

    :ivar origins: pages that may connect besides those of the same origin, in lower case; ``*`` for
        all
    :ivar capabilities: what the adapter can do
    """

    endpoint: Endpoint
    capabilities: Capabilities
    origins: frozenset[str]
    limits: Limits
    overflow: Overflow
    heartbeat: Heartbeat
    runtime: Runtime

    def welcomes(self, handshake: Handshake) -> bool:
        """Whether the page that asks may connect: `admit` asks it, and so does whoever answers
        requests of a session that exists, or with CORS headers.
        """
        if handshake.same_origin or "*" in self.origins:
            return True
        return handshake.origin is not None and handshake.origin.lower() in self.origins

    @abstractmethod
    async def admit(self, handshake: Handshake) -> None:
        """Check origin and caps, ask the application, and choose the subprotocol.

        Nothing of a session may exist before this returns.

        :raises HandshakeRejected: the client is turned away
        """

    def admit_at_once(self, handshake: Handshake) -> bool:
        """The same as `admit` where nobody has to be asked, so that it costs no task.

        :returns: whether the client is admitted; if not, `admit` has to be awaited
        :raises HandshakeRejected: the client is turned away
        """
        return False

    @abstractmethod
    def open(self, connection: Connection) -> None:
        """Let an admitted connection in: it has its receiver afterwards.

        It may be closed again before this returns.
        """

    @abstractmethod
    def left(self, connection: Connection) -> None:
        """A connection has ended. Does nothing for one that was never opened here."""

    @abstractmethod
    def count_dropped(self, messages: int) -> None:
        """Messages to a client were dropped, because its outbox was full or it went away."""


class Upgrade:
    """The answer to a request for a WebSocket: accept it, then call `open` with the connection.

    :ivar headers: further headers of the 101 response; the subprotocol is in `handshake`
    """

    __slots__ = ("_open", "gate", "handshake", "headers")

    def __init__(
        self,
        gate: Gate,
        handshake: Handshake,
        open: Callable[[Connection], None],
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.gate = gate
        self.handshake = handshake
        self.headers = tuple(headers)
        self._open = open

    def open(self, connection: Connection) -> None:
        """Bring the accepted WebSocket to life. It may be closed again before this returns."""
        self._open(connection)


Answer: TypeAlias = Response | Upgrade | Held
"""What comes of a request."""


class Protocol(ABC):
    """How a session lives on HTTP exchanges and WebSockets. One object for each endpoint.

    :cvar name: what the configuration calls it
    :cvar needs: flags of `Capabilities` that the adapter must have
    :cvar below: whether it also owns the paths below its endpoint's
    :cvar binary: whether its sessions carry `bytes`
    :cvar Options: a struct of what can be set in the endpoint's table ``options``
    :param options: one of those
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]]
    below: ClassVar[bool] = False
    binary: ClassVar[bool] = True
    Options: ClassVar[type[msgspec.Struct]] = NoOptions

    def __init__(self, gate: Gate, options: Any = None) -> None:
        self.gate = gate
        self.options = self.Options() if options is None else options

    @property
    def sticky(self) -> str | None:
        """Whether the requests of one session have to reach one process: `None` if a session is a
        single request, such as a WebSocket, else the option that makes it so, as an order: ``Set
        options.transports = ["websocket"] there``. Several workers are refused then.
        """
        return None

    @abstractmethod
    def answer(self, request: Request) -> Answer | Awaitable[Answer]:
        """Answer a request to the endpoint's path, or below it.

        An ``async def`` may take as long as it likes: it is cancelled when the client goes away. A
        plain function that answers at once, or with a `Held`, saves the task; where it has to wait,
        it returns a coroutine, which is begun in any case but that of a server that stops. It is
        called from any callback of the event loop.

        :raises HandshakeRejected: the gateway makes the response
        :raises LimitExceeded: so it does here, with 413, or 408 for a limit of time
        :raises ProtocolError: and here, with 400
        """


class Listener(ABC):
    """Open ports.

    :ivar addresses: where clients can connect, port 0 resolved
    """

    addresses: tuple[Address, ...]

    @abstractmethod
    def close(self) -> None:
        """Accept no more; connections live on."""


class Gateway(ABC):
    """The server, as an adapter sees it."""

    limits: Limits
    runtime: Runtime
    gates: tuple[Gate, ...]

    @abstractmethod
    async def answer(self, request: Request) -> Response | Upgrade:
        """Answer any request. Never raises but for cancellation.

        Cancel it when the client goes away before there is an answer. A `Streamed` response comes
        only where the capabilities have ``http``.
        """

    @abstractmethod
    def respond(self, request: Request) -> Answer | Awaitable[Response | Upgrade]:
        """The same for adapters that spare themselves a task where there is nothing to wait for:
        the answer, or a coroutine for a task. Call it from any callback. Never raises.

        It answers more at once if it is told the whole body of a request.
        """

    @abstractmethod
    def owns(self, path: str) -> bool:
        """Whether there is an endpoint or an asset at this decoded path; for an adapter that is
        mounted in an application, whose own all other paths are.
        """

    @abstractmethod
    def see_through_proxies(self, handshake: Handshake) -> None:
        """Put the client's own address and scheme in the place of a trusted proxy's.

        `answer` does it by itself; an adapter with sessions of its own, for each of their requests.
        """

    @abstractmethod
    def sockets(self) -> list[socket.socket]:
        """Bind the configured addresses: non-blocking, listening sockets, now the caller's.

        :raises ConfigError: an address cannot be bound
        """

    @property
    @abstractmethod
    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS settings for those sockets; `None` for plain HTTP."""


class Adapter(ABC):
    """Who owns the socket and speaks HTTP/1.1 and RFC 6455.

    :cvar name: what the configuration calls it
    :cvar capabilities: what it can do; may be narrowed for an instance by its options
    :param options: the table ``[options.NAME]`` of the configuration, which the adapter validates
    """

    name: ClassVar[str]
    capabilities: Capabilities

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        if options:
            raise Unsupported(
                f"the adapter '{self.name}' has no options; remove [options.{self.name}]",
                what=f"options.{self.name}",
                who=self.name,
            )

    @property
    def sticky(self) -> str | None:
        """What `Protocol.sticky` is, for the sessions that the adapter brings itself."""
        return None

    def backend_options(self, backend: str) -> dict[str, Any]:
        """What `anyio.run` gets as ``backend_options`` where unisock makes the event loop: in
        `Server.run` and ``unisock serve``. Where the application has made it, nobody asks.

        :param backend: ``asyncio`` or ``trio``
        :raises ConfigError: the adapter is to have a loop that is not installed
        """
        return {}

    @abstractmethod
    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        """Serve until cancelled. On the way out, cut every connection that is left.

        :param task_status: told the `Listener` when connections are accepted
        """
