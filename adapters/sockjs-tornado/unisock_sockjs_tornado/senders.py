"""The requests that bring messages from the client: ``xhr_send`` and ``jsonp_send``."""
# pyright: reportUnknownMemberType=false
# Tornado's `write`, `finish` and `set_cookie` are annotated with bare dicts and tuples.

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from tornado.http1connection import HTTP1Connection
from tornado.web import RequestHandler, stream_request_body

from unisock import LimitExceeded, ProtocolError

from .connection import BURST
from .guard import Plain
from .library import JSONPSendHandler, XhrSendHandler
from .packets import decode
from .session import SockjsSession

__all__ = ["JsonpSend", "XhrSend"]

PATIENCE = 3
"""How many times `Limits.handshake_seconds` a body may take."""


class Sender(Plain):
    """A POST with messages. Its body is read piece by piece, so that the limit holds from the
    start, in whatever application this is mounted.
    """

    async def check(self) -> None:
        self.chunks: list[bytes] = []
        await super().check()
        limit = self.server.body_limit
        length = self.request.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > limit:
            self.set_header("Connection", "close")
            raise self.denied(str(self._too_long), 413)
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection):
            connection.set_max_body_size(limit)
            connection.set_body_timeout(PATIENCE * self.gate.limits.handshake_seconds)

    def on_connection_close(self) -> None:
        super().on_connection_close()
        # The library leaves this out, without which the rest of the body is awaited for ever.
        RequestHandler.on_connection_close(self)

    @property
    def _too_long(self) -> LimitExceeded:
        return LimitExceeded("message_bytes", self.gate.limits.message_bytes, code=1009)

    def data_received(self, chunk: bytes) -> None:
        self.chunks.append(chunk)

    async def receive(self, session_id: str) -> None:
        """Answer the POST when the session has taken its messages."""
        self.preflight()
        self.handle_session_cookie()
        self.disable_cache()
        session: SockjsSession | None = self.server.get_session(session_id)
        connection = session.connection if session is not None else None
        if session is None or connection is None or not session.belongs_to(self.handshake):
            self.set_status(404)
            return
        try:
            body = self.decode_body(b"".join(self.chunks))
            messages = decode(body)
            most = BURST * self.gate.limits.inbox_messages
            if len(messages) > most:
                raise LimitExceeded("inbox_messages", self.gate.limits.inbox_messages)
            self.chunks.clear()
            await connection.posted(messages, len(body))
        except ProtocolError as error:
            self._say(500, str(error))
        except LimitExceeded as error:
            self._say(413, str(error))
        else:
            self.succeed()

    def decode_body(self, body: bytes) -> bytes:
        """The JSON in the body."""
        return body

    def succeed(self) -> None:
        """Answer that the messages were taken."""
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.set_status(204)

    def _say(self, status: int, text: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.write(text)


@stream_request_body
class XhrSend(Sender, XhrSendHandler):
    """``POST …/xhr_send``"""

    async def post(self, session_id: str) -> None:
        await self.receive(session_id)


@stream_request_body
class JsonpSend(Sender, JSONPSendHandler):
    """``POST …/jsonp_send``: JSON, or a form with the field ``d``."""

    async def post(self, session_id: str) -> None:
        await self.receive(session_id)

    def decode_body(self, body: bytes) -> bytes:
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return body
        if not body.startswith(b"d="):
            raise ProtocolError("Payload expected.", code=1007)
        return unquote_to_bytes(body[2:].replace(b"+", b" "))

    def succeed(self) -> None:
        self._say(200, "ok")
