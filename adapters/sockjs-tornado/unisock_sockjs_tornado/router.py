"""One endpoint's place in the library: its router, and the sessions of it that live."""

from __future__ import annotations

import re
from time import monotonic
from typing import Any
from urllib.parse import quote

from unisock.abc import Gate, Gateway
from unisock.connection import BufferedConnection
from unisock.timers import Timer

from .library import Session, SockJSConnection, SockJSRouter
from .options import Options

__all__ = ["JSON_INFLATION", "Router"]

JSON_INFLATION = 6
"""The most bytes that JSON spends on one byte of a message (RFC 8259 section 7: ``\\u0000``)."""


class Router(SockJSRouter):
    """The library's router for the endpoint of one gate.

    :ivar live: the connections that are open
    """

    def __init__(
        self,
        gateway: Gateway,
        gate: Gate,
        options: Options,
        connection: type[SockJSConnection],
        session: type[Session],
    ) -> None:
        prefix = re.escape(quote(gate.endpoint.path.rstrip("/"), safe="/%:@!$&'()*+,;=~"))
        settings: dict[str, Any] = {
            "disconnect_delay": options.disconnect_delay,
            "response_limit": options.response_limit,
            "jsessionid": options.jsessionid,
            "disabled_transports": [] if options.offers("websocket") else ["websocket"],
            "sockjs_url": options.sockjs_url,
        }
        super().__init__(connection, prefix, settings, session_kls=session)
        # Its timers go by the wall clock and outlive the server.
        self._sessions_cleanup.stop()
        self.stats._callback.stop()
        self.gateway = gateway
        self.gate = gate
        self.options = options
        self.live: set[BufferedConnection] = set()
        self._pause = min(1.0, options.disconnect_delay / 2)
        self._timer: Timer | None = None
        self._sweep()

    @property
    def body_limit(self) -> int:
        """The most bytes that one POST or one WebSocket message may have."""
        return JSON_INFLATION * self.gate.limits.message_bytes + 1024

    def stop(self) -> None:
        """Forget all sessions."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        """End the sessions whose client has not come back."""
        self._sessions.expire(monotonic())
        self._timer = self.gate.runtime.timers.call_later(self._pause, self._sweep)
