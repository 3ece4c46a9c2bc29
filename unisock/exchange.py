"""One HTTP exchange: what an adapter asks the gateway, and what it is told to answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from .errors import HandshakeRejected, Unsupported
from .handshake import Handshake
from .messages import Close, printable

__all__ = ["Request", "Response", "read_refusal"]


class Request:
    """One HTTP request that an adapter asks the gateway to answer.

    :ivar upgrade: whether it asks for a WebSocket
    """

    __slots__ = ("handshake", "upgrade")

    def __init__(self, handshake: Handshake, *, upgrade: bool) -> None:
        self.handshake = handshake
        self.upgrade = upgrade

    async def body(self, limit: int) -> bytes:
        """The request's body.

        :raises LimitExceeded: it has more than ``limit`` bytes
        :raises Unsupported: the adapter does not read bodies
        """
        raise Unsupported("this adapter reads no request bodies", what="body", who="adapter")


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
