"""The client's side: a session by polling, then over a WebSocket; or over a WebSocket at once."""

from __future__ import annotations

from typing import Any

import anyio

from unisock import Close, Handshake, HandshakeRejected, Message, ProtocolError
from unisock.abc import Call, Connection, Connector, Gate, Receiver
from unisock.registry import look_up

from .client_calls import translated, websocket_call
from .client_session import ClientSession, read_opening
from .options import ConnectorOptions
from .settings import CarrierGate

__all__ = ["EngineioConnector"]


class EngineioConnector(Connector):
    """Opens Engine.IO sessions, revision 4, on asyncio and trio.

    :param options: see `ConnectorOptions`
    :param websocket: who opens WebSockets; the connector of that name unless given
    :param http: an `httpx.AsyncBaseTransport` that makes the requests, if not the network
    :raises ConfigError: an option is unknown or of the wrong kind
    """

    name = "engineio"

    def __init__(
        self,
        options: dict[str, Any] | None = None,
        *,
        websocket: Connector | None = None,
        http: Any = None,
    ) -> None:
        super().__init__()
        self._options = ConnectorOptions.read(options)
        self._websocket = websocket
        self._http = http

    async def connect(self, call: Call, gate: Gate) -> None:
        if "polling" in self._options.transports:
            from .client_polling import PollingClient  # httpx need not be installed

            websocket = self._carrier() if "websocket" in self._options.transports else None
            await PollingClient(call, gate, websocket, self._http, self._options).connect()
        else:
            await self._open_websocket(call, gate)

    def _carrier(self) -> Connector:
        if self._websocket is None:
            self._websocket = look_up("connector", "websocket")()
        return self._websocket

    async def _open_websocket(self, call: Call, gate: Gate) -> None:
        greeting: _Greeting | None = None

        def opened(lower: Connection) -> None:
            nonlocal greeting
            handshake = lower.handshake
            greeting = _Greeting(gate, handshake, lower)
            lower.attach(greeting)

        carrier_gate = CarrierGate(gate, gate.limits.message_bytes + 1, opened)
        try:
            await self._carrier().connect(websocket_call(call), carrier_gate)
            assert greeting is not None
            await greeting.wait()
        except HandshakeRejected as rejection:
            told = translated(rejection)
            raise told from None if told is rejection else rejection
        except BaseException:
            if greeting is not None:
                greeting.give_up()
            raise


class _Greeting(Receiver):
    """Waits for the server's first packet on a WebSocket."""

    def __init__(self, gate: Gate, handshake: Handshake, lower: Connection) -> None:
        self._gate = gate
        self._handshake = handshake
        self._lower = lower
        self._done = anyio.Event()
        self._error: Exception | None = None

    def on_message(self, message: Message) -> None:
        try:
            opening = read_opening(message)
        except ProtocolError as error:
            self._end(error)
            self._lower.close(Close(1002, str(error)))
        else:
            self._done.set()
            self._gate.open(ClientSession(self._gate, self._handshake, opening, self._lower))

    def on_close(self, close: Close) -> None:
        if close.code >= 3000:  # a refusal that was to be seen by browsers too
            reason = close.reason or "refused"
            self._end(HandshakeRejected(reason, code=close.code, retry=close.come_back))
        else:
            self._end(ConnectionError(f"the server hung up: {close.code} {close.reason}".rstrip()))

    def _end(self, error: Exception) -> None:
        self._error = self._error or error
        self._done.set()

    async def wait(self) -> None:
        """Wait until there is a session."""
        await self._done.wait()
        if self._error is not None:
            raise self._error

    def give_up(self) -> None:
        """Nobody waits any more."""
        if not self._done.is_set():
            self._lower.fail(Close(1006, "given up"))
