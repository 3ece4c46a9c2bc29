"""HTTP requests: each is passed to the gateway, and answered or made a WebSocket."""

from __future__ import annotations

import asyncio

from aiohttp import web

from unisock.abc import Gateway
from unisock.exchange import Response
from unisock.frame_connection import Connections

from .exchange import Exchange
from .options import Options

__all__ = ["Front"]


class Front:
    """All of a server's HTTP exchanges and WebSockets.

    :ivar closed: the server has stopped
    """

    def __init__(self, gateway: Gateway, options: Options) -> None:
        self.gateway = gateway
        self.options = options
        self.closed = False
        self._connections = Connections(asyncio.get_running_loop().call_soon)
        self._exchanges: set[Exchange] = set()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """aiohttp's handler."""
        exchange = Exchange(self.gateway, self._connections, request, self.options.compression)
        if self.closed:
            return await exchange.reply(Response.text(503, "This server has stopped."))
        self._exchanges.add(exchange)
        try:
            return await exchange.run()
        finally:
            self._exchanges.discard(exchange)

    def close(self) -> None:
        """Cut all connections and streams, and give up all answers that are not ready yet."""
        self.closed = True
        for exchange in [*self._exchanges]:
            exchange.give_up()
        self._connections.abort()
