"""The contracts: all that an adapter, a protocol or a dialect imports.

Receiving is push. A driver's callback calls `Receiver.on_message`, the dialect calls
`Party.on_data`, the spark calls the handler: plain calls, one inside the other. Nothing in that
chain raises, blocks, or makes a task.

Sending is `Connection.put`, which never blocks, and `Connection.drain`, which waits for room.
"""

from __future__ import annotations

import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from anyio.abc import TaskStatus

from .capabilities import Capabilities
from .codecs import Codec
from .config import Endpoint
from .errors import Unsupported
from .exchange import Request, Response
from .framing import Framing
from .handshake import Address, Handshake
from .limits import Heartbeat, Limits, Overflow
from .messages import Close, Message, Packet, Sent, Wire
from .timers import Timers

__all__ = [
    "Adapter",
    "Connection",
    "Dialect",
    "Gate",
    "Gateway",
    "Listener",
    "Party",
    "Protocol",
    "Receiver",
    "Runtime",
    "Stage",
    "Upgrade",
]


class Runtime(ABC):
    """What a running server lends to its parts."""

    timers: Timers

    @abstractmethod
    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``await function(*args)`` beside all else, until it ends or the server stops.

        May be called from any callback of the event loop. An exception out of the function is
        logged and goes no further.
        """


class Receiver(ABC):
    """Where a connection pushes what arrives."""

    __slots__ = ()

    @abstractmethod
    def on_message(self, message: Message) -> None:
        """One whole message, in order. Never raises."""

    @abstractmethod
    def on_close(self, close: Close) -> None:
        """The connection has ended: once, after the last message. Never raises."""


class _Nobody(Receiver):
    """Hears for a connection until it is let in."""

    __slots__ = ()

    def on_message(self, message: Message) -> None: ...

    def on_close(self, close: Close) -> None: ...


_NOBODY = _Nobody()


class Connection(ABC):
    """A session's message pipe: long-lived, ordered, whatever carries it.

    Adapters and protocols derive from `unisock.connection.BufferedConnection`, which has the
    bounded outbox; a channel, a connection made from a connection, derives from this class.

    :ivar handshake: the request that opened it
    :ivar framing: how its messages are put on the wire; it may change when the transport does
    :ivar receiver: where messages go
    :ivar closed: how it ended; `None` while it lives
    :ivar latency: the last measured round trip in seconds; `None` before the first
    """

    __slots__ = ("closed", "framing", "handshake", "latency", "receiver")

    framing: Framing

    def __init__(self, handshake: Handshake, framing: Framing) -> None:
        self.handshake = handshake
        self.framing = framing
        self.receiver: Receiver = _NOBODY
        self.closed: Close | None = None
        self.latency: float | None = None

    def attach(self, receiver: Receiver) -> None:
        """Deliver to this receiver from now on, at once if the connection is closed already."""
        self.receiver = receiver
        if self.closed is not None:
            receiver.on_close(self.closed)

    def write(self, wire: Wire, overflow: Overflow | None = None) -> Sent:
        """Send a message, or several that belong together, without waiting.

        :raises EncodeError: the session cannot carry it
        """
        return self.put(self.framing.frames(wire), overflow)

    @abstractmethod
    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        """Send what `framing` made of a wire, all of it or nothing, without waiting.

        :param overflow: what to do when the outbox is full; the endpoint's policy unless given.
            With `Overflow.WAIT` the frame is not taken and not counted as dropped: `drain`, and
            try again.
        """

    @abstractmethod
    async def drain(self) -> None:
        """Wait until the outbox is empty and the driver takes more.

        :raises ConnectionClosed: the connection ended, or ends meanwhile
        """

    @abstractmethod
    def close(self, close: Close) -> None:
        """Start to close: what was sent before goes first. Does nothing the second time.

        The end comes through `Receiver.on_close`, within ``limits.close_seconds``.
        """

    @abstractmethod
    def fail(self, close: Close) -> None:
        """Cut the connection at once; it ends with ``close``."""

    @abstractmethod
    async def wait_closed(self) -> None:
        """Wait for the end."""

    def watch(self) -> None:  # noqa: B027 - not every connection has a heartbeat
        """Begin to watch for silence. The gate calls it when it has let the connection in."""

    @abstractmethod
    def pause_reading(self) -> None:
        """Deliver no message after this call until `resume_reading`; let the peer feel it."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Deliver again, beginning with what was held back."""


