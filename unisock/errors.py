"""Every error that unisock raises.

::

    UnisockError
    ├── ConfigError             what was asked for cannot be built      key, source
    │   ├── NotInstalled        no such adapter, protocol, plugin, …    kind, name, installed
    │   └── Unsupported         the chosen parts cannot do it           what, who
    ├── HandshakeRejected       a client was turned away                status, code, reason, data
    ├── ConnectionClosed        the pipe is gone                        code, reason, reconnect
    │   ├── ClosedLocally       … because this side closed it
    │   ├── ClosedByPeer        … because the peer closed it in good order
    │   ├── ConnectionLost      … because it broke
    │   └── ConnectionRejected  … because the server wants us no more   status
    ├── Unreachable             a client has given up                   attempts
    ├── Redirected              a client is sent elsewhere              status, location
    ├── CodecError
    │   ├── EncodeError         this payload has no form in that codec
    │   └── DecodeError         these bytes are not of that codec       code
    ├── ProtocolError           the peer broke its protocol's rules     code
    └── LimitExceeded           a cap was reached                       limit, maximum, code

The kinds of `ConnectionClosed` are anyio's errors too, so a Spark behaves as any other
`anyio.abc.ObjectStream`.
"""

from __future__ import annotations

import anyio

__all__ = [
    "ClosedByPeer",
    "ClosedLocally",
    "CodecError",
    "ConfigError",
    "ConnectionClosed",
    "ConnectionLost",
    "ConnectionRejected",
    "DecodeError",
    "EncodeError",
    "HandshakeRejected",
    "LimitExceeded",
    "NotInstalled",
    "ProtocolError",
    "Redirected",
    "UnisockError",
    "Unreachable",
    "Unsupported",
]


class UnisockError(Exception):
    """The root of all errors of unisock."""


class ConfigError(UnisockError):
    """What was asked for cannot be built. The text says what to type instead.

    :ivar key: the setting's path, such as ``listen.port``, or ``""``
    :ivar source: where it was set, such as ``unisock.toml``, or ``""``
    """

    def __init__(self, message: str, *, key: str = "", source: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.source = source


class NotInstalled(ConfigError):
    """A name was looked up that no installed package answers to.

    :ivar kind: ``adapter``, ``protocol``, ``dialect``, ``codec`` or ``plugin``
    :ivar name: the name that was asked for
    :ivar installed: the names that would have been found
    """

    def __init__(self, message: str, *, kind: str, name: str, installed: tuple[str, ...]) -> None:
        super().__init__(message, key=kind)
        self.kind = kind
        self.name = name
        self.installed = installed


class Unsupported(ConfigError):
    """The chosen parts cannot do together what was asked for.

    :ivar what: what was asked for
    :ivar who: the part that cannot do it
    """

    def __init__(self, message: str, *, what: str, who: str) -> None:
        super().__init__(message)
        self.what = what
        self.who = who


class HandshakeRejected(UnisockError):
    """A client is turned away before it has a connection. Raise it in an ``authorize`` handler.

    :param reason: told to the client; no secrets
    :param status: the HTTP status of the answer (400–599); the dialect's own unless given, which
        is 403 with most
    :param code: the close code where the session is refused after it was accepted at HTTP level
    :param retry: whether the client may try again later
    :param headers: further response headers
    :param data: further facts for the client's program, where its dialect has a place for them, as
        Socket.IO has
    """

    def __init__(
        self,
        reason: str = "Forbidden",
        *,
        status: int | None = None,
        code: int = 4500,
        retry: bool = False,
        headers: tuple[tuple[str, str], ...] = (),
        data: object = None,
    ) -> None:
        if status is not None and not 400 <= status <= 599:
            raise ValueError(f"a refusal needs an HTTP status from 400 to 599, not {status}")
        super().__init__(reason)
        self.reason = reason
        self.status = status or 403
        self.says_status = status is not None
        self.code = code
        self.retry = retry
        self.headers = headers
        self.data = data


class ConnectionClosed(UnisockError):
    """The connection is closed.

    :ivar code: the close code (RFC 6455 section 7.4; 1005 none given, 1006 no close at all)
    :ivar reason: the close reason
    :ivar reconnect: whether the client is expected to come back
    """

    def __init__(self, code: int, reason: str, reconnect: bool) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason
        self.reconnect = reconnect


class ClosedLocally(ConnectionClosed, anyio.ClosedResourceError):
    """This side closed the connection."""


class ClosedByPeer(ConnectionClosed, anyio.EndOfStream, anyio.BrokenResourceError):
    """The peer closed the connection in good order."""


class ConnectionLost(ConnectionClosed, anyio.BrokenResourceError):
    """The connection broke: no close handshake, no answer to a heartbeat, a broken rule."""


class ConnectionRejected(ConnectionClosed, anyio.BrokenResourceError):
    """The server told this client not to come back: it refused the handshake (its
    `HandshakeRejected` is the cause then), or closed with a code that says so.

    :ivar status: the HTTP status of the refusal; 0 where the connection had been accepted
    """

    status: int = 0

    @classmethod
    def of(cls, rejection: HandshakeRejected) -> ConnectionRejected:
        """The refusal of a handshake, as whoever wanted the connection sees it."""
        error = cls(rejection.code, f"{rejection.status} {rejection.reason}", False)
        error.status = rejection.status
        error.__cause__ = rejection
        return error


class Unreachable(UnisockError):
    """A client could not connect, and has given up; the last error is its cause.

    :ivar attempts: how often it had tried
    """

    def __init__(self, message: str, *, attempts: int) -> None:
        super().__init__(message)
        self.attempts = attempts


class Redirected(UnisockError):
    """The server sends a client elsewhere.

    :ivar status: the HTTP status
    :ivar location: the ``Location`` header
    """

    def __init__(self, status: int, location: str) -> None:
        super().__init__(f"{status}: this server sends its clients to {location}")
        self.status = status
        self.location = location


class CodecError(UnisockError):
    """A payload and its form on the wire do not fit."""


class EncodeError(CodecError):
    """This payload has no form in that codec, or in that session."""


class DecodeError(CodecError):
    """The peer sent what is not of the codec.

    :ivar code: the close code that goes with it
    """

    def __init__(self, message: str, *, code: int = 1007) -> None:
        super().__init__(message)
        self.code = code


class ProtocolError(UnisockError):
    """The peer broke the rules of its protocol or dialect.

    :ivar code: the close code that goes with it
    """

    def __init__(self, message: str, *, code: int = 1002) -> None:
        super().__init__(message)
        self.code = code


class LimitExceeded(UnisockError):
    """A cap was reached.

    :ivar limit: the name of the setting or constant, such as ``message_bytes``
    :ivar maximum: its value
    :ivar code: the close code that goes with it
    """

    def __init__(self, limit: str, maximum: float, *, code: int = 1008) -> None:
        super().__init__(f"over the limit {limit} = {maximum}")
        self.limit = limit
        self.maximum = maximum
        self.code = code
