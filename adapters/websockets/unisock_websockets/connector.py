"""The client's side: a request for a WebSocket, and what the server says to it."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
from websockets.uri import WebSocketURI

from unisock.abc import Call, Connector, Gate, Upgrade
from unisock.errors import ProtocolError, Redirected
from unisock.exchange import read_refusal
from unisock.handshake import Address, Handshake
from unisock.messages import printable

from .client_link import ClientLink
from .connection import WebSocketConnection
from .dialing import dial
from .framing import OFFER, MaskedFraming
from .options import read_connector_options
from .protocol import WebSocketClient
from .responses import read_body, read_head

__all__ = ["WebSocketConnector"]

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
        link = await dial(call, uri)
        try:
            handshake = _say_request(protocol, call)
            early = await _shake_hands(link, protocol)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await link.aclose()
            if isinstance(error, anyio.BrokenResourceError | anyio.EndOfStream):
                raise ConnectionError(f"{url.authority} hung up") from error
            raise
        handshake.subprotocol = protocol.subprotocol or ""
        protocol.limit(gate.limits.message_bytes)
        upgrade = Upgrade(gate, handshake, gate.open)
        framing = MaskedFraming(protocol.extensions)
        link.sink = connection = WebSocketConnection(upgrade, link, protocol, framing)
        gate.runtime.spawn(link.run)
        connection.begin(upgrade, early)


def _say_request(protocol: WebSocketClient, call: Call) -> Handshake:
    """Put the request into the protocol, and remember it as a `Handshake`."""
    url = call.url
    request = protocol.connect()
    if call.server_name is not None:
        del request.headers["Host"]
        request.headers["Host"] = msgspec.structs.replace(url, host=call.server_name).authority
    for name in {name for name, _ in call.headers}:
        if name in request.headers:
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


async def _shake_hands(link: ClientLink, protocol: WebSocketClient) -> bytes:
    """Send the request and read the response.

    :returns: what the server sent behind it
    """
    await link.send(b"".join(protocol.data_to_send()))
    response, head, rest = await read_head(link.receive, "the server")
    status, headers = response.status_code, response.headers
    if status == 101:
        protocol.receive_data(head)
        protocol.events_received()  # the response
        if protocol.handshake_exc is None:
            return rest
        told = printable(str(protocol.handshake_exc), 200)
        raise ProtocolError(f"the server does not speak WebSocket: {told}")
    locations = headers.get_all("Location")
    if status in _REDIRECTIONS and locations:
        raise Redirected(status, locations[0])
    if status >= 400:
        body = await read_body(link.receive, head, rest)
        raise read_refusal(status, headers.raw_items(), body)
    raise ProtocolError(f"the server answered with {status}, and not with a WebSocket")
