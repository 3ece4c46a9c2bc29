"""What ``import unisock`` offers, for type checkers; see ``__init__.py``."""

from .abc import Channel
from .audience import Audience, Who
from .capabilities import Capabilities
from .client import Client, connect
from .config import Endpoint, Listen, Settings, Tls
from .errors import (
    ClosedByPeer,
    ClosedLocally,
    CodecError,
    ConfigError,
    ConnectionClosed,
    ConnectionLost,
    ConnectionRejected,
    DecodeError,
    EncodeError,
    HandshakeRejected,
    LimitExceeded,
    NotInstalled,
    ProtocolError,
    Redirected,
    UnisockError,
    Unreachable,
    Unsupported,
)
from .handlers import ChannelHandlers, EndpointHandlers
from .handshake import Address, Handshake, Headers
from .hookspecs import Register, hookimpl
from .hub import Hub
from .limits import Heartbeat, Limits, Overflow
from .messages import Ack, Close, Data, Delivery, Event, Fault, Message, Origin, Packet, Sent
from .pipeline import DROP
from .redial import Backoff, State, StateChange
from .server import Server
from .spark import Spark

__version__: str

__all__ = [
    "DROP",
    "Ack",
    "Address",
    "Audience",
    "Backoff",
    "Capabilities",
    "Channel",
    "ChannelHandlers",
    "Client",
    "Close",
    "ClosedByPeer",
    "ClosedLocally",
    "CodecError",
    "ConfigError",
    "ConnectionClosed",
    "ConnectionLost",
    "ConnectionRejected",
    "Data",
    "DecodeError",
    "Delivery",
    "EncodeError",
    "Endpoint",
    "EndpointHandlers",
    "Event",
    "Fault",
    "Handshake",
    "HandshakeRejected",
    "Headers",
    "Heartbeat",
    "Hub",
    "LimitExceeded",
    "Limits",
    "Listen",
    "Message",
    "NotInstalled",
    "Origin",
    "Overflow",
    "Packet",
    "ProtocolError",
    "Redirected",
    "Register",
    "Sent",
    "Server",
    "Settings",
    "Spark",
    "State",
    "StateChange",
    "Tls",
    "UnisockError",
    "Unreachable",
    "Unsupported",
    "Who",
    "__version__",
    "connect",
    "hookimpl",
]