class Party(ABC):
    """Where a dialect pushes what it understood: the Spark, as the lower floors know it."""

    __slots__ = ()

    @abstractmethod
    def on_data(self, payload: object) -> None:
        """A payload for the application."""

    @abstractmethod
    def on_packet(self, packet: Packet) -> None:
        """A packet of another kind than `Data`."""

    @abstractmethod
    def on_close(self, close: Close) -> None:
        """The connection has ended."""

    @abstractmethod
    def on_violation(self, error: Exception) -> None:
        """The peer sent what is no message of the dialect: report it and close with its code.

        :param error: a `CodecError`, `ProtocolError` or `LimitExceeded`
        """


class Stage(ABC):
    """Where a dialect brings clients before the application: one for each endpoint.

    :ivar packets: the kinds of packet that some plugin consumes
    """

    packets: frozenset[type[Packet]]
    limits: Limits
    runtime: Runtime

    @abstractmethod
    def enter(self, connection: Connection, dialect: Dialect, *, id: str = "") -> Party:
        """Make a spark of this connection, which from now on is spoken to in ``dialect``.

        A dialect may bring several sparks out of one connection: each a channel, with an encoder of
        its own.

        :param id: the spark's id, where the dialect's clients already know one; else it is made
        """


class Dialect(ABC):
    """What a client family says inside messages. One object serves all connections of an endpoint.

    Sparks whose `dialect` is one object share what is encoded for them.

    :cvar name: what the configuration calls it
    """

    name: ClassVar[str]

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    @abstractmethod
    def converse(self, connection: Connection, stage: Stage) -> Receiver:
        """Begin to listen to a new connection. State of the conversation lives in the receiver."""

    @abstractmethod
    def encode_data(self, payload: object) -> Wire:
        """The message, or messages, for ``Data(payload)``.

        :raises EncodeError: the payload has no form in the codec
        """

    @abstractmethod
    def encode(self, packet: Packet) -> Wire:
        """The message, or messages, for any packet.

        :raises EncodeError: the dialect has no form for this kind of packet, or the codec for its
            payload
        """

    def farewell(self, close: Close) -> Wire | None:
        """What is to be said before the connection closes for this reason; `None` for nothing."""
        return None


class Gate(ABC):
    """The way into one endpoint, for protocols and for adapters with sessions of their own."""

    endpoint: Endpoint
    limits: Limits
    overflow: Overflow
    heartbeat: Heartbeat
    runtime: Runtime

    @abstractmethod
    async def admit(self, handshake: Handshake) -> None:
        """Check origin and caps, ask the application, and choose the subprotocol.

        Nothing of a session may exist before this returns.

        :raises HandshakeRejected: the client is turned away
        """

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


class Protocol(ABC):
    """How a session lives on HTTP exchanges and WebSockets. One object for each endpoint.

    :cvar name: what the configuration calls it
    :cvar needs: flags of `Capabilities` that the adapter must have
    :cvar below: whether it also owns the paths below its endpoint's
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]]
    below: ClassVar[bool] = False

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    @abstractmethod
    async def answer(self, request: Request) -> Response | Upgrade:
        """Answer a request to the endpoint's path, or below it.

        :raises HandshakeRejected: the gateway makes the response
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
        """Answer any request. Never raises but for cancellation."""

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

    @abstractmethod
    async def serve(self, gateway: Gateway, *, task_status: TaskStatus[Listener]) -> None:
        """Serve until cancelled. On the way out, cut every connection that is left.

        :param task_status: told the `Listener` when connections are accepted
        """
