"""The protocol: which request belongs to which session, and what is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

from unisock import Close, Handshake, HandshakeRejected, LimitExceeded, ProtocolError
from unisock.abc import Answer, Connection, Gate, Protocol, Upgrade
from unisock.exchange import Held, Request, Response
from unisock.messages import printable

from . import answers
from .options import Options
from .packets import REVISIONS, Revision
from .poll import Poll
from .session import EngineioSession
from .settings import CarrierGate, Settings
from .upgrade import offer

__all__ = ["EngineioProtocol"]

_Options: TypeAlias = Options  # the class below has an attribute of that name
_Query: TypeAlias = dict[str, str]
_Coming: TypeAlias = Answer | Awaitable[Answer]


class EngineioProtocol(Protocol):
    """Engine.IO, revision 4, and revision 3 where `Options.allow_eio3` is set.

    :raises ConfigError: the options contradict the endpoint
    """

    name = "engineio"
    needs = frozenset({"http"})
    Options = Options

    def __init__(self, gate: Gate, options: Any = None) -> None:
        super().__init__(gate, options)
        self._options = Options() if options is None else cast("_Options", options)
        self._settings = Settings(self._options, gate)
        self._sessions: dict[str, EngineioSession] = {}
        self._carrier_gate = CarrierGate(gate, self._settings.max_payload)

    @property
    def sticky(self) -> str | None:
        if "polling" not in self._settings.transports:
            return None
        return 'Set options.transports = ["websocket"] there, and in its clients'

    def answer(self, request: Request) -> _Coming:
        handshake = request.handshake
        if handshake.method == "OPTIONS":
            answer: _Coming = answers.preflight(self.gate, handshake, self._options)
        else:
            try:
                answer = self._route(request)
            except HandshakeRejected as rejection:
                answer = answers.refusal(rejection)
        if isinstance(answer, Response):
            return self._readable(answer, handshake)
        return answer

    def _readable(self, response: Response, handshake: Handshake) -> Response:
        """The response, for a page of an allowed origin too."""
        response.headers += answers.cors(self.gate, handshake, self._options)
        return response

    async def _later(
        self, handshake: Handshake, function: Callable[..., Awaitable[Answer]], *args: Any
    ) -> Answer:
        """What a function answers that has to wait for something."""
        try:
            answer = await function(*args)
        except HandshakeRejected as rejection:
            answer = answers.refusal(rejection)
        return self._readable(answer, handshake) if isinstance(answer, Response) else answer

    def _route(self, request: Request) -> _Coming:
        handshake, query = request.handshake, request.handshake.query
        transport, sid = query.get("transport"), query.get("sid")
        if transport not in self._settings.transports:
            return answers.error(answers.UNKNOWN_TRANSPORT)
        handshake.transport = transport
        if request.upgrade and transport != "websocket":
            return answers.error(answers.BAD_REQUEST)
        if sid:
            return self._continue(request, query, sid)
        if handshake.method != "GET":
            return answers.error(answers.BAD_METHOD)
        if transport == "websocket" and not request.upgrade:
            return answers.error(answers.BAD_REQUEST)
        revision = self._revision(query)
        if revision is None:
            return answers.error(answers.BAD_REVISION)
        begin: Callable[..., Awaitable[Answer]] = self._accept if request.upgrade else self._open
        return self._later(handshake, begin, handshake, revision, query)

    def _revision(self, query: _Query) -> Revision | None:
        """The revision that the client asks for, in so many words; `None` if it is not offered."""
        revision = REVISIONS.get(query.get("EIO", ""))
        if revision is not None and revision.number == 3 and not self._options.allow_eio3:
            return None
        return revision

    # Handshakes.

    async def _open(self, handshake: Handshake, revision: Revision, query: _Query) -> Response:
        """A client that polls."""
        callback = query.get("j")
        if callback is not None and not self._options.jsonp:
            return answers.error(answers.BAD_REQUEST)
        await self.gate.admit(handshake)
        session = self._session(handshake, revision, query)
        greeting = self._settings.greeting(session.id, upgrade=True)
        self.gate.open(session)
        answer = self._payload(session, [greeting], query)
        if self._settings.cookie is not None:
            answer.headers += (self._settings.cookie.header(session.id),)
        return answer

    async def _accept(self, handshake: Handshake, revision: Revision, query: _Query) -> Upgrade:
        """A client that begins with a WebSocket."""
        try:
            await self.gate.admit(handshake)
        except HandshakeRejected as rejection:
            if self.gate.endpoint.refusal == "http":
                raise
            close = Close(rejection.code, printable(rejection.reason), rejection.retry)
            return Upgrade(self._carrier_gate, handshake, lambda lower: lower.close(close))

        def open(lower: Connection) -> None:
            session = self._session(handshake, revision, query, lower)
            lower.write(self._settings.greeting(session.id, upgrade=False))
            self.gate.open(session)

        return Upgrade(self._carrier_gate, handshake, open)

    def _session(
        self,
        handshake: Handshake,
        revision: Revision,
        query: _Query,
        lower: Connection | None = None,
    ) -> EngineioSession:
        session = EngineioSession(
            self.gate,
            handshake,
            self._settings,
            revision,
            base64=self._base64(query),
            forget=self._forget,
            lower=lower,
        )
        if session.closed is None:
            self._sessions[session.id] = session
        return session

    def _forget(self, sid: str) -> None:
        self._sessions.pop(sid, None)

    def _base64(self, query: _Query) -> bool:
        asked = query.get("b64", "") not in ("", "0", "false") or "j" in query
        return asked or not self.gate.capabilities.binary

    # Requests of a session that is there.

    def _continue(self, request: Request, query: _Query, sid: str) -> _Coming:
        handshake = request.handshake
        session = self._sessions.get(sid)
        if session is not None and session.expired():
            session.time_out()
            session = None
        if session is None or (session.closed is not None and handshake.method != "POST"):
            return answers.error(answers.UNKNOWN_SID)
        if not self.gate.welcomes(handshake):
            return answers.error(answers.FORBIDDEN, status=403)
        if query.get("EIO", "") != str(session.revision.number):
            return answers.error(answers.BAD_REQUEST)
        if request.upgrade:
            if not self._settings.upgrades:
                return answers.error(answers.BAD_REQUEST)
            return Upgrade(self._carrier_gate, handshake, lambda lower: offer(session, lower))
        jsonp = "j" in query
        if not session.polling or handshake.transport != "polling":
            return answers.error(answers.BAD_REQUEST)
        if jsonp and not self._options.jsonp:
            return answers.error(answers.BAD_REQUEST)
        match handshake.method:
            case "GET":
                return self._poll(session, handshake, query)
            case "POST":
                return self._post(session, request, jsonp)
            case _:
                return answers.error(answers.BAD_METHOD)

    def _poll(self, session: EngineioSession, handshake: Handshake, query: _Query) -> _Coming:
        poll = session.open_poll()
        if poll is None:
            return answers.error(answers.BAD_REQUEST)

        def respond() -> Response:
            return self._payload(session, session.take(poll), query)

        if poll.packets:
            return respond()
        return _HeldPoll(session, poll, lambda: self._readable(respond(), handshake))

    def _payload(
        self, session: EngineioSession, packets: list[str | bytes], query: _Query
    ) -> Response:
        body, kind = session.revision.join(packets, base64=self._base64(query))
        return answers.payload(body, kind, query.get("j"))

    def _post(self, session: EngineioSession, request: Request, jsonp: bool) -> _Coming:
        if session.posting:
            session.violated()
            return answers.error(answers.BAD_REQUEST)
        try:
            body = request.whole_body(self._settings.max_payload)
        except LimitExceeded:
            return Response(413)
        if body is not None:
            behind = session.behind
            answer = self._take_in(session, request.handshake, body, jsonp)
            if not session.digesting(wholly=behind):
                return answer or self._posted(session)
        else:
            behind = None
        session.posting = True
        return self._later(request.handshake, self._digest, session, request, jsonp, behind)

    async def _digest(
        self, session: EngineioSession, request: Request, jsonp: bool, behind: bool | None
    ) -> Response:
        """Wait until a POST is there, and delivered.

        :param behind: whether the one before was not delivered when this one was taken in; `None`
            if this one is not there yet
        """
        try:
            if behind is None:
                body = await self._body(session, request)
                if body is None:
                    return Response(413)
                behind = session.behind
                answer = self._take_in(session, request.handshake, body, jsonp)
                if answer is not None:
                    return answer
            await session.digested(wholly=behind)
            return self._posted(session)
        finally:
            session.posting = False

    async def _body(self, session: EngineioSession, request: Request) -> bytes | None:
        """The body of a POST; `None` if it is too large."""
        try:
            return await request.body(self._settings.max_payload)
        except LimitExceeded as excess:
            if excess.code == 413:
                return None
            session.cut()
            raise
        except BaseException:  # it went away
            session.cut()
            raise

    def _take_in(
        self, session: EngineioSession, handshake: Handshake, body: bytes, jsonp: bool
    ) -> Response | None:
        """Deliver what a POST brought; a response if it is no payload."""
        kind = handshake.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if jsonp:
                body, kind = answers.form_data(body), ""
            packets = session.revision.split(body, kind, self._settings.max_packets)
        except LimitExceeded:
            session.violated()
            return Response(413)
        except ProtocolError:
            session.violated(Close(1002, "parse error"))
            return answers.error(answers.BAD_REQUEST)
        session.take_in(packets)
        return None

    def _posted(self, session: EngineioSession) -> Response:
        if not session.faulty:
            return answers.ok()
        if session.closing is not None and session.closing.code == 1009:
            return Response(413)
        return answers.error(answers.BAD_REQUEST)


class _HeldPoll(Held):
    """A poll that waits.

    :param respond: makes the answer
    """

    __slots__ = ("_poll", "_respond", "_session")

    def __init__(
        self, session: EngineioSession, poll: Poll, respond: Callable[[], Response]
    ) -> None:
        self._session = session
        self._poll = poll
        self._respond = respond

    def wait(self, ready: Callable[[], None]) -> None:
        self._poll.wait(ready)

    def response(self) -> Response:
        return self._respond()

    def gone(self) -> None:
        self._session.cut(self._poll)
