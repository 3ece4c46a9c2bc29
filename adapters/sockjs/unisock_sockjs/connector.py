"""The client's side: ``connect("sockjs+http://…")``."""

from __future__ import annotations

import secrets
from math import inf
from typing import Any

import anyio
import msgspec

from unisock.abc import Call, Connector, Gate
from unisock.connection import LOST
from unisock.errors import ConfigError, HandshakeRejected, NotInstalled, ProtocolError
from unisock.options import read_options
from unisock.registry import look_up

from .client_session import Carrying, refused

__all__ = ["ConnectorOptions", "SockjsConnector"]

KNOWN = ("websocket", "xhr-streaming", "xhr-polling")
PATIENCE = 10.0
"""Seconds for each transport, where the caller has no end of time."""
_FINAL = frozenset({401, 403, 408, 429, 503})
"""HTTP statuses that say something of this client, and not of WebSockets."""


class ConnectorOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be told in ``connect``."""

    transports: tuple[str, ...] = KNOWN
    """What to try, in this order: ``websocket``, ``xhr-streaming``, ``xhr-polling``."""

    def __post_init__(self) -> None:
        if not self.transports or not set(self.transports) <= set(KNOWN):
            raise ValueError(f"transports: there are {', '.join(KNOWN)}")


class SockjsConnector(Connector):
    """Opens SockJS sessions, on asyncio and trio: over a WebSocket, and where that is not let
    through, by streaming responses and POSTs, or by polling.

    A proxy may also swallow what it does not know, or keep a stream back until it ends. So the time
    that the caller has is shared out: each transport has its part of what is left.

    :raises ConfigError: an option is unknown or of the wrong kind; see `ConnectorOptions`
    """

    name = "sockjs"

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        (read,) = read_options("options", options or {}, ConnectorOptions)
        assert isinstance(read, ConnectorOptions)
        self._transports = read.transports

    async def connect(self, call: Call, gate: Gate) -> None:
        last: Exception | None = None
        for number, transport in enumerate(self._transports):
            here, seconds = _with_session(call), _share(len(self._transports) - number)
            try:
                if transport == "websocket":
                    await _connect_socket(here, gate, seconds)
                else:
                    with anyio.fail_after(seconds):
                        await _connect_stream(here, gate, transport, last)
                return
            except (HandshakeRejected, ProtocolError, NotInstalled, OSError) as error:
                last = error
                if isinstance(error, HandshakeRejected) and error.status in _FINAL:
                    break
        assert last is not None
        raise last


def _share(left: int) -> float:
    """The seconds of one transport, where so many are left to be tried, itself included."""
    remaining = anyio.current_effective_deadline() - anyio.current_time()
    if remaining == inf:
        return PATIENCE
    return remaining / left if left > 1 else inf


async def _connect_socket(call: Call, gate: Gate, seconds: float) -> None:
    resource, question, query = call.url.resource.partition("?")
    resource = f"{resource}/websocket{question}{query}"
    carrying = Carrying(gate)
    connector: Connector = look_up("connector", "websocket")()
    call = msgspec.structs.replace(call, url=msgspec.structs.replace(call.url, resource=resource))
    try:
        with anyio.move_on_after(seconds) as scope:
            await connector.connect(call, carrying)
            assert carrying.session is not None
            await carrying.session.changed.wait()
    finally:
        session = carrying.session
        if session is not None and not (session.opened or session.closed):
            session.below.fail(LOST)
    if session is None or (scope.cancelled_caught and not session.opened):
        raise TimeoutError(f"{call.url.authority}: nothing came over a WebSocket")
    if not session.opened:
        if session.goodbye is None:  # so it was not the server who ended it
            raise ConnectionError(f"{call.url.authority}: the WebSocket was cut")
        raise refused(session.goodbye)


async def _connect_stream(call: Call, gate: Gate, transport: str, last: Exception | None) -> None:
    try:
        from .client_stream import open_stream  # httpx need not be installed
    except ImportError as error:
        raise last or ConfigError(
            "SockJS without WebSocket needs: pip install 'unisock-sockjs[client]'", key="connector"
        ) from error
    await open_stream(call, gate, transport)


def _with_session(call: Call) -> Call:
    """The call at the URL of a new session of the client's making."""
    path, question, query = call.url.resource.partition("?")
    session = f"{secrets.randbelow(1000):03}/{secrets.token_urlsafe(16)}"
    resource = f"{path.rstrip('/')}/{session}{question}{query}"
    return msgspec.structs.replace(call, url=msgspec.structs.replace(call.url, resource=resource))
