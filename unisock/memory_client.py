"""The client's side of the memory adapter: `connect` to a server within the process."""

from __future__ import annotations

from collections import deque

import anyio

from .abc import Call, Connector, Gate, Upgrade
from .connection import LOST, BufferedConnection
from .errors import ConfigError, ConnectionClosed
from .exchange import read_refusal
from .framing import TEXT_AND_BINARY
from .handshake import Handshake
from .memory import HIGH_WATER, MemoryAdapter, MemoryPeer, Refused
from .messages import Close, Message, Origin

__all__ = ["MemoryConnector"]


class MemoryConnector(Connector):
    """``connect("ws://memory/ws", connector=MemoryConnector(adapter))``.

    :param adapter: the running server's
    """

    name = "memory"

    def __init__(self, adapter: MemoryAdapter) -> None:
        super().__init__()
        self._adapter = adapter

    async def connect(self, call: Call, gate: Gate) -> None:
        headers = [("Host", call.url.authority), *call.headers]
        if call.subprotocols:
            headers.append(("Sec-WebSocket-Protocol", ", ".join(call.subprotocols)))
        try:
            peer = await self._adapter.connect(call.url.resource, headers=headers)
        except Refused as refused:
            response = refused.response
            raise read_refusal(response.status, response.headers, response.body) from refused
        except ConfigError as error:
            raise ConnectionRefusedError(str(error)) from error
        handshake = Handshake(target=call.url.resource, headers=headers)
        handshake.subprotocol = peer.handshake.subprotocol
        _ClientConnection(Upgrade(gate, handshake, gate.open), peer).begin()


class _ClientConnection(BufferedConnection):
    """The client's end, as a connection."""

    __slots__ = ("_agreed", "_changed", "_peer", "_resumed", "_sending", "_size", "_upgrade")

    pings = True

    def __init__(self, upgrade: Upgrade, peer: MemoryPeer) -> None:
        super().__init__(upgrade.gate, upgrade.handshake, TEXT_AND_BINARY)
        self._upgrade = upgrade
        self._peer = peer
        # `None` is a ping: whether all before it was taken.
        self._sending: deque[Message | Close | None] = deque()
        self._agreed = False
        self._size = 0
        self._changed = anyio.Event()
        self._resumed: anyio.Event | None = None

    def begin(self) -> None:
        """Come to life."""
        self._upgrade.open(self)
        self.gate.runtime.spawn(self._read)
        self.gate.runtime.spawn(self._write)

    def transmit(self, frame: Message) -> None:
        self._sending.append(frame)
        self._size += len(frame)
        self._stir()
        if self._size >= HIGH_WATER:
            self.congested()

    @property
    def agreed(self) -> bool:
        return self._agreed

    def ping(self) -> None:
        self._sending.append(None)
        self._stir()

    def shut(self, close: Close) -> None:
        self._sending.append(close)
        self._stir()
        self.resume_reading()

    def abort(self) -> None:
        self._peer.drop()
        self._end(LOST)

    def pause_reading(self) -> None:
        if self._resumed is None:
            self._resumed = anyio.Event()

    def resume_reading(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.set()

    async def _read(self) -> None:
        try:
            while True:
                message = await self._peer.receive()
                while self._resumed is not None:
                    await self._resumed.wait()
                self.heard = True
                self.receiver.on_message(message)
        except ConnectionClosed:
            assert self._peer.closed is not None
            self._end(self._peer.closed)

    async def _write(self) -> None:
        try:
            while self.closed is None:
                while self._sending:
                    item = self._sending.popleft()
                    if isinstance(item, Close):
                        await self._peer.close(item.code, item.reason)
                        ended = self._peer.closed
                        self._agreed = ended is not None and ended.origin is Origin.LOCAL
                        self._end(item)
                        return
                    if item is None:
                        self.ponged()
                        continue
                    self._size -= len(item)
                    await self._peer.send(item)
                    if self._size < HIGH_WATER // 4:
                        self.relieved()
                await self._changed.wait()
        except ConnectionClosed:
            return  # `_read` delivers what there is still, and ends it

    def _end(self, close: Close) -> None:
        self.resume_reading()
        self.ended(close)
        self._stir()

    def _stir(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
