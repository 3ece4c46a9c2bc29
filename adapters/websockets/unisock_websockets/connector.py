"""The client's side: a request for a WebSocket, and what the server says to it."""

from __future__ import annotations

from typing import Any

import anyio
from anyio.abc import ByteStream
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.http11 import Response
from websockets.uri import WebSocketURI

from unisock.abc import Call, Connector, Gate, Upgrade
from unisock.errors import ProtocolError, Redirected
from unisock.exchange import read_refusal
from unisock.handshake import Address, Handshake
from unisock.messages import printable

from .connection import WebSocketConnection
from .dialing import dial
from .framing import OFFER, MaskedFraming
from .options import read_connector_options
from .protocol import WebSocketClient
from .stream_link import StreamLink

__all__ = ["WebSocketConnector"]

HEAD_BYTES = 16_384
"""The status line and all headers of a response."""
BODY_BYTES = 65_536
"""The body of a refusal."""

_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})


class WebSocketConnector(Connector):
    """Opens WebSockets (RFC 6455), on asyncio and trio.

    :raises ConfigError: an option is unknown or of the wrong kind; see `ConnectorOptions`
    """

    name = "websocket"

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._options = read_connector_options(options)

    async def connect(self, call: Call, gate: Gate) -> None:
        url = call.url
        path, _, query = url.resource.partition("?")
        uri = WebSocketURI(url.secure, url.host, url.port, path, query)
        protocol = WebSocketClient(
            uri, call.subprotocols, OFFER if self._options.compression else None
        )
        stream = await dial(call, uri)
        try:
            handshake = _say_request(protocol, call)
            early = await _shake_hands(stream, protocol)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(stream)
            if isinstance(error, anyio.BrokenResourceError | anyio.EndOfStream):
                raise ConnectionError(f"{url.authority} hung up") from error
            raise
        handshake.subprotocol = protocol.subprotocol or ""
        protocol.limit(gate.limits.message_bytes)
        link = StreamLink(stream, handshake.peer, secure=url.secure)
        upgrade = Upgrade(gate, handshake, gate.open)
        framing = MaskedFraming(protocol.extensions)
        link.sink = connection = WebSocketConnection(upgrade, link, protocol, framing)
        gate.runtime.spawn(link.run)
        connection.begin(upgrade, early)


def _say_request(protocol: WebSocketClient, call: Call) -> Handshake:
    """Put the request into the protocol, and remember it as a `Handshake`."""
    url = call.url
    request = protocol.connect()
    for name in {name for name, _ in call.headers}:
        if name in request.headers and name.lower() != "sec-websocket-protocol":
            del request.headers[name]
    for name, value in call.headers:
        request.headers[name] = value
    protocol.send_request(request)
    return Handshake(
        target=request.path,
        headers=[*request.headers.raw_items()],
        peer=Address(url.unix) if url.unix is not None else Address(url.host, url.port),
        scheme="https" if url.secure else "http",
    )


async def _shake_hands(stream: ByteStream, protocol: WebSocketClient) -> bytes:
    """Send the request and read the response.

    :returns: what the server sent behind it
    """
    await stream.send(b"".join(protocol.data_to_send()))
    buffer = bytearray()
    while b"\r\n\r\n" not in buffer:
        if len(buffer) > HEAD_BYTES:
            raise ProtocolError(f"the server's response has over {HEAD_BYTES} bytes of headers")
        buffer += await stream.receive()
    head, separator, rest = buffer.partition(b"\r\n\r\n")
    protocol.receive_data(bytes(head + separator))
    if protocol.handshake_exc is None and protocol.events_received():
        return bytes(rest)
    read = 0
    while protocol.handshake_exc is None and read <= BODY_BYTES:  # a refusal, and its body
        if rest:
            read += len(rest)
            protocol.receive_data(bytes(rest))
        if protocol.handshake_exc is None:
            try:
                rest = bytearray(await stream.receive())
            except anyio.EndOfStream:
                protocol.receive_eof()
                break
    raise _refusal(protocol.handshake_exc)


def _refusal(error: Exception | None) -> Exception:
    """What it means that the server does not answer with 101."""
    if isinstance(error, InvalidStatus):
        response: Response = error.response
        status, headers = response.status_code, response.headers
        location = headers.get("Location")
        if status in _REDIRECTIONS and location is not None:
            return Redirected(status, location)
        if status >= 400:
            return read_refusal(status, headers.raw_items(), bytes(response.body))
        return ProtocolError(f"the server answered with {status}, and not with a WebSocket")
    if isinstance(error, InvalidHandshake) or error is None:
        told = printable(str(error or "no whole response"), 200)
        return ProtocolError(f"the server does not speak WebSocket: {told}")
    return error
