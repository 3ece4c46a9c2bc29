"""Write a real-time application once; choose by configuration who owns the socket."""

from importlib.metadata import version

from .audience import Audience, Who
from .capabilities import Capabilities
from .config import Endpoint, Listen, Settings, Tls
from .errors import (
    ClosedByPeer,
    ClosedLocally,
    CodecError,
    ConfigError,
    ConnectionClosed,
    ConnectionLost,
    DecodeError,
    EncodeError,
    HandshakeRejected,
    LimitExceeded,
    NotInstalled,
    ProtocolError,
    UnisockError,
    Unsupported,
)
from .handshake import Address, Handshake, Headers
from .hookspecs import Register, hookimpl
from .hub import Hub
from .limits import Heartbeat, Limits, Overflow
from .messages import Ack, Close, Data, Delivery, Event, Fault, Message, Origin, Packet, Sent
from .pipeline import DROP
from .server import EndpointHandlers, Server
from .spark import Spark

__version__ = version("unisock")

__all__ = [
    "DROP",
    "Ack",
    "Address",
    "Audience",
    "Capabilities",
    "Close",
    "ClosedByPeer",
    "ClosedLocally",
    "CodecError",
    "ConfigError",
    "ConnectionClosed",
    "ConnectionLost",
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
    "Register",
    "Sent",
    "Server",
    "Settings",
    "Spark",
    "Tls",
    "UnisockError",
    "Unsupported",
    "Who",
    "__version__",
    "hookimpl",
]
