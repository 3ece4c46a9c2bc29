"""The protocol: which request is what, and who may make it."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable
from functools import partial
from typing import TypeAlias
from urllib.parse import parse_qs

import msgspec

from unisock.abc import Answer, Connection, Gate, Protocol, Upgrade
from unisock.errors import HandshakeRejected, ProtocolError
from unisock.exchange import Body, Reader, Request, Response, Streamed
from unisock.handshake import Handshake
from unisock.limits import Heartbeat
from unisock.messages import Close, printable

from .carriers import Packing, Poll, Stream, packing_for, turn_away
from .headers import NOSNIFF, PLAIN, Pairs, ResponseHeaders, name_page
from .options import Options as SockjsOptions
from .owner import Owner
from .packets import OPEN, PacketFraming, decode, disconnect
from .pages import Pages, ancestors, not_allowed
from .registry import Grave, Registry
from .session import HttpSession
from .websocket import Beneath, WebSocketSession

__all__ = ["SockjsProtocol"]

log = logging.getLogger("unisock.sockjs")

SESSION_ID_BYTES = 128

_TAKEN = disconnect(Close(2010, "Another connection still open"))
_PAGE = re.compile(r"/iframe[0-9-.a-z_]*\.html")
_SESSION = re.compile(r"/([^/.]+)/([^/.]+)/([a-z_]+)")
_CALLBACK = re.compile(r"[A-Za-z0-9_.]{1,32}")
_NO_CALLBACK = '"callback" parameter required'
_JAVASCRIPT = ("Content-Type", "application/javascript; charset=UTF-8")

_RECEIVERS = {
    "xhr": ("POST", "xhr-polling", _JAVASCRIPT),
    "xhr_streaming": ("POST", "xhr-streaming", _JAVASCRIPT),
    "eventsource": ("GET", "eventsource", ("Content-Type", "text/event-stream")),
    "htmlfile": ("GET", "htmlfile", ("Content-Type", "text/html; charset=UTF-8")),
    "jsonp": ("GET", "jsonp-polling", _JAVASCRIPT),
}
_SCRIPTED = frozenset({"htmlfile", "jsonp-polling"})

Coming: TypeAlias = Answer | Awaitable[Answer]


class SockjsProtocol(Protocol):
    """SockJS protocol 0.3.3, on every adapter that carries HTTP exchanges."""

    name = "sockjs"
    needs = frozenset({"http"})
    below = True
    binary = False
    Options = SockjsOptions

    def __init__(self, gate: Gate, options: SockjsOptions | None = None) -> None:
        super().__init__(gate, options)
        self.options: SockjsOptions = options or SockjsOptions()
        self._prefix = len(gate.endpoint.path.rstrip("/"))
        transports = self.options.offered
        if not gate.capabilities.websocket:
            transports = tuple(n for n in transports if not n.startswith("websocket"))
        self._transports = frozenset(transports)
        self._headers = ResponseHeaders(gate, self.options)
        self._pages = Pages(gate, self.options, self._headers, transports)
        self._registry = Registry(gate.runtime.timers, self._delay, gate.limits.connections)
        self._framing: PacketFraming | None = None
        self._body_limit = self.options.post_bytes or 2 * gate.limits.message_bytes + 1024
        frames = msgspec.structs.replace(gate.limits, message_bytes=self._body_limit)
        heartbeat = Heartbeat(interval=self._heartbeat, timeout=gate.heartbeat.timeout)
        self._beneath = Beneath(gate, frames, heartbeat)
        self._raw = Beneath(gate, gate.limits, heartbeat)

    @property
    def _delay(self) -> float:
        return self.options.disconnect_delay / 1000

    @property
    def _heartbeat(self) -> float:
        delay = self.options.heartbeat_delay
        return self.gate.heartbeat.interval if delay is None else delay / 1000

    @property
    def sticky(self) -> str | None:
        if all(name.startswith("websocket") for name in self._transports):
            return None
        return 'Set options.transports = ["websocket"] there'

    def answer(self, request: Request) -> Coming:
        path = request.handshake.path[self._prefix :]
        if path.endswith("/"):
            path = path[:-1]
        session = _SESSION.fullmatch(path)
        if session is None:
            return self._answer_page(request, path)
        _, id, kind = session.groups()
        if len(id.encode("utf-8", "replace")) > SESSION_ID_BYTES:
            return _nothing()
        method = request.handshake.method
        if kind in _RECEIVERS:
            wanted, transport, content = _RECEIVERS[kind]
            if transport not in self._transports:
                return _nothing()
            if method == wanted:
                return self._receive(request.handshake, id, transport, content)
        elif kind in ("xhr_send", "jsonp_send"):
            wanted = "POST"
            if not self._offers_sending(kind):
                return _nothing()
            if method == wanted:
                return self._send(request, id, form=kind == "jsonp_send")
        elif kind == "websocket" and "websocket" in self._transports:
            return self._upgrade(request, raw=False)
        else:
            return _nothing()
        if method == "OPTIONS" and kind.startswith("xhr"):
            return Response(204, headers=self._headers.preflight(request.handshake, wanted))
        return not_allowed(*(["OPTIONS", wanted] if kind.startswith("xhr") else [wanted]))

    def _offers_sending(self, kind: str) -> bool:
        if kind == "jsonp_send":
            return "jsonp-polling" in self._transports
        return not self._transports.isdisjoint(
            ("xhr-polling", "xhr-streaming", "eventsource", "htmlfile")
        )

    def _answer_page(self, request: Request, path: str) -> Coming:
        handshake = request.handshake
        method = handshake.method
        reads = method in ("GET", "HEAD")
        if path == "":
            return self._pages.greeting() if reads else not_allowed("GET")
        if path == "/info":
            if method == "OPTIONS":
                return Response(204, headers=self._headers.preflight(handshake, "GET"))
            return self._pages.info(handshake) if reads else not_allowed("OPTIONS", "GET")
        if path == "/websocket" and "websocket-raw" in self._transports:
            return self._upgrade(request, raw=True)
        if self.options.iframe and not self.options.disable_cors and _PAGE.fullmatch(path):
            return self._pages.iframe(handshake) if reads else not_allowed("GET")
        return _nothing()

    # WebSockets.

    async def _upgrade(self, request: Request, *, raw: bool) -> Answer:
        gate, handshake = self.gate, request.handshake
        if handshake.method != "GET":
            return not_allowed("GET")
        if not request.upgrade:
            return Response(400, b'Can "Upgrade" only to "WebSocket".\n', [PLAIN])
        handshake.transport = "websocket-raw" if raw else "websocket"
        try:
            await gate.admit(handshake)
        except HandshakeRejected as rejection:
            if gate.endpoint.refusal == "http":
                raise
            close = _close_for(rejection)
            return Upgrade(self._beneath, handshake, partial(_refuse, close=close, raw=raw))
        if raw:
            return Upgrade(self._raw, handshake, gate.open)
        return Upgrade(self._beneath, handshake, self._open)

    def _open(self, below: Connection) -> None:
        framing = self._framing
        if framing is None or framing.below is not below.framing:
            # One object for all that share a framing below, so that they share frames.
            self._framing = framing = PacketFraming(below.framing)
        session = WebSocketSession(self.gate, below, framing, self.options.post_messages)
        below.attach(session)
        below.write(OPEN.decode())
        self.gate.open(session)

    # What the client reads.

    def _receive(
        self, handshake: Handshake, id: str, transport: str, content: tuple[str, str]
    ) -> Coming:
        handshake.transport = transport
        callback = ""
        headers: Pairs = [content]
        if transport in _SCRIPTED:
            query = handshake.query
            callback = query.get("c", query.get("callback", ""))
            if not _CALLBACK.fullmatch(callback):
                text = 'invalid "callback" parameter' if callback else _NO_CALLBACK
                return Response(500, text.encode(), [PLAIN, NOSNIFF])
            headers += [NOSNIFF, *([ancestors(self.gate)] if transport == "htmlfile" else [])]
        if transport in _SCRIPTED or "sec-fetch-site" in handshake.headers:
            name_page(handshake)
        packing = packing_for(transport, callback)
        headers = self._headers.session(handshake, *headers)
        self._check_page(handshake)
        found = self._registry.find(id)
        if found is None:
            return self._begin(handshake, id, packing, headers)
        if not found.owner.owns(handshake):
            self._audit(handshake, "this session belongs to another client")
            return self._turn_away(packing, headers, _TAKEN)
        if isinstance(found, Grave):
            return self._turn_away(packing, headers, found.packet)
        if found.carrier is not None:
            return self._turn_away(packing, headers, _TAKEN)
        if packing.stream:
            return self._stream(found, packing, headers, new=False)
        poll = Poll(found, packing, headers)
        found.reserve(poll)
        found.begin(poll)
        return poll.response() if poll.full else poll

    async def _begin(
        self, handshake: Handshake, id: str, packing: Packing, headers: Pairs
    ) -> Response:
        """A new session."""
        gate, options = self.gate, self.options
        if not self._registry.reserve(id):
            return self._turn_away(packing, headers, _TAKEN)
        try:
            await gate.admit(handshake)
        except HandshakeRejected as rejection:
            if gate.endpoint.refusal == "close":
                return self._turn_away(packing, headers, disconnect(_close_for(rejection)))
            answer = Response.refusal(rejection)
            return Response(
                answer.status, answer.body, [*answer.headers, *self._headers.cors(handshake)]
            )
        finally:
            self._registry.unreserve(id)
        owner = Owner(handshake, cookies=options.session_cookie, cookieless=options.cookieless)
        headers = [*headers, *self._headers.minted(handshake, owner.minted)]
        session = HttpSession(
            gate,
            handshake,
            owner,
            id,
            heartbeat=self._heartbeat,
            delay=self._delay,
            forget=self._registry.bury,
        )
        self._registry.add(session)
        if packing.stream:
            return self._stream(session, packing, headers, new=True)
        session.expect()
        gate.open(session)
        return Response(200, packing.pack(OPEN), headers)

    def _stream(
        self, session: HttpSession, packing: Packing, headers: Pairs, *, new: bool
    ) -> Streamed:
        stream = Stream(session, packing, self.options.response_limit)
        session.reserve(stream)

        def start(body: Body) -> Reader:
            stream.begin(body)
            if new:
                stream.open()
            session.begin(stream)
            if new:
                self.gate.open(session)
            return stream

        return Streamed(200, [*headers, ("X-Accel-Buffering", "no")], start)

    def _turn_away(self, packing: Packing, headers: Pairs, packet: bytes) -> Response:
        if not packing.stream:
            return Response(200, packing.pack(packet), headers)
        return Streamed(200, headers, partial(turn_away, packing=packing, packet=packet))

    # What the client sends.

    def _send(self, request: Request, id: str, *, form: bool) -> Coming:
        handshake = request.handshake
        if form:
            name_page(handshake)
        self._check_page(handshake)
        session = self._registry.find(id)
        if session is None or isinstance(session, Grave):
            return self._answer_send(handshake, 404, "session not found")
        if not session.owner.owns(handshake):
            self._audit(handshake, "this session belongs to another client")
            return self._answer_send(handshake, 404, "session not found")
        body = request.whole_body(self._body_limit)
        if body is None or session.reading:
            return self._send_in_turn(request, session, form=form)
        try:
            messages = self._messages(handshake, body, form=form)
        except ProtocolError as error:
            return self._answer_send(handshake, 500, str(error))
        if session.closing is None and not session.take_in(messages):
            return self._wait_for_rest(handshake, session, form=form)
        return self._answer_taken(handshake, form=form)

    async def _wait_for_rest(
        self, handshake: Handshake, session: HttpSession, *, form: bool
    ) -> Response:
        try:
            await session.posted()
        finally:
            session.next_turn()
        return self._answer_taken(handshake, form=form)

    async def _send_in_turn(
        self, request: Request, session: HttpSession, *, form: bool
    ) -> Response:
        """The same, where the body has yet to come, or the application to take what came before."""
        handshake = request.handshake
        await session.turn()
        try:
            body = await request.body(self._body_limit)
            messages = self._messages(handshake, body, form=form)
            if session.closing is None:
                await session.posted(messages)
        except ProtocolError as error:
            return self._answer_send(handshake, 500, str(error))
        finally:
            session.next_turn()
        return self._answer_taken(handshake, form=form)

    def _messages(self, handshake: Handshake, body: bytes, *, form: bool) -> list[str]:
        text = _form_field(handshake, body) if form else body
        return decode(text, self.options.post_messages)

    def _answer_taken(self, handshake: Handshake, *, form: bool) -> Response:
        # Konqueror does weird things on 204.
        return self._answer_send(handshake, 200 if form else 204, "ok" if form else "")

    def _answer_send(self, handshake: Handshake, status: int, text: str) -> Response:
        return Response(status, text.encode(), self._headers.session(handshake, PLAIN))

    # Who may ask.

    def _check_page(self, handshake: Handshake) -> None:
        """:raises HandshakeRejected: the page that asks may not connect"""
        if not self.gate.welcomes(handshake):
            origin = printable(handshake.origin or "", 200)
            self._audit(handshake, f"origin {origin} is not allowed")
            raise HandshakeRejected(
                f"origin {origin} is not allowed; the setting `origins` lists those that are"
            )

    def _audit(self, handshake: Handshake, reason: str) -> None:
        log.info("%r: refused: %s", handshake, reason)


def _refuse(below: Connection, *, close: Close, raw: bool) -> None:
    if not raw:
        below.write(disconnect(close).decode())
    below.close(close)


def _close_for(rejection: HandshakeRejected) -> Close:
    return Close(rejection.code, printable(rejection.reason), rejection.retry)


def _form_field(handshake: Handshake, body: bytes) -> bytes:
    """The JSON in a POST of jsonp-polling: a form's field ``d``, or the body itself.

    :raises ProtocolError: it is not UTF-8, or there is no such field
    """
    kind = handshake.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return body
    try:
        fields = parse_qs(body.decode(), errors="strict", max_num_fields=16)
    except ValueError:
        raise ProtocolError("Payload expected.") from None
    return fields.get("d", [""])[-1].encode()


def _nothing() -> Response:
    return Response(404, b"404 Error: Page not found\n", [PLAIN])
