"""A client that polls: one request that waits, one that sends, and the way to a WebSocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.abc

from unisock import Close, ConfigError, HandshakeRejected, Message, ProtocolError, Redirected
from unisock.abc import Call, Connection, Connector, Gate, Receiver

from .client_calls import polling_handshake, target, websocket_call
from .client_http import HttpFailure, PollingRequests
from .client_session import TRANSPORT_ERROR, ClientSession, read_opening
from .options import ConnectorOptions
from .packets import REVISIONS
from .settings import CarrierGate

__all__ = ["PollingClient"]

MOST_BYTES = 16 * 1_048_576
"""What the answer to one poll may have, where a message may not have more."""


class PollingClient:
    """One session that begins with polling.

    :param websocket: who opens the WebSocket that takes over; `None` to poll for good
    :param http: who makes the requests, if not the network
    """

    def __init__(
        self,
        call: Call,
        gate: Gate,
        websocket: Connector | None,
        http: Any,
        options: ConnectorOptions,
    ) -> None:
        self._call = call
        self._gate = gate
        self._websocket = websocket
        self._options = options
        self._http = PollingRequests(call, max(MOST_BYTES, 2 * gate.limits.message_bytes), http)
        self._session: ClientSession
        self._target = ""
        # There is a WebSocket that works, so no request is begun, unless it breaks after all.
        self._moving: bool = False
        self._idle = anyio.Event()
        self._busy = 0

    async def connect(self) -> None:
        """Open the session."""
        try:
            body = await self._http.handshake(target(self._call, "polling"))
            packets = [*REVISIONS["4"].split(body, "", len(body) + 1)]
            opening = read_opening(packets[0])
            self._session = session = ClientSession(
                self._gate, polling_handshake(self._call), opening
            )
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._http.aclose()
            raise
        self._target = target(self._call, "polling", opening.sid)
        self._gate.runtime.spawn(self._run)
        self._gate.open(session)
        for packet in packets[1:]:
            session.arrived(packet)

    async def _run(self) -> None:
        session = self._session
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._work, self._poll, group)
                group.start_soon(self._work, self._post, group)
                if self._websocket is not None and "websocket" in session.opening.upgrades:
                    group.start_soon(self._upgrade, self._websocket)
                await self._over()
                group.cancel_scope.cancel()
        finally:
            if session.polling:
                session.ended(TRANSPORT_ERROR)
            with anyio.CancelScope(shield=True):
                await self._http.aclose()

    async def _over(self) -> None:
        """Wait until there is nothing more to poll or post."""
        session = self._session
        while session.closed is None and session.polling:
            await session.news.wait()

    async def _work(self, work: Callable[[], Awaitable[None]], group: anyio.abc.TaskGroup) -> None:
        try:
            await work()
        except HttpFailure as failure:
            if self._session.polling:
                self._session.ended(_close_for(failure))

    async def _poll(self) -> None:
        session = self._session
        while session.closed is None:
            if self._moving or session.paused:
                await session.news.wait()
                session.deliver()
                continue
            with self._under_way():
                body = await self._http.get(self._target)
            session.take_in(body)

    async def _post(self) -> None:
        session = self._session
        while session.closed is None:
            if self._moving or not session.outgoing:
                await session.news.wait()
                continue
            payload = session.next_payload()
            session.posting = True
            with self._under_way():
                await self._http.post(self._target, payload)
            session.posting = False
            session.posted()
            closing = session.closing
            if closing is not None and not session.outgoing and payload.endswith(b"1"):
                session.parted = True
                session.ended(closing)

    @contextmanager
    def _under_way(self) -> Generator[None]:
        """While a request is under way, the session stays where it is."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    # The upgrade.

    async def _upgrade(self, connector: Connector) -> None:
        """Try once; if it fails, polling goes on."""
        session = self._session
        trial: _Trial | None = None

        def opened(lower: Connection) -> None:
            nonlocal trial
            trial = _Trial(lower)
            lower.attach(trial)
            lower.write("2probe")

        gate = CarrierGate(self._gate, self._gate.limits.message_bytes + 1, opened)
        call = websocket_call(self._call, session.opening.sid, self._http.cookie)
        taken = False
        try:
            with anyio.move_on_after(self._options.upgrade_timeout / 1000):
                await connector.connect(call, gate)
                assert trial is not None
                taken = await trial.answer() and await self._move(trial)
        except (OSError, HandshakeRejected, Redirected, ProtocolError, ConfigError):
            pass
        finally:
            self._moving = self._moving and taken
            if trial is not None and not taken:
                trial.lower.close(Close(1000, "upgrade failed"))
            if not taken:
                session.tell()

    async def _move(self, trial: _Trial) -> bool:
        """Let what is under way come to its end, then go over."""
        self._moving = True
        self._session.tell()
        while self._busy and trial.alive:
            self._idle = anyio.Event()
            await self._idle.wait()
        if self._session.closed is not None or not trial.alive:
            return False
        self._session.upgrade(trial.lower)
        return True


class _Trial(Receiver):
    """A WebSocket that has been asked whether it works."""

    def __init__(self, lower: Connection) -> None:
        self.lower = lower
        self.alive = True
        self._answered: bool | None = None
        self._done = anyio.Event()

    def on_message(self, message: Message) -> None:
        if self._answered is None:
            self._answered = message == "3probe"
            self._done.set()

    def on_close(self, close: Close) -> None:
        self.alive = False
        self._answered = self._answered or False
        self._done.set()

    async def answer(self) -> bool:
        """Whether it works."""
        await self._done.wait()
        return bool(self._answered)


def _close_for(failure: HttpFailure) -> Close:
    if failure.status == 413:
        return Close(1009, "over the server's maxPayload")
    return TRANSPORT_ERROR
