"""The client's side: how it is let in, and what comes after."""

from __future__ import annotations

import re
from collections import deque
from typing import Any, cast

import anyio

from unisock import (
    Close,
    ConfigError,
    DecodeError,
    EncodeError,
    HandshakeRejected,
    LimitExceeded,
    Message,
    Origin,
    ProtocolError,
    Sent,
)
from unisock.abc import Channel, Connection, Encoder, Greeting, Party, Stage
from unisock.limits import Overflow
from unisock.messages import Wire, printable
from unisock.pipeline import awaited

from .encoding import Encoders
from .namespace import Conversation, Ends, deliver
from .options import ClientOptions
from .packets import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, NOTHING, Packet, Parser

__all__ = ["ClientConversation", "Hello", "Memory"]

NAME_BYTES = 4096
"""The length of a namespace's name that a server may use."""

MAX_EARLY = 10_000
"""Packets that a server may send before it says whether this client is let in."""

_OFFSET = re.compile(r"[\w.-]{7,64}", re.ASCII)
_LEFT = Close(1000, "server namespace disconnect", origin=Origin.PEER)


class Memory:
    """What one client knows from connection to connection.

    :ivar options: what it was told
    :ivar early: what was missed during a cut, and comes before the welcome
    """

    def __init__(self, options: ClientOptions) -> None:
        self.options = options
        self.early: list[Packet] = []
        self._sessions: dict[str, dict[str, str]] = {}

    def plea(self, namespace: str, auth: object) -> Any:
        """What is said to be let in; `NOTHING` if there is nothing to say.

        :raises ConfigError: that is no dictionary
        """
        if auth is not None and not isinstance(auth, dict):
            raise ConfigError(f"auth: a dictionary is wanted, not {auth!r:.60}", key="auth")
        own = cast("dict[str, Any]", auth or {})
        return {**self._sessions.get(namespace, {}), **own} or NOTHING

    def let_in(self, packet: Packet) -> None:
        """The server has let it in, and may have given the session a name."""
        pid = None if packet.data is NOTHING else packet.data.get("pid")
        session = self._sessions.get(packet.namespace, {})
        if not isinstance(pid, str):
            self._sessions.pop(packet.namespace, None)
        elif session.get("pid") != pid:
            self._sessions[packet.namespace] = {"pid": pid}

    def forget(self, namespace: str) -> None:
        """One of both sides has ended the session."""
        self._sessions.pop(namespace, None)

    def note(self, packet: Packet) -> Packet:
        """The packet without the offset that a server adds to events, from which it can begin again
        after a cut.
        """
        session = self._sessions.get(packet.namespace)
        if session is None or packet.kind != EVENT or packet.id is not None:
            return packet
        last: Any = packet.data[-1]
        if len(packet.data) > 1 and isinstance(last, str) and _OFFSET.fullmatch(last):
            session["offset"] = last
            packet.data.pop()
        return packet


def _refusal(packet: Packet) -> HandshakeRejected:
    """Why a server does not let this client in."""
    told: Any = packet.data
    if isinstance(told, str):  # as servers of before put it
        return HandshakeRejected(printable(told))
    message = told.get("message")
    reason = printable(message) if isinstance(message, str) else "refused"
    return HandshakeRejected(reason, data=told.get("data"))


