"""picows' frame parser, by itself.

picows accepts a WebSocket only through a factory that must answer at once, and speaks no other
HTTP. So the opening handshake is done elsewhere, and picows' protocol is put on the transport after
it. It is told of the handshake by a request of our own; and what it takes for its transport is a
stand-in: whatever picows has to say by itself, it says to us.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, MutableMapping
from typing import Any, cast

import picows.picows
from picows import WSAutoPingStrategy, WSListener

from unisock.messages import Close

__all__ = ["CALM", "feed", "free", "make_parser"]

_make_protocol = cast(
    "Callable[..., asyncio.BufferedProtocol]",
    picows.picows.WSProtocol,  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
)

_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

CALM = 65_536
"""Bytes of read buffer that a connection may keep while it is idle."""

_Adapted = logging.LoggerAdapter[logging.Logger]


class _Log(_Adapted):
    """picows logs each connection, and each fault of a client as an error. Neither is news here;
    an exception is.
    """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is logging's
        return False

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if kwargs.get("exc_info"):
            self.logger.log(level, msg, *args, **kwargs)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs


_log = _Log(logging.getLogger("unisock"), {})


class _NoSocket:
    """Where picows looks for a socket, to set options which only TCP has."""

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *option: object) -> None:
        """Done already, where there is such an option."""

    def getsockopt(self, *option: object) -> int:
        return 0


_NO_SOCKET = _NoSocket()


class _StandIn:
    """What a parser takes for its transport, and writes to of its own accord."""

    __slots__ = ("_made", "_on_fault")

    def __init__(self, on_fault: Callable[[Close], None]) -> None:
        self._on_fault = on_fault
        self._made = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        """A socket, and TLS: else picows would write past its transport."""
        return {"socket": _NO_SOCKET, "ssl_object": True}.get(name, default)

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def write(self, data: bytes | bytearray) -> None:
        """The answer to the handshake that it was told of; or a close frame, because of a fault."""
        if self._made:
            code, reason = int.from_bytes(data[2:4], "big"), data[4:]
            self._on_fault(Close(code, reason.decode("utf-8", "replace")))
        self._made = True

    def close(self) -> None:
        """It does so some time after a fault, which has been dealt with."""

    def abort(self) -> None:
        """The same."""


def make_parser(
    listener: WSListener,
    on_fault: Callable[[Close], None],
    *,
    max_frame_size: int,
    read_buffer_bytes: int,
) -> asyncio.BufferedProtocol:
    """A protocol that reads a client's frames, and hands them to the listener's ``on_ws_frame``.

    :param on_fault: the client broke a rule of RFC 6455. This comes ahead of the last frame before
        the fault; none follows that one.
    """
    parser = _make_protocol(
        None,  # host_port: a client's
        None,  # ws_path: a client's
        False,  # is_client_side
        lambda request: listener,  # pyright: ignore[reportUnknownLambdaType]
        _log,
        False,  # disconnect_on_exception
        None,  # websocket_handshake_timeout
        False,  # enable_auto_ping
        0,  # auto_ping_idle_timeout
        0,  # auto_ping_reply_timeout
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # enable_auto_pong
        max_frame_size,
        None,  # extra_headers: a client's
        read_buffer_bytes,
    )
    parser.connection_made(cast("asyncio.Transport", _StandIn(on_fault)))
    feed(parser, memoryview(_HANDSHAKE))
    return parser


def feed(parser: asyncio.BufferedProtocol, data: memoryview) -> int:
    """Have bytes parsed as if they had been read from a transport.

    :returns: how many of them found room; the others are to follow
    """
    room = free(parser)
    size = min(len(room), len(data))
    room[:size] = data[:size]
    parser.buffer_updated(size)
    return size


def free(parser: asyncio.BufferedProtocol) -> memoryview:
    """Where the parser wants the next bytes: what is left of its buffer."""
    return cast("memoryview", parser.get_buffer(-1))
