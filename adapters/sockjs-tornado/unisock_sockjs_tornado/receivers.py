"""The requests that carry a session to the client over HTTP: streams and polls."""
# pyright: reportUnknownMemberType=false
# Tornado's `write`, `finish` and `set_cookie` are annotated with bare dicts and tuples.

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from asyncio import Future

from unisock import Close, Origin
from unisock.connection import LOST

from .connection import SOCKJS
from .guard import SESSION_ID_BYTES, Admitting, Plain, stream_of
from .library import (
    HTMLFILE_HEAD,
    EventSourceTransport,
    HtmlFileTransport,
    JSONPTransport,
    PollingTransportBase,
    StreamingTransportBase,
    XhrPollingTransport,
    XhrStreamingTransport,
)
from .session import INTERRUPTED, SockjsSession

__all__ = ["EventSource", "HtmlFile", "Jsonp", "XhrPolling", "XhrStreaming"]

LEFT = Close(1005, "the client ended its request", origin=Origin.PEER)
"""How a client closes over HTTP: the protocol has no packet for it."""


class Receiver(Admitting, Plain, PollingTransportBase):
    """A request whose response brings packets to the client."""

    framing = SOCKJS
    pings = False
    session: SockjsSession | None
    _found: SockjsSession | None = None

    async def check(self) -> None:
        if self.request.method == "OPTIONS":
            return
        await super().check()
        id = self.path_kwargs["session_id"]
        if len(id) > SESSION_ID_BYTES:
            raise self.denied("the session id is too long", 404)
        self._found = self.server.get_session(id)
        if self._found is None:
            await self.admit()
        elif not self._found.belongs_to(self.handshake):
            raise self.denied("this session belongs to another address")

    def _attach_session(self, session_id: str, start_heartbeat: bool = False) -> bool:
        session = self._found or self.server.get_session(session_id)
        if session is None:
            session = self.server.create_session(session_id)
        if not session.set_handler(self):
            return False
        self.session = session
        session.verify_state()
        return True

    def session_closed(self) -> None:
        self._detach()
        if not self._finished:
            self.safe_finish()

    def on_connection_close(self) -> None:
        session = self.session
        if session is not None:
            self._detach()
            self._interrupt(session)
        super().on_connection_close()

    def abandoned(self) -> None:
        if self._found is not None and self._found.handler is None:
            self._interrupt(self._found)

    def _interrupt(self, session: SockjsSession) -> None:
        """A client that drops its request has closed the session."""
        session.end = LEFT if stream_of(self.request).error is None else LOST
        session.close(*INTERRUPTED)

    def part(self, close: Close) -> None:
        """The session ends: `SockjsSession.close` tells the client, and ends the response."""
        assert self.session is not None
        self.session.close(close.code, close.reason)

    def cut(self) -> None:
        """Close the socket."""
        self.session = None
        stream_of(self.request).close()

    def ping(self) -> None:
        """A client does not answer over HTTP."""

    def spoke(self) -> None:
        """No heartbeat is due for a while."""
        if self.session is not None:
            self.session.spoke = True


class Poll(Receiver):
    """A request that takes one packet."""

    content_type = "application/javascript; charset=UTF-8"

    def send_pack(self, message: str, binary: bool = False) -> None:
        self.spoke()
        self.active = False
        self._detach()
        self.set_header("Content-Type", self.content_type)
        if not self._finished:
            self.finish(self.wrap(message))

    def wrap(self, packet: str) -> str:
        """The body for a packet."""
        return f"{packet}\n"


class Stream(Receiver, StreamingTransportBase, ABC):
    """A request that takes packets until it has carried ``response_limit`` bytes."""

    def send_pack(self, message: str, binary: bool = False) -> None:
        self.spoke()
        data = self.wrap(message)
        self.notify_sent(len(data))
        self.write(data)
        written = self.flush()
        if self.session is None:
            return  # a session that exists turns this request away; the library ends it
        if self.should_finish():
            self.active = False
            self._detach()
            self.finish()
        elif not written.done():
            self.active = False
            written.add_done_callback(self._written)

    @abstractmethod
    def wrap(self, packet: str) -> str:
        """What a packet is in the stream."""

    def _written(self, written: Future[None]) -> None:
        if not written.cancelled():
            written.exception()  # on_connection_close learns of it too
        if self.session is not None:
            self.active = True
            self.session.flush()


class XhrPolling(Poll, XhrPollingTransport):
    """``POST …/xhr``"""

    transport = "xhr-polling"


class XhrStreaming(Stream, XhrStreamingTransport):
    """``POST …/xhr_streaming``"""

    transport = "xhr-streaming"

    def wrap(self, packet: str) -> str:
        return f"{packet}\n"


class EventSource(Stream, EventSourceTransport):
    """``GET …/eventsource``"""

    transport = "eventsource"
    access_methods = "OPTIONS, GET"

    def wrap(self, packet: str) -> str:
        # sockjs-client runs decodeURI over what it gets.
        return "data: " + packet.replace("%", "%25") + "\r\n\r\n"


class _Callback(Receiver):
    """A request that names a function of the page, which the response calls."""

    embeds = True
    function = ""

    async def check(self) -> None:
        callback = self.get_query_argument("c", "")
        if not callback:
            raise self.denied('"callback" parameter required', 500)
        if not re.fullmatch(r"[A-Za-z0-9_.]{1,32}", callback):
            raise self.denied('invalid "callback" parameter', 500)
        self.function = callback
        self.set_header("X-Content-Type-Options", "nosniff")
        await super().check()


def _script(packet: str) -> str:
    """A packet as a string in a script; with no ``<``, none can end the script."""
    return json.dumps(packet).replace("<", "\\u003c")


class Jsonp(_Callback, Poll, JSONPTransport):
    """``GET …/jsonp``"""

    transport = "jsonp-polling"

    def wrap(self, packet: str) -> str:
        # The comment keeps the response from being taken for another kind of file.
        return f"/**/{self.function}({_script(packet)});\r\n"


class HtmlFile(_Callback, Stream, HtmlFileTransport):
    """``GET …/htmlfile``"""

    transport = "htmlfile"

    async def get(self, session_id: str) -> None:
        """As in the library, which takes the dots out of the callback's name."""
        self._auto_finish = False
        self.preflight()
        self.handle_session_cookie()
        self.disable_cache()
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.write(HTMLFILE_HEAD % self.function)
        self.flush()
        if not self._attach_session(session_id):
            self.finish()

    def wrap(self, packet: str) -> str:
        return f"<script>\np({_script(packet)});\n</script>\r\n"
