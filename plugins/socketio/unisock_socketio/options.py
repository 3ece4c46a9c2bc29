"""What can be set for an endpoint, and what a client can be told."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

__all__ = ["ClientOptions", "Options", "Recovery"]

Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
ParserName: TypeAlias = Literal["text", "msgpack"]


class Recovery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How clients may come back after a cut, and find all as it was (``connectionStateRecovery``
    of Node's server).
    """

    max_disconnection_duration: Milliseconds = 120_000
    """How long a client may be away."""
    max_messages: Count = 1000
    """The last events to each client that are kept, to be sent again."""
    max_bytes: Count = 1_048_576
    """The same, by their size."""
    max_sessions: Count = 10_000
    """Clients of the endpoint that may be away at a time; beyond it, who left first is given up."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The table ``options`` of an endpoint. Times are in milliseconds, as Socket.IO has them."""

    parser: ParserName = "text"
    """The form of packets: Socket.IO's own, or ``msgpack`` for clients with
    socket.io-msgpack-parser."""
    connect_timeout: Milliseconds = 45_000
    """How long a connection may be in no namespace."""
    max_attachments: Count = 10
    """Pieces of binary data in one packet, either way; clients since 4.8 take 10."""
    recovery: bool | Recovery = False
    """Let clients come back after a cut, with nothing lost."""


class ClientOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `connect` can be told."""

    namespace: str = "/"
    """The namespace of the client's spark."""
    auth: Any = None
    """What the server's ``authorize`` is given: a dictionary, or a function, sync or async, that is
    asked for one at each attempt."""
    parser: ParserName = "text"
    """The form of packets, as the server has it."""
    max_attachments: Count = 10
    """Pieces of binary data in one packet, either way."""

    def __post_init__(self) -> None:
        name = self.namespace
        if name[:1] != "/" or "," in name or not name.isprintable():
            raise ValueError(f"namespace: it begins with / and has no comma, unlike {name!r}")
        if not (self.auth is None or isinstance(self.auth, dict) or callable(self.auth)):
            raise ValueError("auth: a dictionary, or a function that gives one")
