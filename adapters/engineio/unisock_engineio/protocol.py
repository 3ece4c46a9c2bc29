"""The protocol: which request belongs to which session, and what is answered."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from unisock import Close, Handshake, HandshakeRejected, LimitExceeded, ProtocolError
from unisock.abc import Connection, Gate, Protocol, Upgrade
from unisock.exchange import Request, Response
from unisock.messages import printable

from . import answers
from .options import Options
from .packets import REVISIONS, Revision
from .session import EngineioSession
from .settings import CarrierGate, Settings
from .upgrade import offer

__all__ = ["EngineioProtocol"]

_Options: TypeAlias = Options  # the class below has an attribute of that name


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

    async def answer(self, request: Request) -> Response | Upgrade:
        handshake = request.handshake
        if handshake.method == "OPTIONS":
            answer: Response | Upgrade = answers.preflight(self.gate, handshake, self._options)
        else:
            try:
                answer = await self._route(request)
            except HandshakeRejected as rejection:
                answer = answers.refusal(rejection)
        if isinstance(answer, Response):
            answer.headers += answers.cors(self.gate, handshake, self._options)
        return answer

    async def _route(self, request: Request) -> Response | Upgrade:
        handshake, query = request.handshake, request.handshake.query
        transport, sid = query.get("transport"), query.get("sid")
        if transport not in self._settings.transports:
            return answers.error(answers.UNKNOWN_TRANSPORT)
        handshake.transport = transport
        if request.upgrade and transport != "websocket":
            return answers.error(answers.BAD_REQUEST)
        if sid:
            return await self._continue(request, query, sid)
        if handshake.method != "GET":
            return answers.error(answers.BAD_METHOD)
        if transport == "websocket" and not request.upgrade:
            return answers.error(answers.BAD_REQUEST)
        revision = self._revision(query)
        if revision is None:
            return answers.error(answers.BAD_REVISION)
        if request.upgrade:
            return await self._accept(handshake, revision, query)
        return await self._open(handshake, revision, query)

    def _revision(self, query: dict[str, str]) -> Revision | None:
        """The revision that the client asks for, in so many words; `None` if it is not offered."""
        revision = REVISIONS.get(query.get("EIO", ""))
        if revision is not None and revision.number == 3 and not self._options.allow_eio3:
            return None
        return revision

    # Handshakes.

    async def _open(
        self, handshake: Handshake, revision: Revision, query: dict[str, str]
    ) -> Response:
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

    async def _accept(
        self, handshake: Handshake, revision: Revision, query: dict[str, str]
    ) -> Upgrade:
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
        query: dict[str, str],
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

    def _base64(self, query: dict[str, str]) -> bool:
        asked = query.get("b64", "") not in ("", "0", "false") or "j" in query
        return asked or not self.gate.capabilities.binary

    # Requests of a session that is there.

    async def _continue(
        self, request: Request, query: dict[str, str], sid: str
    ) -> Response | Upgrade:
        handshake = request.handshake
        session = self._sessions.get(sid)
        if session is not None and session.expired():
            session.time_out()
            session = None
        if session is None:
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
                return await self._poll(session, query)
            case "POST":
                return await self._post(session, request, jsonp=jsonp)
            case _:
                return answers.error(answers.BAD_METHOD)

    async def _poll(self, session: EngineioSession, query: dict[str, str]) -> Response:
        poll = session.open_poll()
        if poll is None:
            return answers.error(answers.BAD_REQUEST)
        try:
            await poll.wait()
        except BaseException:  # it went away
            session.cut(poll)
            raise
        return self._payload(session, session.take(poll), query)

    def _payload(
        self, session: EngineioSession, packets: list[str | bytes], query: dict[str, str]
    ) -> Response:
        body, kind = session.revision.join(packets, base64=self._base64(query))
        return answers.payload(body, kind, query.get("j"))

    async def _post(self, session: EngineioSession, request: Request, *, jsonp: bool) -> Response:
        if session.posting:
            session.violated()
            return answers.error(answers.BAD_REQUEST)
        session.posting = True
        try:
            return await self._receive(session, request, jsonp=jsonp)
        finally:
            session.posting = False

    async def _receive(
        self, session: EngineioSession, request: Request, *, jsonp: bool
    ) -> Response:
        try:
            body = await request.body(self._settings.max_payload)
        except LimitExceeded as excess:
            if excess.code == 413:
                return Response(413)
            session.cut()
            raise
        except BaseException:  # it went away
            session.cut()
            raise
        kind = request.handshake.headers.get("content-type", "").partition(";")[0].strip().lower()
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
        behind = session.behind
        session.take_in(packets)
        await session.digested(wholly=behind)
        if session.faulty:
            return answers.error(answers.BAD_REQUEST)
        return answers.ok()
