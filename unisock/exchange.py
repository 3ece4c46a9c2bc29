"""One HTTP exchange: what an adapter asks the gateway, and what it is told to answer.

A `Response` is whole. A `Streamed` response has a body that comes bit by bit, for as long as its
`Reader` lives. A `Held` answer is whole, but later: a long poll's, which costs no task while it
waits. Where something else has to be waited for, the answer is a coroutine, which the adapter
cancels when the client goes away.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence

import anyio
import msgspec

from .errors import HandshakeRejected, LimitExceeded, Unsupported
from .handshake import Handshake
from .messages import Close, printable

__all__ = ["Body", "Held", "Reader", "Request", "Response", "Streamed", "read_refusal"]

BODY_RATE = 1024
"""Bytes of a request's body that a client has to send in each second beyond the first few."""


class Request:
    """One HTTP request that an adapter asks the gateway to answer.

    :param receive: gives the next piece of the body, and ``b""`` at its end; `None` where the
        adapter reads no bodies
    :param whole: the body, if all of it has come already
    :ivar upgrade: whether it asks for a WebSocket
    """

    __slots__ = ("_receive", "_whole", "handshake", "upgrade")

    def __init__(
        self,
        handshake: Handshake,
        *,
        upgrade: bool,
        receive: Callable[[], Awaitable[bytes]] | None = None,
        whole: bytes | None = None,
    ) -> None:
        self.handshake = handshake
        self.upgrade = upgrade
        self._receive = receive
        self._whole = whole

    def whole_body(self, limit: int) -> bytes | None:
        """The request's body, if all of it has come; `None` if `body` has to wait for it.

        :raises LimitExceeded: it has more than ``limit`` bytes
        """
        whole = self._whole
        if whole is not None and len(whole) > limit:
            raise LimitExceeded("message_bytes", limit, code=413)
        return whole

    async def body(self, limit: int, *, seconds: float = 10.0) -> bytes:
        """The request's body; can be read once.

        :param seconds: for all of it, and one second more for each KiB that has come
        :raises LimitExceeded: it has more than ``limit`` bytes, or takes too long
        :raises Unsupported: the adapter does not read bodies
        """
        whole = self.whole_body(limit)
        if whole is not None:
            return whole
        if self._receive is None:
            raise Unsupported("this adapter reads no request bodies", what="body", who="adapter")
        body = bytearray()
        deadline = anyio.current_time() + seconds
        with anyio.CancelScope(deadline=deadline) as scope:
            while piece := await self._receive():
                body += piece
                if len(body) > limit:
                    raise LimitExceeded("message_bytes", limit, code=413)
                scope.deadline = deadline + len(body) / BODY_RATE
            return bytes(body)
        raise LimitExceeded("body_seconds", seconds, code=408)


class Response:
    """The answer to a request, whole.

    :ivar headers: further headers; the adapter adds ``Content-Length`` and ``Connection``, and
        leaves out the body where the method is ``HEAD``
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, status: int, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.status = status
        self.body = body
        self.headers = tuple(headers)

    @classmethod
    def text(cls, status: int, text: str, *headers: tuple[str, str]) -> Response:
        """A plain-text answer."""
        return cls(
            status,
            f"{text}\n".encode("utf-8", "replace"),
            (("Content-Type", "text/plain; charset=utf-8"), *headers),
        )

    @classmethod
    def refusal(cls, rejection: HandshakeRejected) -> Response:
        """The answer to a client that is turned away: the reason as JSON."""
        body = {"error": rejection.reason, "code": rejection.code, "retry": rejection.retry}
        headers = [("Content-Type", "application/json"), *rejection.headers]
        return cls(rejection.status, msgspec.json.encode(body), headers)


class Held(ABC):
    """An answer that is held back until there is something to say. None of these raises.

    After `wait`, exactly one of `response` and `gone` is called.
    """

    __slots__ = ()

    @abstractmethod
    def wait(self, ready: Callable[[], None]) -> None:
        """Call ``ready`` when there is an answer, once. `response` follows when the present turn of
        the event loop is over, so that all that is said in one turn is in it.
        """

    @abstractmethod
    def response(self) -> Response:
        """The answer."""

    @abstractmethod
    def gone(self) -> None:
        """The client went away, or the server stops."""


class Reader(ABC):
    """Who reads a streamed response, as its writer learns of it. None of these raises."""

    __slots__ = ()

    @abstractmethod
    def congested(self) -> None:
        """The driver's buffer is above its high-water mark."""

    @abstractmethod
    def relieved(self) -> None:
        """The driver's buffer has room again."""

    @abstractmethod
    def gone(self) -> None:
        """The client went away before `Body.end`: once, and nothing comes after it."""


class Body(ABC):
    """The open body of a streamed response. An adapter implements it. None of these raises."""

    __slots__ = ()

    @abstractmethod
    def write(self, chunk: bytes) -> None:
        """Send one chunk, at once and as one HTTP chunk. Does nothing after the end."""

    @abstractmethod
    def end(self) -> None:
        """The body is whole; the HTTP connection may be used again."""

    @abstractmethod
    def cut(self) -> None:
        """Close the HTTP connection in the middle of the body. `Reader.gone` is not called."""


class Streamed(Response):
    """An answer whose body comes bit by bit.

    With HTTP/1.1 each `Body.write` is a chunk (RFC 9112 section 7.1); with HTTP/1.0 there are none,
    and the end of the connection is the end of the body.

    :param start: called once, with the open body, when status and headers are on their way; also if
        the client has left meanwhile, and then `Reader.gone` follows
    """

    __slots__ = ("start",)

    def __init__(
        self,
        status: int,
        headers: Sequence[tuple[str, str]],
        start: Callable[[Body], Reader],
    ) -> None:
        super().__init__(status, headers=headers)
        self.start = start


class _Refusal(msgspec.Struct):
    """The body of a refusal of ours."""

    error: str
    code: int = 4500
    retry: bool = False


def read_refusal(
    status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
) -> HandshakeRejected:
    """What a client makes of a server's refusal, ours or anybody's.

    :param status: the HTTP status; one that is no error counts as 400
    """
    try:
        told = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, RecursionError):
        told = _Refusal(printable(" ".join(body.decode("utf-8", "replace").split())) or "refused")
    return HandshakeRejected(
        printable(told.error),
        status=status if 400 <= status <= 599 else 400,
        code=told.code if Close.sendable(told.code) else 4500,
        retry=told.retry,
        headers=tuple(headers),
    )
