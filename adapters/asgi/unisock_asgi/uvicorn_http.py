"""uvicorn's HTTP/1.1, with the limits of unisock and what its applications cannot ask for."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from unisock.abc import Gateway
from unisock.limits import Limits

from .scope import Event, Send
from .wire import EXTENSION, Wire

__all__ = ["MAX_HEAD_BYTES", "UvicornHttp", "quiet_log"]

MAX_HEAD_BYTES = 65_536
"""A request's first line and headers."""

quiet_log = logging.getLogger("unisock.asgi.uvicorn")
"""uvicorn tells of each bad client; the core does that itself, for every adapter."""
quiet_log.setLevel(logging.CRITICAL)


class UvicornHttp(HttpToolsProtocol):
    """One client's connection, as long as it speaks HTTP.

    :cvar gateway: the server, in a subclass of this class
    """

    gateway: Gateway

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = quiet_log
        self._latest: RequestResponseCycle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.wire = _HttpWire(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)
        self.wire.gone.set()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._deadline is None and (self._latest is None or self._latest.response_complete):
            self._expect_head()
        try:
            parser: Any = self.parser
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self._become_websocket(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        self._head_bytes = self._head_bytes + len(data) if self._in_head else 0
        if self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response(f"A request has at most {MAX_HEAD_BYTES} bytes of headers.")

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else it is a trailer, which nobody asks for
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        super().on_headers_complete()
        if self.cycle is self._latest:
            return  # it asks for a WebSocket
        parser: Any = self.parser
        if parser.should_upgrade():
            self.cycle.keep_alive = False  # the parser reads no further
        self._latest = self.cycle
        extensions: dict[str, Any] = {EXTENSION: self.wire}
        self.scope["extensions"] = extensions
        if self.scope["http_version"] == "1.0":
            _send_without_chunks(self.cycle)

    def _should_upgrade(self) -> bool:
        # RFC 6455 section 4.1: any other method is an ordinary request.
        parser: Any = self.parser
        return parser.get_method() == b"GET" and super()._should_upgrade()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing has come for a while; but perhaps a large answer is still being read."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            super().timeout_keep_alive_handler()
        elif unsent == self._unsent:
            self.transport.abort()
        else:
            self._unsent = unsent
            self.timeout_keep_alive_task = self.loop.call_later(
                self.gateway.limits.handshake_seconds, self.timeout_keep_alive_handler
            )

    def _expect_head(self) -> None:
        """Allow a request's head so much time from now."""
        seconds = self.gateway.limits.handshake_seconds
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _become_websocket(self, rest: bytes) -> None:
        self._disarm()
        self.handle_websocket_upgrade()
        successor = self.transport.get_protocol()
        if rest and isinstance(successor, asyncio.Protocol):
            successor.data_received(rest)


class _HttpWire(Wire):
    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport

    def cut(self) -> None:
        self._transport.abort()

    def bound(self, limits: Limits) -> None:
        """There are no messages."""


def _send_without_chunks(cycle: RequestResponseCycle) -> None:
    """Have a response without a known length end with the connection, as HTTP/1.0 has it
    (RFC 9112 section 6.3); uvicorn sends chunks to any client.
    """
    send: Any = cycle.send
    cycle.send = partial(_send, cycle, send)  # type: ignore[method-assign]


async def _send(cycle: RequestResponseCycle, send: Send, event: Event) -> None:
    if event["type"] == "http.response.start":
        if not any(name == b"content-length" for name, _ in event["headers"]):
            cycle.chunked_encoding = False
    elif cycle.chunked_encoding is False and event["body"]:
        cycle.expected_content_length = max(cycle.expected_content_length, len(event["body"]))
    await send(event)
