"""One request and its answer."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import anyio
from aiohttp import web

from unisock import Handshake
from unisock.abc import Gateway, Upgrade
from unisock.exchange import Held, Request, Response, Streamed
from unisock.frame_connection import Connections
from unisock.sockets import peer_address

from .body import Outgoing
from .connection import AiohttpConnection
from .deflate import PLAIN, agree
from .headers import accept_of, asks_for_websocket, fit, headers_of, refusal
from .watch import Observer, Watch

__all__ = ["Exchange"]

log = logging.getLogger("unisock")


class Exchange(Observer):
    """One request and its answer.

    :param compression: whether to agree to permessage-deflate
    """

    def __init__(
        self,
        gateway: Gateway,
        connections: Connections,
        request: web.BaseRequest,
        compression: bool,
    ) -> None:
        self._gateway = gateway
        self._connections = connections
        self._request = request
        self._compression = compression
        self._transport = request.transport
        self._handed_over = False
        self._scope: anyio.CancelScope | None = None
        self._ready: asyncio.Future[None] | None = None
        self._outgoing: Outgoing | None = None
        self._gone = self._transport is None or self._transport.is_closing()
        self._expected = isinstance(request, web.Request)  # then the application has seen to it

    async def run(self) -> web.StreamResponse:
        """Ask the gateway, and answer."""
        request, transport = self._request, self._transport
        if self._gone or transport is None:
            return web.Response(status=400)  # which nobody gets
        watch = Watch(transport, request.protocol, self)
        try:
            upgrade = asks_for_websocket(request)
            answer = refusal(request, upgrade) or await self._ask(upgrade)
            if answer is not None and not fit(answer.headers):
                log.error("a response has a header that HTTP does not allow: %r", answer.headers)
                answer = Response.text(500, "Internal server error.")
            if isinstance(answer, Upgrade):
                return await self._accept(answer, transport)
            if answer is None:
                transport.abort()
                return web.Response(status=503)  # which nobody gets
            if isinstance(answer, Streamed):
                return await self._stream(answer, transport)
            return await self.reply(answer)
        finally:
            if not self._handed_over:
                watch.leave()

    def give_up(self) -> None:
        """The server ends."""
        if self._transport is not None:
            self._transport.abort()
        self.on_lost()

    # From the transport.

    def on_lost(self) -> None:
        self._gone = True
        if self._scope is not None:
            self._scope.cancel()
        self._on_ready()
        if self._outgoing is not None:
            self._outgoing.on_lost()

    def on_full(self) -> None:
        if self._outgoing is not None:
            self._outgoing.on_full()

    def on_room(self) -> None:
        if self._outgoing is not None:
            self._outgoing.on_room()

    # The request.

    async def _ask(self, upgrade: bool) -> Response | Upgrade | None:
        """The gateway's answer; `None` if the client or the server has left."""
        content = self._request.content
        whole = content.read_nowait() if content.is_eof() else None
        request = Request(self._handshake(), upgrade=upgrade, receive=self._receive, whole=whole)
        answer = self._gateway.respond(request)
        if isinstance(answer, (Response, Upgrade)):
            return answer
        if isinstance(answer, Held):
            return await self._hold(answer)
        with anyio.CancelScope() as self._scope:
            return await answer
        return None

    async def _hold(self, held: Held) -> Response | None:
        """Wait until there is something to answer; `None` if the client or the server has left."""
        self._ready = asyncio.get_running_loop().create_future()
        held.wait(self._on_ready)
        try:
            await self._ready
        except BaseException:
            held.gone()
            raise
        if self._gone:
            held.gone()
            return None
        return held.response()

    def _on_ready(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _handshake(self) -> Handshake:
        request, transport = self._request, self._transport
        assert transport is not None
        raw = request.raw_headers
        return Handshake(
            target=request.raw_path,
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw],
            peer=peer_address(transport.get_extra_info("peername")),
            method=request.method,
            scheme="http" if transport.get_extra_info("sslcontext") is None else "https",
        )

    async def _receive(self) -> bytes:
        """The next piece of the request's body."""
        request = self._request
        if not self._expected:
            self._expected = True
            if request.headers.get("Expect", "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await request.content.readany()

    # The answer.

    async def reply(self, response: Response) -> web.StreamResponse:
        """Send a whole answer. A client that does not read it is not waited for."""
        answer = web.Response(
            status=response.status, body=response.body, headers=headers_of(response.headers)
        )
        transport = self._transport
        await self._prepare(answer)
        if transport is not None:
            await self._finish(answer, transport)
        return answer

    async def _prepare(self, response: web.StreamResponse) -> None:
        """Send status and headers."""
        try:
            await response.prepare(self._request)
        except ConnectionError:
            self._gone = True

    async def _finish(self, response: web.StreamResponse, transport: asyncio.Transport) -> None:
        """Write what is left of a response. Who does not read it is cut off after a while."""
        gateway = self._gateway
        timer = gateway.runtime.timers.call_later(gateway.limits.handshake_seconds, transport.abort)
        try:
            await response.write_eof()
            if isinstance(response, web.Response) and transport.get_write_buffer_size():
                transport.set_write_buffer_limits(0)
                await self._request.writer.drain()
                transport.set_write_buffer_limits()
        except ConnectionError:
            pass  # it has gone
        finally:
            timer.cancel()

    async def _stream(self, streamed: Streamed, transport: asyncio.Transport) -> web.StreamResponse:
        response = web.StreamResponse(status=streamed.status, headers=headers_of(streamed.headers))
        silent = self._request.method == "HEAD" or streamed.status in (204, 304)
        if self._request.version < (1, 1) and not silent:
            response.force_close()  # since nothing else tells the end
        await self._prepare(response)
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "")
        self._outgoing = outgoing = Outgoing(transport, chunked=chunked, silent=silent)
        outgoing.start(streamed)
        if self._gone:
            outgoing.on_lost()
        await outgoing.over.wait()
        if outgoing.whole:
            await self._finish(response, transport)
        return response

    async def _accept(self, upgrade: Upgrade, transport: asyncio.Transport) -> web.StreamResponse:
        """Make it a WebSocket, which aiohttp has nothing to do with any more."""
        handshake = upgrade.handshake
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept_of(handshake.headers["sec-websocket-key"])),
        ]
        if handshake.subprotocol:
            headers.append(("Sec-WebSocket-Protocol", handshake.subprotocol))
        framing = PLAIN
        if self._compression:
            framing, agreed = agree(handshake.headers.get("sec-websocket-extensions"))
            if agreed:
                headers.append(("Sec-WebSocket-Extensions", agreed))
        response = web.StreamResponse(status=101, headers=headers_of([*headers, *upgrade.headers]))
        await self._prepare(response)
        if self._gone:
            return response
        await response.write_eof()
        protocol = self._request.protocol
        rest = _Rest()
        cast("Any", protocol).set_parser(rest)
        connection = AiohttpConnection(upgrade, transport, self._connections, framing)
        transport.set_protocol(connection)
        self._handed_over = True
        # For aiohttp's protocol it is as if the client had gone, and so it lets go of everything.
        protocol.transport = None
        protocol.connection_lost(None)
        upgrade.open(connection)
        if rest.data:
            connection.data_received(bytes(rest.data))
        return response


class _Rest:
    """Takes what came behind a request, from the protocol that has it."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """There is nothing to do."""
