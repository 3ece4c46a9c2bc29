"""Write a real-time application once; choose by configuration who owns the socket."""

from importlib import import_module

_OFFERED = {
    "abc": ("Channel",),
    "audience": ("Audience", "Who"),
    "capabilities": ("Capabilities",),
    "client": ("Client", "connect"),
    "config": ("Endpoint", "Listen", "Settings", "Tls"),
    "errors": (
        "ClosedByPeer",
        "ClosedLocally",
        "CodecError",
        "ConfigError",
        "ConnectionClosed",
        "ConnectionLost",
        "ConnectionRejected",
        "DecodeError",
        "EncodeError",
        "HandshakeRejected",
        "LimitExceeded",
        "NotInstalled",
        "ProtocolError",
        "Redirected",
        "UnisockError",
        "Unreachable",
        "Unsupported",
    ),
    "handlers": ("ChannelHandlers", "EndpointHandlers"),
    "handshake": ("Address", "Handshake", "Headers"),
    "hookspecs": ("Register", "hookimpl"),
    "hub": ("Hub",),
    "limits": ("Heartbeat", "Limits", "Overflow"),
    "messages": (
        "Ack",
        "Close",
        "Data",
        "Delivery",
        "Event",
        "Fault",
        "Message",
        "Origin",
        "Packet",
        "Sent",
    ),
    "pipeline": ("DROP",),
    "redial": ("Backoff", "State", "StateChange"),
    "server": ("Server",),
    "spark": ("Spark",),
}
_HOMES = {name: module for module, names in _OFFERED.items() for name in names}
"""Each name with its module, which is imported when the name is asked for: a server needs no
client, and whoever asks for the version needs neither. ``__init__.pyi`` says the same to a type
checker.
"""

__all__ = ["__version__", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    value: object
    if name == "__version__":
        from importlib.metadata import version

        value = version(__name__)
    elif name in _HOMES:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