class Hello(Greeting):
    """Asks to be let into the client's namespace."""

    __slots__ = ("_feed", "_memory", "_parser")

    def __init__(self, connection: Connection, parser: Parser, memory: Memory) -> None:
        super().__init__(connection)
        self._parser = parser
        self._memory = memory
        self._feed = parser.decoder(NAME_BYTES).feed
        memory.early.clear()

    async def begin(self) -> None:
        options = self._memory.options
        auth = await awaited(options.auth()) if callable(options.auth) else options.auth
        plea = self._memory.plea(options.namespace, auth)
        try:
            wire = self._parser.pack(CONNECT, options.namespace, plea)
        except EncodeError as error:
            raise ConfigError(f"auth: {error}", key="auth") from error
        self.connection.write(wire)

    def on_message(self, message: Message) -> None:
        try:
            packet = self._feed(message)
        except (DecodeError, ProtocolError, LimitExceeded) as error:
            self.refused(ProtocolError(f"the server does not speak Socket.IO: {error}"))
            return
        if packet is None or packet.namespace != self._memory.options.namespace:
            return
        if packet.kind == CONNECT:
            self._memory.let_in(packet)
            self.settled()
        elif packet.kind == CONNECT_ERROR:
            self.refused(_refusal(packet))
        elif packet.kind == EVENT:
            self._memory.early.append(packet)
            if len(self._memory.early) > MAX_EARLY:
                self.refused(ProtocolError(f"over {MAX_EARLY} packets before the welcome"))


class ClientConversation(Conversation):
    """The receiver of a client's connection: its own namespace, and those that it joins besides.

    :param encoder: for its own
    """

    __slots__ = ("_abandoned", "_feed", "_memory", "_namespace", "_party")

    def __init__(
        self,
        connection: Connection,
        stage: Stage,
        encoders: Encoders,
        encoder: Encoder,
        memory: Memory,
    ) -> None:
        super().__init__(connection, stage, encoders)
        self._memory = memory
        self._namespace = memory.options.namespace
        self._feed = encoders.parser.decoder(NAME_BYTES).feed
        # Namespaces that were left before the server had answered.
        self._abandoned: set[str] = set()
        self._party = stage.enter(connection, encoder, opener=self)

    # From the server.

    def on_message(self, message: Message) -> None:
        try:
            packet = self._feed(message)
        except (DecodeError, ProtocolError, LimitExceeded) as error:
            self._party.on_violation(error)
            return
        if packet is not None:
            self._take(self._memory.note(packet))

    def _take(self, packet: Packet) -> None:
        if packet.namespace != self._namespace:
            channel = self.channels.get(packet.namespace)
            if packet.namespace in self._abandoned:
                self._clear_up(packet, channel)
            elif isinstance(channel, _ClientNamespace):
                self._take_for(channel, packet)
        elif packet.kind == EVENT or packet.kind == ACK:
            deliver(self._party, packet)
        elif packet.kind == DISCONNECT:
            self._memory.forget(packet.namespace)
            self.connection.close(_LEFT)
        else:
            self._party.on_violation(ProtocolError("the server has let this client in already"))

    def _clear_up(self, packet: Packet, channel: Channel | None) -> None:
        """The server answers about a namespace that was left meanwhile, and perhaps joined anew."""
        self._abandoned.discard(packet.namespace)
        if packet.kind == CONNECT:
            self.tell(DISCONNECT, packet.namespace)
        if channel is not None:
            self.ask_for(packet.namespace, channel.auth)

    def _take_for(self, channel: _ClientNamespace, packet: Packet) -> None:
        if packet.kind == EVENT or packet.kind == ACK:
            channel.arrived(packet)
        elif packet.kind == CONNECT:
            self._memory.let_in(packet)
            channel.let_in()
        elif packet.kind == DISCONNECT:
            self._memory.forget(packet.namespace)
            channel.ended(_LEFT)
        else:
            rejection = _refusal(packet)
            channel.ended(Close(rejection.code, rejection.reason, False, Origin.REJECTED))

    def on_close(self, close: Close) -> None:
        super().on_close(close)
        self._party.on_close(close)

    def on_interrupt(self, close: Close) -> None:
        self._feed = self.encoders.parser.decoder(NAME_BYTES).feed
        self._abandoned.clear()
        for channel in [*self.channels.values()]:
            if isinstance(channel, _ClientNamespace):
                channel.interrupted(close)
        self._party.on_interrupt(close)

    def on_resume(self) -> None:
        super().on_resume()
        self._party.on_resume()
        early, self._memory.early = self._memory.early, []
        for packet in early:
            self._take(self._memory.note(packet))

    # To other namespaces.

    def open(self, name: str, auth: object = None) -> Party:
        closing = self.connection.closing
        if closing is not None:
            raise closing.error()
        self.check(name)
        if name[:1] != "/" or "," in name or not name.isprintable():
            raise ValueError(f"the name of a namespace begins with / and has no comma: {name!r}")
        if name in self.channels or name == self._namespace:
            raise ValueError(f"the namespace {name!r} is joined already")
        channel = _ClientNamespace(self, name, auth)
        self.channels[name] = channel
        try:
            wire = self._plea(name, auth)
        except (EncodeError, ConfigError):
            self.forget(channel)
            raise
        if name not in self._abandoned:
            self.say(wire)
        self.stage.join(channel, ours=True)
        assert channel.party is not None
        return channel.party

    def ask_for(self, namespace: str, auth: object) -> None:
        """Ask to be let into a namespace."""
        self.say(self._plea(namespace, auth))

    def _plea(self, namespace: str, auth: object) -> Wire:
        plea = self._memory.plea(namespace, auth)
        return self.encoders.parser.pack(CONNECT, namespace, plea)

    def leave(self, namespace: str, *, inside: bool) -> None:
        """Leave a namespace; before this client is inside, nobody may say so."""
        self._memory.forget(namespace)
        if inside:
            self.tell(DISCONNECT, namespace)
        else:
            self._abandoned.add(namespace)


