"""The client's end of a session by streaming responses or polls, and POSTs, with httpx."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

import anyio
import httpx

from unisock.abc import Call, Gate
from unisock.connection import LOST, BufferedConnection
from unisock.errors import HandshakeRejected, LimitExceeded, ProtocolError, Redirected
from unisock.exchange import read_refusal
from unisock.handshake import Address, Handshake
from unisock.http_client import HttpClient, leave, read_some
from unisock.messages import Close, Message, Origin, printable

from .client_session import CLIENT_MESSAGES, PACKET_BYTES, refused
from .packets import FROM_CLIENT, HEARTBEAT, decode, decode_close
from .session import too_long

__all__ = ["open_stream"]

POST_BYTES = 65_536
"""What is put into one POST, and waits for it, before the connection is congested."""
REFUSAL_BYTES = 65_536
_TEXT = [("Content-Type", "text/plain; charset=UTF-8")]


async def open_stream(call: Call, gate: Gate, transport: str) -> None:
    """Open a session, and bring it to the gate.

    :param transport: ``xhr-streaming``, or ``xhr-polling``: then a response has one packet
    :raises HandshakeRejected: as `Connector.connect`
    """
    client = HttpClient(call)
    session = StreamSession(call, gate, client, transport)
    try:
        await session.start()
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await session.hang_up()
        if isinstance(error, httpx.TransportError):
            told = str(error) or type(error).__name__
            raise ConnectionError(f"{call.url.authority}: {told}") from error
        raise
    gate.open(session)
    gate.runtime.spawn(session.run)


class StreamSession(BufferedConnection):
    """The client's end."""

    __slots__ = (
        "_changed",
        "_client",
        "_close",
        "_lines",
        "_path",
        "_paused",
        "_query",
        "_receiver",
        "_response",
        "_scope",
        "_sending",
        "_size",
    )

    def __init__(self, call: Call, gate: Gate, client: HttpClient, transport: str) -> None:
        url = call.url
        path, question, query = url.resource.partition("?")
        handshake = Handshake(
            target=url.resource,
            headers=[("Host", url.authority), *call.headers],
            peer=Address(url.unix) if url.unix is not None else Address(url.host, url.port),
            scheme="https" if url.secure else "http",
            method="POST",
            transport=transport,
        )
        super().__init__(gate, handshake, FROM_CLIENT)
        self._client = client
        self._path = path
        self._receiver = "xhr_streaming" if transport == "xhr-streaming" else "xhr"
        self._query = question + query
        self._response: httpx.Response | None = None
        self._lines: AsyncIterator[bytes] | None = None
        self._sending: deque[bytes] = deque()
        self._size = 0
        self._changed = anyio.Event()
        self._scope = anyio.CancelScope()
        self._close: Close | None = None
        self._paused = False

    async def start(self) -> None:
        """Wait until the server has opened the session.

        :raises HandshakeRejected: it does not
        """
        await self._ask()
        assert self._lines is not None
        async for packet in self._lines:
            if packet[:1] == b"c":
                raise refused(decode_close(packet[1:]))
            if packet != b"o":
                raise ProtocolError("the server does not speak SockJS")
            return
        raise ConnectionError("the server hung up")

    async def run(self) -> None:
        """Receive and send until the end."""
        try:
            with self._scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._post)
                    await self._receive()
                    group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self.hang_up()
            self.ended(self._close or LOST)

    async def hang_up(self) -> None:
        """Close all requests."""
        if self._lines is not None:
            await leave(self._lines)
        if self._response is not None:
            await self._response.aclose()
        await self._client.aclose()

    async def _ask(self) -> None:
        """The next response."""
        target = f"{self._path}/{self._receiver}{self._query}"
        self._response = response = await self._client.send("POST", target, stream=True)
        location = response.headers.get("location")
        if 300 <= response.status_code < 400 and location is not None:
            raise Redirected(response.status_code, location)
        if response.status_code != 200:
            body = await read_some(response, REFUSAL_BYTES)
            raise read_refusal(response.status_code, response.headers.items(), body)
        self._lines = _lines(response)

    async def _receive(self) -> None:
        try:
            while self._close is None:
                assert self._lines is not None
                async for packet in self._lines:
                    await self._take(packet)
                    if self._close is not None:
                        return
                await self._ask()
        except LimitExceeded as error:
            self._close = Close(1009, str(error))
        except ProtocolError as error:
            self._close = Close(error.code, str(error))
        except (httpx.TransportError, HandshakeRejected, Redirected):
            pass  # `run` says that it is lost

    async def _take(self, packet: bytes) -> None:
        self.heard = True
        kind, content = packet[:1], packet[1:]
        if kind == b"c":
            self._close = decode_close(content)
        elif kind == b"o":
            # The server has forgotten this session, and begun another.
            self._close = Close(1006, "the server lost the session", origin=Origin.LOST)
        elif kind == b"a":
            for message in decode(content, CLIENT_MESSAGES):
                while self._paused:
                    await self._changed.wait()
                if too_long(message, self.gate.limits.message_bytes):
                    raise LimitExceeded("message_bytes", self.gate.limits.message_bytes)
                self.receiver.on_message(message)
        elif kind != b"h":
            raise ProtocolError(f"{printable(repr(kind))} begins no packet of SockJS")

    async def _post(self) -> None:
        while True:
            while self._sending:
                batch = [self._sending.popleft()]
                room = POST_BYTES - len(batch[0])
                while self._sending and (room := room - len(self._sending[0]) - 1) >= 0:
                    batch.append(self._sending.popleft())
                self._size -= sum(map(len, batch))
                if not await self._say(b"[" + b",".join(batch) + b"]"):
                    self._scope.cancel()
                    return
                if self._size < POST_BYTES // 4:
                    self.relieved()
            if self._close is not None:
                self._scope.cancel()
                return
            await self._changed.wait()

    async def _say(self, body: bytes) -> bool:
        try:
            target = f"{self._path}/xhr_send{self._query}"
            answer = await self._client.send("POST", target, body, _TEXT)
        except httpx.TransportError:
            return False
        if answer.status_code >= 400:
            told = printable(answer.text, 80)
            reason = f"a message was refused: {answer.status_code} {told}"
            self._close = self._close or Close(1006, reason, origin=Origin.LOST)
        return answer.status_code < 400

    # For the core.

    def transmit(self, frame: Message) -> None:
        assert isinstance(frame, bytes)
        self._sending.append(frame)
        self._size += len(frame)
        self._stir()
        if self._size >= POST_BYTES:
            self.congested()

    def shut(self, close: Close) -> None:
        self._close = close
        self._stir()

    def abort(self) -> None:
        self._scope.cancel()

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._stir()

    def _stir(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """The packets in a response, without the prelude of a streaming one.

    :raises LimitExceeded: one is too long
    """
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line == HEARTBEAT or line.strip(b"h"):
                yield line
        if len(rest) > PACKET_BYTES:
            raise LimitExceeded("packet_bytes", PACKET_BYTES)
