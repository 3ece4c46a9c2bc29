"""The client's side: ``connect("sse+http://…")``."""

from __future__ import annotations

import json
from typing import Any, cast

import anyio

from unisock.abc import Call, Connector, Gate
from unisock.connection import LOST, BufferedConnection
from unisock.errors import ConfigError, EncodeError, LimitExceeded, ProtocolError, Redirected
from unisock.exchange import read_refusal
from unisock.framing import Framing
from unisock.handshake import Address, Handshake
from unisock.messages import Close, Message, Origin, printable

from .parser import EventParser, ServerSent

try:
    import httpx

    from unisock.http_client import HttpClient, leave, read_some
except ImportError as error:
    raise ConfigError(
        "server-sent events as a client need: pip install 'unisock-eventsource[client]'",
        key="connector",
    ) from error

__all__ = ["SseConnector"]

BODY_BYTES = 65_536
"""The body of a refusal."""
POSTS_WAITING = 65_536
"""Characters that may wait to be posted before the connection is congested."""
_WANTED = [("Accept", "text/event-stream"), ("Cache-Control", "no-store")]
_TEXT = [("Content-Type", "text/plain; charset=utf-8")]


class SseConnector(Connector):
    """Listens to any source of server-sent events. What is sent is posted, where the server gives
    an address for that; with others, it is one-way.

    It remembers the id of the last event, and sends it when it comes back.
    """

    name = "sse"

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__(options)
        self._last_id = ""

    async def connect(self, call: Call, gate: Gate) -> None:
        url = call.url
        client = HttpClient(call)
        given = {name.lower() for name, _ in call.headers}
        headers = [pair for pair in _WANTED if pair[0].lower() not in given]
        if self._last_id:
            headers.append(("Last-Event-ID", self._last_id))
        try:
            response = await client.send("GET", url.resource, headers=headers, stream=True)
            await _check(response)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await client.aclose()
            if isinstance(error, httpx.TransportError):
                told = str(error) or type(error).__name__
                raise ConnectionError(f"{url.authority}: {told}") from error
            raise
        handshake = Handshake(
            target=url.resource,
            headers=[*headers, *call.headers],
            peer=Address(url.host, url.port),
            scheme="https" if url.secure else "http",
            transport="eventsource",
        )
        connection = _SseConnection(gate, handshake, client, response, self._remember)
        gate.open(connection)
        gate.runtime.spawn(connection.run)

    def _remember(self, id: str) -> None:
        self._last_id = id


async def _check(response: httpx.Response) -> None:
    """:raises HandshakeRejected: and whatever else it means that this is no stream of events"""
    status, location = response.status_code, response.headers.get("location")
    if 300 <= status < 400 and location is not None:
        raise Redirected(status, location)
    if status >= 400 or status == 204:
        body = await read_some(response, BODY_BYTES)
        # 204 is how a server tells a browser not to come back (WHATWG HTML, section 9.2.3).
        told = body or (b"the server has no more events" if status == 204 else b"")
        raise read_refusal(410 if status == 204 else status, response.headers.items(), told)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if status != 200 or kind != "text/event-stream":
        raise ProtocolError(
            f"the server answered with {status} and {printable(kind, 60) or 'no type'}, "
            "and not with server-sent events"
        )


class _PostFraming(Framing):
    """Text, and only where there is somewhere to post it."""

    __slots__ = ("address",)

    binary = False

    def __init__(self) -> None:
        self.address = ""

    def post_to(self, address: str) -> None:
        """Where the server wants messages: a path of its own, and nobody else's address."""
        if address.startswith("/"):
            self.address = address

    def frame(self, message: Message) -> Message:
        if isinstance(message, bytes):
            raise EncodeError("server-sent events are text: send str, or use the json codec")
        if not self.address:
            raise EncodeError("this source of server-sent events takes no messages")
        return message


class _SseConnection(BufferedConnection):
    """The client's end."""

    __slots__ = (
        "_changed",
        "_client",
        "_close",
        "_framing",
        "_paused",
        "_remember",
        "_response",
        "_scope",
        "_sending",
        "_size",
    )

    def __init__(
        self,
        gate: Gate,
        handshake: Handshake,
        client: HttpClient,
        response: httpx.Response,
        remember: Any,
    ) -> None:
        self._framing = _PostFraming()
        self._framing.post_to(response.links.get("post", {}).get("url", ""))
        super().__init__(gate, handshake, self._framing)
        self._client = client
        self._response = response
        self._remember = remember
        self._scope = anyio.CancelScope()
        self._sending: list[str] = []
        self._size = 0
        self._changed = anyio.Event()
        self._close: Close | None = None
        self._paused = False

    async def run(self) -> None:
        """Listen and post until the end."""
        try:
            with self._scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._post)
                    await self._listen()
                    group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._client.aclose()
            self.ended(self._close or LOST)

    async def _listen(self) -> None:
        parser = EventParser(self.gate.limits.message_bytes)
        pieces = self._response.aiter_bytes()
        try:
            async for piece in pieces:
                self.heard = True
                for event in parser.feed(piece):
                    while self._paused:
                        await self._changed.wait()
                    self._take(event)
        except LimitExceeded as error:
            self.close(Close(error.code, str(error)))
            await leave(pieces)
        except httpx.TransportError:
            pass  # `run` says that it is lost

    def _take(self, event: ServerSent) -> None:
        self._remember(event.id)
        if event.name == "post":
            self._framing.post_to(event.data)
            return
        told = _facts(event.data) if event.name == "close" else {}
        code = told.get("code")
        if type(code) is not int:
            self.receiver.on_message(event.data)
            return
        back = told.get("reconnect") is True or None
        reason = printable(str(told.get("reason", "")))
        self._close = Close(code, reason, back, Origin.PEER)

    async def _post(self) -> None:
        while True:
            while self._sending:
                message = self._sending.pop(0)
                self._size -= len(message)
                try:
                    answer = await self._client.send(
                        "POST", self._framing.address, message.encode(), _TEXT
                    )
                except httpx.TransportError:
                    self._scope.cancel()
                    return
                if answer.status_code >= 400:
                    code = 1009 if answer.status_code == 413 else 1006
                    self._close = Close(code, f"a message was refused: {answer.status_code}")
                    self._scope.cancel()
                    return
                if self._size < POSTS_WAITING // 4:
                    self.relieved()
            if self._close is not None:
                self._scope.cancel()
                return
            await self._changed.wait()

    # For the core.

    def transmit(self, frame: Message) -> None:
        assert isinstance(frame, str)
        self._sending.append(frame)
        self._size += len(frame)
        self._stir()
        if self._size >= POSTS_WAITING:
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


def _facts(data: str) -> dict[str, Any]:
    try:
        told: object = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", told) if isinstance(told, dict) else {}
