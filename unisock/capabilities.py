"""What an adapter can do, said once, so that nobody has to ask for its name."""

from __future__ import annotations

import msgspec

__all__ = ["Capabilities"]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """A closed set of flags. The conformance suite tests each that is set and skips the others."""

    backends: tuple[str, ...] = ("asyncio",)
    """The anyio backends it runs on: ``asyncio``, ``trio``."""
    websocket: bool = False
    """It accepts WebSockets (RFC 6455) for any protocol that asks for one."""
    http: bool = False
    """It carries HTTP exchanges with bodies and streamed responses."""
    chunk_extensions: bool = False
    """A request's body may come in chunks with extensions, which are passed over (RFC 9112 section
    7.1.1)."""
    sessions: tuple[str, ...] = ()
    """Protocols whose sessions it brings itself; such an endpoint needs no `Protocol`."""
    binary: bool = True
    """Messages may be `bytes`."""
    close_codes: bool = True
    """The client's close code and reason arrive. Ours reach the client with every adapter."""
    ping: bool = True
    """A silent client can be asked whether it lives, and its answer is noticed."""
    subprotocols: bool = True
    """A subprotocol can be agreed on (RFC 6455 section 1.9)."""
    fragments: bool = True
    """The number of fragments of one message is capped."""
    refusals: bool = True
    """A refused client sees the HTTP status and the reason."""
    compression: bool = False
    """permessage-deflate (RFC 7692) can be turned on."""
    tls: bool = True
    """It can serve ``https`` and ``wss``."""
    unix: bool = True
    """It can listen on a Unix socket."""
    mount: bool = False
    """It can be mounted into an application of its framework."""
