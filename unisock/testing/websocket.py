"""A WebSocket client (RFC 6455) over any byte stream, on asyncio and on trio.

The rules are those of the websockets library's sans-I/O protocol; the input and output are here, so
that a test can also break the rules.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from typing import Self, cast

import anyio
from anyio.abc import ByteStream, SocketAttribute, TaskGroup
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from ..handshake import Headers
from ..messages import Close, Message, Origin
from .peers import BufferedPeer, Refused
from .wire import Place

__all__ = ["WebSocketPeer", "frame"]

PONG = 0x8A
"""The first byte of a pong frame."""
LOST = Close(1006, "connection lost", origin=Origin.LOST)


class WebSocketPeer(BufferedPeer):
    """A client on a WebSocket."""

    wire = True

    def __init__(self, stream: ByteStream, protocol: ClientProtocol) -> None:
        super().__init__()
        self.stream = stream
        self._protocol = protocol
        self._sending = anyio.Lock()
        self._text: bool = True
        self._parts: list[bytes] = []

    @classmethod
    async def connect(
        cls,
        place: Place,
        target: str,
        *,
        group: TaskGroup,
        headers: Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
    ) -> Self:
        """A new client.

        :param group: where its reader runs
        :raises Refused: the server did not accept the WebSocket
        :raises OSError: nobody listens there
        """
        stream = await place.dial()
        try:
            protocol = ClientProtocol(
                parse_uri(f"ws://{place.authority}{target}"),
                subprotocols=[Subprotocol(name) for name in subprotocols] or None,
                max_size=None,
            )
            request = protocol.connect()
            for name, value in headers:
                request.headers[name] = value
            protocol.send_request(request)
            peer = cls(stream, protocol)
            await peer._shake_hands()
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
        group.start_soon(peer._read)
        return peer

    async def send(self, message: Message) -> None:
        if self.closed is not None:
            raise self.closed.error()
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        await self._flush()

    async def send_fragments(self, parts: Sequence[Message]) -> None:
        """Send one message in as many fragments (RFC 6455 section 5.4)."""
        last = len(parts) - 1
        opcode = Opcode.TEXT if isinstance(parts[0], str) else Opcode.BINARY
        for number, part in enumerate(parts):
            payload = part.encode() if isinstance(part, str) else part
            await self.send_raw(frame(0 if number else opcode, payload, fin=number == last))

    async def send_raw(self, data: bytes) -> None:
        """Send these bytes as they are, whatever they mean."""
        try:
            async with self._sending:
                await self.stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the reader finds out how it ended

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if self.closed is None:
            self._protocol.send_close(None if code == 1005 else code, reason)
            await self._flush()
        await self.wait_closed()

    async def drop(self, *, reset: bool = True) -> None:
        """Vanish without a close frame.

        :param reset: with a TCP reset, as when a process dies; else with a plain end of stream
        """
        over = self.closed is not None
        self.finish(LOST)
        if reset and not over:
            raw = self.stream.extra(SocketAttribute.raw_socket, None)
            if raw is not None and raw.family != socket.AF_UNIX and raw.fileno() != -1:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await anyio.aclose_forcefully(self.stream)

    async def _shake_hands(self) -> None:
        protocol = self._protocol
        await self._flush()
        while not (events := protocol.events_received()) and protocol.handshake_exc is None:
            try:
                protocol.receive_data(await self.stream.receive())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                protocol.receive_eof()
        response = cast("Response | None", events[0] if events else None)
        if protocol.handshake_exc is not None:
            if response is None or response.status_code == 101:
                raise Refused(0, Headers(), str(protocol.handshake_exc).encode())
            pairs = Headers([*response.headers.raw_items()])
            raise Refused(response.status_code, pairs, bytes(response.body or b""))
        self.subprotocol = protocol.subprotocol or ""
        self._take(events[1:])

    async def _read(self) -> None:
        protocol = self._protocol
        try:
            await self._flush()  # the answer to what came along with the handshake
            while True:
                await self.until_readable()
                protocol.receive_data(await self.stream.receive())
                self._take(protocol.events_received())
                await self._flush()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            if self.closed is None:
                protocol.receive_eof()
                self._take(protocol.events_received())
                self.finish(self._outcome())
            await anyio.aclose_forcefully(self.stream)

    def _take(self, events: Sequence[object]) -> None:
        """Put messages together from frames."""
        for event in events:
            if not isinstance(event, Frame) or event.opcode not in (
                Opcode.TEXT,
                Opcode.BINARY,
                Opcode.CONT,
            ):
                continue
            if event.opcode is not Opcode.CONT:
                self._text = event.opcode is Opcode.TEXT
            self._parts.append(bytes(event.data))
            if event.fin:
                payload = b"".join(self._parts)
                self._parts.clear()
                self.deliver(payload.decode() if self._text else payload)

    def _outcome(self) -> Close:
        """How the connection ended, from the close frames that were seen."""
        error = self._protocol.close_exc
        if error.rcvd is None:
            return LOST
        if error.sent is not None and not error.rcvd_then_sent:
            return Close(error.sent.code, error.sent.reason)
        return Close(error.rcvd.code, error.rcvd.reason, origin=Origin.PEER)

    async def _flush(self) -> None:
        try:
            async with self._sending:
                for data in self._protocol.data_to_send():
                    if data and (self.answers_pings or data[0] != PONG):
                        await self.stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the reader finds out how it ended


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bool = True
) -> bytes:
    """A frame as a client sends it (RFC 6455 section 5.2), or as it must not.

    :param reserved: the three reserved bits, as a number
    """
    first = fin << 7 | reserved << 4 | opcode
    flag = mask << 7
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, flag | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BBQ", first, flag | 127, size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    pad = key * (size // 4 + 1)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pad[:size], "big")
    return head + key + masked.to_bytes(size, "big")
