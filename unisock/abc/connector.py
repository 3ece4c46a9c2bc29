"""The client's side of a protocol: who makes connections."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import msgspec

from ..errors import Unsupported
from ..url import Url
from .adapter import Gate

__all__ = ["Call", "Connector"]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to connect: where to, and what to say."""

    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers of the request."""
    subprotocols: tuple[str, ...] = ()
    """Offered to the server, best first (RFC 6455 section 1.9)."""
    tls: ssl.SSLContext | None = None
    """How the server's certificate is checked; by the system's authorities unless given."""
    server_name: str | None = None
    """What the server is called, where that is not the URL's host: for the ``Host`` header, and to
    check its certificate."""
    proxy: str | bool = True
    """The URL of a proxy; `True` asks the environment (``https_proxy``, ``no_proxy``, …)."""


class Connector(ABC):
    """Opens sessions with servers.

    :cvar name: what stands before the ``+`` of a URL; ``websocket`` for ``ws`` and ``wss``
    :param options: what it alone can be told
    """

    name: ClassVar[str]

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        if options:
            raise Unsupported(
                f"the connector '{self.name}' has no options", what="options", who=self.name
            )

    @abstractmethod
    async def connect(self, call: Call, gate: Gate) -> None:
        """Open a session, and bring it to ``gate.open`` before its first message is delivered.

        What has to run beside is started with ``gate.runtime.spawn``. Whoever calls this cancels
        it when it takes too long.

        :raises HandshakeRejected: the server turns this client away
        :raises Redirected: the server sends this client elsewhere
        :raises ProtocolError: it is no such server
        :raises OSError: it cannot be reached
        :raises ConfigError: this call cannot be made
        """
