"""A namespace on one connection: a channel, with a spark of its own."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any

import anyio

from unisock import Ack, Channel, Close, EncodeError, Event, HandshakeRejected, Sent
from unisock.abc import Connection, Multiplexer, Party, Receiver, Stage
from unisock.framing import TEXT_AND_BINARY, Framing
from unisock.limits import Overflow
from unisock.messages import Wire

from .encoding import MESSAGE, Encoders, event_of, fault_of
from .packets import ACK, DISCONNECT, NOTHING, Packet

__all__ = ["Conversation", "DirectNamespace", "Ends", "Host", "Namespace", "deliver"]

log = logging.getLogger("unisock.socketio")

BREATH = 0.002
"""Seconds between the welcome and what follows it. There are clients that lose what comes to them
in one piece with the welcome, and the protocol's own test-suite is among them."""
MOST_HELD = 64
"""Messages that wait for that; with one more, none does."""

_A_MESSAGE = Event(MESSAGE)
_FAULTS = frozenset({1002, 1003, 1007, 1008, 1009, 1010})
"""Close codes of who broke the rules: one bad packet ends the connection."""


class Conversation(Multiplexer):
    """A connection that carries namespaces, whichever side it is.

    :ivar encoders: what is spoken in them
    """

    __slots__ = ("encoders",)

    def __init__(self, connection: Connection, stage: Stage, encoders: Encoders) -> None:
        super().__init__(connection, stage)
        self.encoders = encoders

    def tell(self, kind: int, namespace: str, data: Any = NOTHING) -> None:
        """Send a packet about a namespace."""
        self.say(self.encoders.parser.pack(kind, namespace, data))


class Host(Conversation):
    """The server's side, as its namespaces see it."""

    __slots__ = ()

    @abstractmethod
    def new_id(self, namespace: str) -> str:
        """The id of a new spark."""

    @abstractmethod
    def welcome(self, namespace: str, id: str, pid: str | None = None) -> None:
        """Tell the client that it is in."""

    @abstractmethod
    def refuse(self, namespace: str, message: str, data: object = None) -> None:
        """Tell the client that it is not let in."""

    @abstractmethod
    def left(self, namespace: str) -> None:
        """The client is told that it is out; what it had sent before may still come."""


class Namespace(Channel):
    """One client in one namespace.

    :ivar host: the conversation that it is part of
    :ivar namespace: its name on the wire; as a channel, ``/`` has none
    """

    __slots__ = ("_held", "host", "namespace")

    def __init__(self, host: Host, namespace: str, auth: object) -> None:
        super().__init__(
            host.connection,
            "" if namespace == "/" else namespace,
            key=namespace,
            auth=auth,
            forget=host.forget,
        )
        self.host = host
        self.namespace = namespace
        # What is sent in the same breath as the welcome.
        self._held: list[tuple[Wire, Overflow | None]] | None = None

    def wrap(self, frame: Wire) -> Wire:
        return frame  # its encoder has named the namespace

    def part(self, close: Close) -> None:
        self._let_go()
        # Socket.IO's word for the end of a namespace means: do not come back.
        if close.come_back or close.code in _FAULTS:
            self.lower.close(close)
        else:
            self.host.left(self.namespace)
            self.host.tell(DISCONNECT, self.namespace)

    def take(self, item: Packet) -> None:
        party = self.party
        assert party is not None
        deliver(party, item)

    def admitted(self, stage: Stage) -> None:
        id = self.host.new_id(self.namespace)
        self._welcome(id)
        self._held = []
        stage.runtime.spawn(self._breathe)
        party = stage.enter(self, self.host.encoders.of(self.namespace), id=id)
        self.attach(Ends(party))
        self.begin()

    async def _breathe(self) -> None:
        await anyio.sleep(BREATH)
        self._let_go()

    def pass_on(self, wire: Wire, overflow: Overflow | None) -> Sent:
        """Send what is to go out, after a breath."""
        held = self._held
        if held is None:
            return self.lower.write(wire, overflow)
        held.append((wire, overflow))
        if len(held) > MOST_HELD:
            self._let_go()
        return Sent.QUEUED

    def _let_go(self) -> None:
        held, self._held = self._held, None
        for wire, overflow in held or ():
            if self.closed is not None:
                break
            # Nobody is there who could wait any more.
            policy = None if overflow is Overflow.WAIT else overflow
            try:
                self.lower.write(wire, policy)
            except EncodeError as error:
                log.warning("%r: %s", self.handshake, error)

    def _welcome(self, id: str) -> None:
        self.host.welcome(self.namespace, id)

    def refused(self, rejection: HandshakeRejected) -> None:
        self._refuse(rejection.reason, rejection.data)

    def unknown(self) -> None:
        self._refuse("Invalid namespace")

    def _refuse(self, message: str, data: object = None) -> None:
        if self.closed is None:
            self.host.refuse(self.namespace, message, data)
            self.ended(Close(1000, message))


class DirectNamespace(Namespace):
    """One whose frames are those of its connection, so that a broadcast frames once for all."""

    __slots__ = ()

    @property
    def framing(self) -> Framing:
        # The transport may be upgraded, in the same breath too.
        return self.lower.framing if self._held is None else TEXT_AND_BINARY

    @framing.setter
    def framing(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, framing: Framing
    ) -> None:
        """It has none of its own."""

    def write(self, wire: Wire, overflow: Overflow | None = None) -> Sent:
        return Sent.DROPPED if self.closed is not None else self.pass_on(wire, overflow)

    def put(self, frame: Wire, overflow: Overflow | None = None) -> Sent:
        if self.closed is not None:
            return Sent.DROPPED
        if self._held is not None:
            return self.pass_on(frame, overflow)
        return self.lower.put(frame, overflow)


class Ends(Receiver):
    """Hears how a namespace ends. What it carries goes straight to the spark, decoded already."""

    __slots__ = ("_party",)

    def __init__(self, party: Party) -> None:
        self._party = party

    def on_message(self, message: str | bytes) -> None: ...

    def on_close(self, close: Close) -> None:
        self._party.on_close(close)

    def on_interrupt(self, close: Close) -> None:
        self._party.on_interrupt(close)

    def on_resume(self) -> None:
        self._party.on_resume()


def deliver(party: Party, packet: Packet) -> None:
    """Give an event, or an answer to one, to the spark that it is for."""
    items, number = packet.data, packet.id
    if packet.kind == ACK:
        assert number is not None
        fault = fault_of(items)
        party.on_packet(Ack(number, () if fault else tuple(items), fault))
        return
    if number is None and items[0] == MESSAGE and not party.wants(_A_MESSAGE):
        party.on_data(items[1] if len(items) == 2 else items[1:] or None)
    else:
        party.on_packet(event_of(items, number))
