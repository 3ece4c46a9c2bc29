"""The protocol: a session is a stream of server-sent events, with an address for the way back."""

from __future__ import annotations

import secrets
from math import isfinite
from typing import Any, cast

import msgspec

from unisock import Delivery, Sent, Spark
from unisock.abc import Gate, Protocol, Upgrade
from unisock.audience import Who, audience
from unisock.errors import HandshakeRejected, LimitExceeded
from unisock.exchange import Body, Reader, Request, Response, Streamed
from unisock.handshake import Handshake
from unisock.limits import Overflow
from unisock.messages import Message

from .framing import EVENTS, check_field, event
from .session import EventStream

__all__ = ["EventsourceProtocol", "Options", "last_event_id", "publish"]

WAITING = 64
"""POSTs of a client that wait until the application has taken what came before."""

_NOBODY = "nobody listens who was given this address"
_HEADERS = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-cache, no-store, no-transform"),
    ("X-Accel-Buffering", "no"),  # else nginx waits for its buffer to be full
)


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for an endpoint."""

    retry: int = 5000
    """Milliseconds after which a browser comes back when the stream has broken."""
    ping: float = 10.0
    """Seconds of silence after which a comment is sent, so that no proxy takes the stream for dead;
    0 for never."""
    post: bool = False
    """Give each client an address to post messages to."""

    def __post_init__(self) -> None:
        if self.retry < 0:
            raise ValueError("retry: must be a number of milliseconds, 0 or more")
        if not (isfinite(self.ping) and self.ping >= 0):
            raise ValueError("ping: must be a number of seconds, or 0 for no pings")


class EventsourceProtocol(Protocol):
    """Server-sent events (WHATWG HTML, section 9.2), as faye's EventSource has them."""

    name = "eventsource"
    needs = frozenset({"http"})
    binary = False
    below = True
    Options = Options

    def __init__(self, gate: Gate, options: Any = None) -> None:
        super().__init__(gate, options)
        self._options = cast("Options", self.options)
        self._open: dict[str, EventStream] = {}

    @property
    def sticky(self) -> str | None:
        return "Set options.post = false there" if self._options.post else None

    async def answer(self, request: Request) -> Response | Upgrade:
        handshake, path = request.handshake, self.gate.endpoint.path
        key = handshake.path[len(path.rstrip("/")) :].strip("/")
        if request.upgrade or (key and not self._options.post):
            return Response.text(404, "Here are server-sent events, and nothing else.")
        if key:
            return await self._answer_below(request, key)
        match handshake.method:
            case "GET":
                await self.gate.admit(handshake)
                handshake.transport = "eventsource"
                return self._listen(handshake)
            case "OPTIONS":
                return self._preflight(handshake, "GET")
            case _:
                return Response.text(405, "Listen with GET.", ("Allow", "GET, OPTIONS"))

    # Listening.

    def _listen(self, handshake: Handshake) -> Response:
        opening = f"retry: {self._options.retry}\n\n".encode()
        headers = [*_HEADERS, *self._cors(handshake)]
        key = secrets.token_urlsafe(16)
        if self._options.post:
            address = f"{self.gate.endpoint.path.rstrip('/')}/{key}"
            opening += event(address, "post")
            # A page sees events, and no headers. Who sees headers may post before the first event.
            headers.append(("Link", f'<{address}>; rel="post"'))

        def forget(stream: EventStream) -> None:
            self._open.pop(key, None)

        stream = EventStream(self.gate, handshake, ping=self._options.ping, forget=forget)
        if self._options.post:
            self._open[key] = stream

        def start(body: Body) -> Reader:
            return stream.begin(body, opening)

        return Streamed(200, headers, start)

    # The way back.

    async def _answer_below(self, request: Request, key: str) -> Response:
        handshake = request.handshake
        if handshake.method == "OPTIONS":
            return self._preflight(handshake, "POST")
        if handshake.method != "POST":
            return Response.text(405, "Speak with POST.", ("Allow", "POST, OPTIONS"))
        if not self.gate.welcomes(handshake):
            raise HandshakeRejected("this page may not speak here")
        stream = self._open.get(key)
        if stream is None or _page(stream.handshake) != _page(handshake):
            raise HandshakeRejected(_NOBODY, status=404)
        if stream.waiting >= WAITING:
            raise LimitExceeded("posts waiting", WAITING, code=429)
        async with stream.turn:
            if stream.closing is not None:  # meanwhile
                raise HandshakeRejected(_NOBODY, status=404)
            body = await request.body(self.gate.limits.message_bytes)
            try:
                message = body.decode()
            except UnicodeDecodeError:
                return Response.text(400, "A message is UTF-8.", *self._cors(handshake))
            await stream.posted(message)
        return Response(204, headers=self._cors(handshake))

    # Pages of other origins.

    def _cors(self, handshake: Handshake) -> tuple[tuple[str, str], ...]:
        if handshake.origin is None or handshake.same_origin or not self.gate.welcomes(handshake):
            return ()
        return (
            ("Access-Control-Allow-Origin", handshake.origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Vary", "Origin"),
        )

    def _preflight(self, handshake: Handshake, method: str) -> Response:
        allowed = (
            ("Access-Control-Allow-Methods", f"{method}, OPTIONS"),
            ("Access-Control-Allow-Headers", "content-type, last-event-id, authorization"),
            ("Access-Control-Max-Age", "86400"),
        )
        cors = self._cors(handshake)
        return Response(204, headers=(*cors, *(allowed if cors else ())))


def _page(handshake: Handshake) -> str:
    """The foreign page that asks. A browser names its own origin when it posts, and not else."""
    return "" if handshake.same_origin else (handshake.origin or "").lower()


def last_event_id(spark: Spark) -> str:
    """The id of the last event that this client got before it came back; ``""`` for none.

    Browsers send it as a header; polyfills, which cannot, in the query.
    """
    handshake = spark.handshake
    return handshake.headers.get("last-event-id") or handshake.query.get("lastEventId", "")


def publish(
    who: Who,
    payload: Any,
    *,
    event_name: str = "",
    id: str | None = None,
    overflow: Overflow | None = None,
) -> Delivery:
    """Send a payload, to listeners of server-sent events with a name and an id.

    Everybody else in the audience gets the payload alone. It does not wait.

    :raises ValueError: the name or the id has a line end or a NUL in it
    :raises EncodeError: the payload has no form in the codec of some; all others were served
    """
    check_field("event", event_name)
    check_field("id", id or "")
    members = [*audience(who)]
    listeners = [one for one in members if one.connection.framing is EVENTS]
    frames: dict[Any, bytes] = {}
    counts = dict.fromkeys(Sent, 0)
    for one in listeners:
        if one.encoder not in frames:
            message = cast("Message", one.encoder.encode_data(payload))
            assert isinstance(message, str)
            frames[one.encoder] = event(message, event_name, id)
        counts[one.connection.put(frames[one.encoder], overflow)] += 1
    others = [one for one in members if one.connection.framing is not EVENTS]
    rest = audience(*others).send_nowait(payload, overflow) if others else Delivery()
    return Delivery(
        counts[Sent.SENT] + rest.sent,
        counts[Sent.QUEUED] + rest.queued,
        counts[Sent.DROPPED] + rest.dropped,
    )
