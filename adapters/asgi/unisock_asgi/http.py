"""HTTP exchanges (ASGI's connection scope ``http``)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable

import anyio

from unisock.abc import Upgrade
from unisock.exchange import Body, Held, Reader, Request, Response, Streamed

from .live import HIGH_WATER, LOW_WATER, Live
from .scope import Receive, Scope, Send, encode, handshake_of, has_body
from .wire import wire_of

__all__ = ["Exchange", "send_response"]

READ_AHEAD = 65_536
"""Bytes of a body that nobody asked for yet. With more, the client is stopped; and then it is not
noticed when it leaves, until the body is read."""

log = logging.getLogger("unisock")


class Exchange:
    """One request and its answer."""

    def __init__(self, live: Live, scope: Scope, receive: Receive, send: Send) -> None:
        self._live = live
        self._scope = scope
        self._receive = receive
        self._send = send
        self._wire = wire_of(scope)
        self._pieces: deque[bytes] = deque()
        self._ahead = 0
        self._whole = False
        self._changed = anyio.Event()
        self._given_up = False
        self._leave: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Answer it. Returns when it is answered, or the client has left."""
        complete = False
        with anyio.CancelScope() as scope:
            self._leave = scope.cancel
            self._live.add(self._give_up)
            try:
                complete = await self._respond()
            finally:
                self._live.discard(self._give_up)
        if not complete and self._wire is not None:
            # To return without an answer would be a fault, and logged as one.
            self._wire.cut()
            await self._wire.gone.wait()
        elif self._given_up:
            await _quietly(self._send, self._scope, Response.text(503, "This server has stopped."))

    def _give_up(self) -> None:
        """The server ends."""
        self._given_up = True
        self._leave()

    async def _respond(self) -> bool:
        """Returns whether the client has the whole answer, or needs none any more."""
        request = Request(
            handshake_of(self._scope),
            upgrade=False,
            receive=self._next_piece,
            whole=None if has_body(self._scope) else b"",
        )
        answer = self._live.gateway.respond(request)
        if isinstance(answer, Held):
            return await self._hold(answer)
        if isinstance(answer, Response) and not isinstance(answer, Streamed):
            return await self._tell(answer)
        complete = False
        async with anyio.create_task_group() as group:
            self._leave = group.cancel_scope.cancel
            group.start_soon(self._listen)
            complete = await self._tell(answer)
            self._leave()
        return complete

    async def _hold(self, held: Held) -> bool:
        """Wait until there is something to answer. Nobody else receives meanwhile."""
        try:
            with anyio.CancelScope() as ears:
                held.wait(ears.cancel)
                while (await self._receive())["type"] != "http.disconnect":
                    pass
                held.gone()
                return False
        except BaseException:
            held.gone()
            raise
        return await self._tell(held.response())

    async def _listen(self) -> None:
        """Read the body as it comes, and notice when the client leaves."""
        while True:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                self._leave()
                return
            piece = event.get("body", b"")
            if piece:
                self._pieces.append(bytes(piece))
                self._ahead += len(piece)
            self._whole = not event.get("more_body", False)
            self._change()
            while self._ahead > READ_AHEAD:
                await self._changed.wait()

    async def _next_piece(self) -> bytes:
        while not self._pieces:
            if self._whole:
                return b""
            await self._changed.wait()
        piece = self._pieces.popleft()
        self._ahead -= len(piece)
        self._change()
        return piece

    def _change(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def _tell(self, coming: Response | Upgrade | Awaitable[Response | Upgrade]) -> bool:
        """Send an answer. Returns whether the client has all of it, or needs none any more."""
        answer = coming if isinstance(coming, (Response, Upgrade)) else await coming
        if isinstance(answer, Upgrade):
            answer = Response.text(500, "Internal server error.")  # no request for one
        try:
            if isinstance(answer, Streamed):
                return await self._stream(answer)
            await send_response(self._send, self._scope, answer)
        except OSError:
            return True  # the client has left (ASGI specification 2.4)
        return True

    async def _stream(self, answer: Streamed) -> bool:
        body = _AsgiBody()
        try:
            try:
                headers = encode(answer.headers, self._scope)
                await self._send(
                    {"type": "http.response.start", "status": answer.status, "headers": headers}
                )
                # Some hosts send nothing before there is a body.
                await self._send(_chunk(b""))
            except ValueError:
                log.exception("a response has a header that HTTP does not allow")
                await send_response(self._send, self._scope, _FAULT)
                return True
            finally:
                body.begin(answer.start)
            if self._scope["method"] == "HEAD":
                await self._send(_chunk(b"", more=False))
                return True
            if await body.flow(self._send):
                return True
            if self._wire is None and not self._scope.get("asgi", {}).get("spec_version"):
                # A host of old, such as daphne, would leave the connection as it is for ever.
                await self._send(_chunk(b"", more=False))
            return False
        finally:
            body.lose()


class _AsgiBody(Body):
    """A body whose chunks wait for ``await send(…)``."""

    def __init__(self) -> None:
        self._reader: Reader | None = None
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._full = False
        self._over = False
        self._cut = False
        self._scope = anyio.CancelScope()
        self._changed = anyio.Event()

    def begin(self, start: Callable[[Body], Reader]) -> None:
        """Hand it to its writer."""
        reader = start(self)
        self._reader = reader
        if self._size >= HIGH_WATER and not self._over:
            self._full = True
            reader.congested()

    async def flow(self, send: Send) -> bool:
        """Send what is written until the end; returns `False` if it was cut off before."""
        with self._scope:
            while not self._cut:
                while self._chunks:
                    await send(_chunk(self._chunks[0]))
                    self._size -= len(self._chunks.popleft())
                    self._relieve()
                if self._over:
                    await send(_chunk(b"", more=False))
                    return True
                self._changed = anyio.Event()
                await self._changed.wait()
        return False

    def lose(self) -> None:
        """The client has left, unless the body was over."""
        if not self._over:
            self._over = True
            self._chunks.clear()
            if self._reader is not None:
                self._reader.gone()

    def write(self, chunk: bytes) -> None:
        if self._over or not chunk:
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._changed.set()
        if self._size >= HIGH_WATER and not self._full and self._reader is not None:
            self._full = True
            self._reader.congested()

    def end(self) -> None:
        self._over = True
        self._changed.set()

    def cut(self) -> None:
        if not self._cut and not (self._over and not self._chunks):
            self._over = self._cut = True
            self._scope.cancel()

    def _relieve(self) -> None:
        if self._full and self._size <= LOW_WATER and not self._over and self._reader is not None:
            self._full = False
            self._reader.relieved()


_FAULT = Response.text(500, "Internal server error.")


async def send_response(send: Send, scope: Scope, response: Response, prefix: str = "http") -> None:
    """Send a whole response.

    :param prefix: ``websocket.http`` for the answer to an opening handshake
    """
    try:
        headers = encode(response.headers, scope)
    except ValueError:
        log.exception("a response has a header that HTTP does not allow")
        response = _FAULT
        headers = encode(response.headers, scope)
    body = response.body
    if response.status in (204, 304):  # which never have a body (RFC 9110 section 6.4.1)
        body = b""
    else:
        headers.append((b"content-length", str(len(body)).encode()))
    if scope.get("method") == "HEAD":
        body = b""
    kind = f"{prefix}.response"
    await send({"type": f"{kind}.start", "status": response.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body, "more_body": False})


async def _quietly(send: Send, scope: Scope, response: Response) -> None:
    """Send a response, if none was begun and the client is still there."""
    try:
        await send_response(send, scope, response)
    except Exception as error:
        log.debug("no answer for a client of a stopped server: %r", error)


def _chunk(data: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}
