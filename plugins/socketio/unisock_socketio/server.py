"""The server's side of one connection: who is in which namespace."""

from __future__ import annotations

import logging
import secrets
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from unisock import (
    Close,
    DecodeError,
    LimitExceeded,
    Message,
    Origin,
    ProtocolError,
    UnisockError,
)
from unisock.abc import Channel, Connection, Party, Stage
from unisock.messages import printable
from unisock.timers import Timer

from .encoding import Encoders
from .namespace import DirectNamespace, Host, Namespace
from .options import Options
from .packets import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, NOTHING, Packet
from .recovery import RecoverableNamespace, Sessions

__all__ = ["ServerConversation"]

log = logging.getLogger("unisock.socketio")

GRACE = 0.25
"""Seconds."""

_LEFT = Close(1000, "client namespace disconnect", origin=Origin.PEER)


class ServerConversation(Host):
    """The receiver of one connection.

    :param sessions: the clients that may come back; `None` where none may
    """

    __slots__ = ("_feed", "_old", "_options", "_parted", "_patience", "_sessions")

    def __init__(
        self,
        connection: Connection,
        stage: Stage,
        encoders: Encoders,
        options: Options,
        sessions: Sessions | None,
    ) -> None:
        super().__init__(connection, stage, encoders)
        self._feed = encoders.parser.decoder(stage.limits.channel_name_bytes).feed
        self._options = options
        self._sessions = sessions
        # Namespaces that this side has ended, and of which something may be under way still.
        self._parted: dict[str, None] = {}
        self._patience: Timer | None = None
        # Revision 4 of the protocol comes on revision 3 of Engine.IO, and on nothing else.
        self._old = "EIO=3" in connection.handshake.raw_query.split("&")
        if self._old:
            self._connect("/", None)
        self._await_namespace()

    # From the client.

    def on_message(self, message: Message) -> None:
        try:
            packet = self._feed(message)
            if packet is None:
                return
            channel = self.channels.get(packet.namespace)
            if channel is not None and (packet.kind == EVENT or packet.kind == ACK):
                channel.arrived(packet)
            else:
                self._take(packet, channel)
        except (DecodeError, ProtocolError, LimitExceeded) as error:
            self._violated(error)

    def _take(self, packet: Packet, channel: Channel | None) -> None:
        kind, namespace = packet.kind, packet.namespace
        if kind == CONNECT:
            if channel is not None:
                raise ProtocolError("this client is in that namespace already")
            self._connect(namespace, None if packet.data is NOTHING else packet.data)
        elif kind == CONNECT_ERROR:
            raise ProtocolError("only servers refuse a namespace")
        elif channel is not None:
            assert kind == DISCONNECT
            channel.ended(_LEFT)
        elif namespace not in self._parted:
            raise ProtocolError("this client is not in that namespace")

    def on_close(self, close: Close) -> None:
        self._stop_waiting()
        for channel in [*self.channels.values()]:
            if (
                isinstance(channel, RecoverableNamespace)
                and channel.party is not None
                and close.origin is not Origin.LOCAL
            ):
                channel.interrupted(close)
            else:
                channel.ended(close)

    def _violated(self, error: UnisockError) -> None:
        """The client broke the rules: whoever speaks for it is told, and the connection ends."""
        party = next((c.party for c in self.channels.values() if c.party is not None), None)
        if party is not None:
            party.on_violation(error)
        else:
            log.info("%r: %s", self.connection.handshake, printable(str(error), 200))
        self.connection.close(Close(getattr(error, "code", 1002), printable(str(error))))

    # Coming into a namespace.

    def _connect(self, namespace: str, auth: dict[str, Any] | None) -> None:
        if self._old:
            namespace, _, query = namespace.partition("?")
            auth = dict(parse_qsl(query)) if query else auth
        self._parted.pop(namespace, None)
        if self._sessions is None:
            self._join(DirectNamespace(self, namespace, auth))
            return
        auth = dict(auth or {})
        pid, offset = auth.pop("pid", None), auth.pop("offset", None)
        before = self._sessions.find(pid, namespace)
        if before is not None:
            missed = before.missed_since(offset)
            if missed is not None:
                self._stop_waiting()
                before.resume(self, missed)
                return
            before.give_up()
        self._join(RecoverableNamespace(self, namespace, auth or None, self._sessions))

    def _join(self, channel: Namespace) -> None:
        try:
            if channel.channel:
                self.check(channel.channel)
        except LimitExceeded as error:
            self.refuse(channel.namespace, str(error))
        else:
            self._stop_waiting()
            self.channels[channel.key] = channel
            self.stage.join(channel)

    def forget(self, channel: Channel) -> None:
        super().forget(channel)
        self._await_namespace()

    def _await_namespace(self) -> None:
        if not self.channels and self._patience is None and self.connection.closing is None:
            # A client that is late by a tick of both sides' timers is none that says nothing.
            seconds = self._options.connect_timeout / 1000 + GRACE
            self._patience = self.stage.runtime.timers.call_later(seconds, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience = None
        reason = f"in no namespace for connect_timeout = {self._options.connect_timeout} ms"
        self.connection.close(Close(1002, reason))

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    # For the namespaces.

    def new_id(self, namespace: str) -> str:
        if not self._old:
            return secrets.token_urlsafe(15)
        # Such a client makes it up from what it knows.
        return self.connection.id if namespace == "/" else f"{namespace}#{self.connection.id}"

    def welcome(self, namespace: str, id: str, pid: str | None = None) -> None:
        told = {"sid": id} if pid is None else {"sid": id, "pid": pid}
        self.tell(CONNECT, namespace, NOTHING if self._old else told)

    def refuse(self, namespace: str, message: str, data: object = None) -> None:
        if self._old:
            self.tell(CONNECT_ERROR, namespace, message if data is None else data)
        else:
            facts = {} if data is None else {"data": data}
            self.tell(CONNECT_ERROR, namespace, {"message": message, **facts})

    def left(self, namespace: str) -> None:
        self._parted[namespace] = None
        if len(self._parted) > self.stage.limits.channels_per_connection:
            del self._parted[next(iter(self._parted))]

    def open(self, name: str, auth: object = None) -> Party:
        self._refuse_to_open()

    def _refuse_to_open(self) -> NoReturn:
        raise UnisockError("in Socket.IO, it is the clients that connect to namespaces")
