"""All exchanges and WebSockets of one run of a server, as one ASGI application."""

from __future__ import annotations

import logging

import anyio

from unisock.exchange import Response

from .http import Exchange, send_response
from .live import Live
from .scope import Receive, Scope, Send
from .websocket import Session

__all__ = ["Front", "refuse"]

log = logging.getLogger("unisock")


class Front(Live):
    """Answers every ``http`` and ``websocket`` scope that it is called with."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.closed:
            await refuse(scope, receive, send, Response.text(503, "This server has stopped."))
            return
        kind = Session if scope["type"] == "websocket" else Exchange
        try:
            await kind(self, scope, receive, send).run()
        except Exception:
            # Hosts log it in as many ways as there are hosts, and then do the same as on a return.
            log.exception("exception in an ASGI exchange")

    async def close_at_the_end(self) -> None:
        """Wait until cancelled, then end everything."""
        try:
            await anyio.sleep_forever()
        finally:
            self.close()


async def refuse(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """Answer a request, or turn a WebSocket away, without asking anybody."""
    if scope["type"] == "http":
        await send_response(send, scope, response)
        return
    await receive()  # websocket.connect
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await send_response(send, scope, response, "websocket.http")
    else:
        await send({"type": "websocket.close"})