class _ClientNamespace(Channel):
    """A namespace that this client has joined besides its own. Until the server has let it in, what
    is sent waits: a server cuts off who speaks too early.
    """

    __slots__ = ("_changed", "_conversation", "_resuming", "_size", "_waiting")

    def __init__(self, conversation: ClientConversation, name: str, auth: object) -> None:
        super().__init__(
            conversation.connection,
            name,
            key=name,
            ours=True,
            auth=auth,
            forget=conversation.forget,
        )
        self._conversation = conversation
        self._waiting: deque[Wire] | None = deque()
        self._size = 0
        self._resuming = False
        self._changed = anyio.Event()

    def wrap(self, frame: Wire) -> Wire:
        return frame

    def part(self, close: Close) -> None:
        self._conversation.leave(self.channel, inside=self._waiting is None)

    def admitted(self, stage: Stage) -> None:
        party = stage.enter(self, self._conversation.encoders.of(self.channel))
        self.attach(Ends(party))
        self.begin()

    def take(self, item: Packet) -> None:
        assert self.party is not None
        deliver(self.party, item)

    def let_in(self) -> None:
        """The server has let this client in."""
        waiting, self._waiting, self._size = self._waiting, None, 0
        if self._resuming:
            self._resuming = False
            self.receiver.on_resume()
        for wire in waiting or ():
            self.lower.write(wire)
        self._tell()

    def interrupted(self, close: Close) -> None:
        """The connection broke: the next server has to let this client in again."""
        if self._waiting is None:
            self._waiting = deque()
            self._resuming = True
        self.receiver.on_interrupt(close)

    def resumed(self) -> None:
        self._conversation.ask_for(self.channel, self.auth)

    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        if self.closed is not None:
            return Sent.DROPPED
        waiting = self._waiting
        if waiting is None:
            return self.lower.write(frame, overflow)
        limits = self._conversation.stage.limits
        size = sum(map(len, frame)) if isinstance(frame, tuple) else len(frame)
        if waiting and (
            len(waiting) >= limits.outbox_messages or self._size + size > limits.outbox_bytes
        ):
            return Sent.DROPPED
        waiting.append(frame)
        self._size += size
        return Sent.QUEUED

    async def drain(self) -> None:
        while self._waiting and self.closed is None:
            await self._changed.wait()
        await super().drain()

    def ended(self, close: Close) -> None:
        super().ended(close)
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
