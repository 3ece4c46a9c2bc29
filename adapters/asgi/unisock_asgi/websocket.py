"""Opening handshakes of WebSockets: refused, or accepted and then read."""

from __future__ import annotations

import contextlib
import logging

import anyio

from unisock import Close
from unisock.abc import Upgrade
from unisock.exchange import Request, Response

from .connection import AsgiConnection, Ear, ending
from .http import send_response
from .live import Live
from .scope import Event, Receive, Scope, Send, encode, handshake_of
from .wire import wire_of

__all__ = ["Session"]

GOODBYE_SECONDS = 1
"""For the last words to a client, when the host cuts the application off."""

log = logging.getLogger("unisock")


class Session:
    """One WebSocket, from the request to the end."""

    def __init__(self, live: Live, scope: Scope, receive: Receive, send: Send) -> None:
        self._live = live
        self._scope = scope
        self._receive = receive
        self._send = send
        self._wire = wire_of(scope)
        self._leave = anyio.CancelScope()
        self._connection: AsgiConnection | None = None
        self._opened = anyio.Event()
        self._ear = Ear()

    async def run(self) -> None:
        """Answer the request, and read until the WebSocket is closed."""
        if (await self._receive())["type"] != "websocket.connect":
            return
        self._live.add(self._end)
        try:
            async with anyio.create_task_group() as group:
                self._leave = group.cancel_scope
                group.start_soon(self._answer)
                await self._read()
                group.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            await self._say_goodbye()
            raise
        finally:
            self._live.discard(self._end)
            if self._connection is not None:
                self._connection.abort()  # nothing happens if it has ended

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.abort()
        elif self._wire is not None:
            self._wire.cut()
        else:
            self._leave.cancel()

    async def _read(self) -> None:
        event: Event | None = None
        with self._ear.listening:
            event = await self._deliver()
        if event is None:
            self._ear.silent.set()
            await self._ear.again.wait()
            event = await self._deliver()
        connection = self._connection
        if connection is None:
            return
        close = ending(event, self._wire, self._scope.get("asgi", {}).get("spec_version", ""))
        if self._wire is not None and connection.closing is not None:
            # This side closes. uvicorn says so at once, before the client has read anything.
            await self._wire.gone.wait()
        connection.ended(close)

    async def _deliver(self) -> Event:
        """Hand over messages; returns the event that is the end."""
        while (event := await self._receive())["type"] != "websocket.disconnect":
            if self._connection is None:
                await self._opened.wait()  # it came along with the request
            connection = self._connection
            assert connection is not None
            await connection.readable()
            connection.arrived(event)
        return event

    async def _say_goodbye(self) -> None:
        """The host stops, and cuts its applications off before their lifespan is over."""
        connection = self._connection
        if connection is None or connection.closing is not None:
            return
        close = Close(1012, "server is restarting")
        connection.ended(close)
        with anyio.move_on_after(GOODBYE_SECONDS, shield=True), contextlib.suppress(Exception):
            await self._send(
                {"type": "websocket.close", "code": close.code, "reason": close.reason}
            )

    async def _answer(self) -> None:
        request = Request(handshake_of(self._scope), upgrade=True)
        answer = await self._live.gateway.answer(request)
        try:
            if isinstance(answer, Response):
                await self._refuse(answer)
            else:
                await self._accept(answer)
        except OSError:
            pass  # the client has left (ASGI specification 2.4)

    async def _accept(self, upgrade: Upgrade) -> None:
        try:
            headers = encode(upgrade.headers, self._scope)
        except ValueError:
            log.exception("%r: a header that HTTP does not allow", upgrade.handshake)
            await self._refuse(Response.text(500, "Internal server error."))
            return
        subprotocol = upgrade.handshake.subprotocol or None
        await self._send(
            {"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}
        )
        self._connection = AsgiConnection(
            upgrade, self._send, self._wire, self._ear, self._leave.cancel
        )
        upgrade.open(self._connection)
        self._opened.set()

    async def _refuse(self, response: Response) -> None:
        """With the response itself where the host can, else with its own 403."""
        if "websocket.http.response" in (self._scope.get("extensions") or {}):
            await send_response(self._send, self._scope, response, "websocket.http")
        else:
            await self._send({"type": "websocket.close"})
        self._leave.cancel()
