"""What an endpoint's options, limits and heartbeat come to; and the gate for its WebSockets."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from unisock import ConfigError, Handshake, Message
from unisock.abc import Connection, Gate

from .options import Cookie, Options

__all__ = ["CarrierGate", "Settings", "payload_with", "too_long"]

PING_INTERVAL = 25_000
HEAD_BYTES = 16
"""What stands before a message in a payload: its length and its type."""


class Settings:
    """What holds for all sessions of one endpoint. Times are in seconds.

    :raises ConfigError: the options contradict the endpoint
    """

    __slots__ = (
        "cookie",
        "interval",
        "max_packets",
        "max_payload",
        "message_bytes",
        "options",
        "timeout",
        "transports",
        "upgrade_timeout",
        "upgrades",
    )

    def __init__(self, options: Options, gate: Gate) -> None:
        where = f"endpoint {gate.endpoint.path}: options"
        if options.credentials and "*" in gate.origins:
            raise ConfigError(
                f'{where}.credentials: not with origins = ["*"], or any page could use the '
                "cookies of its visitors; list the origins by name",
                key=where,
            )
        websocket = gate.capabilities.websocket
        transports = [name for name in options.transports if websocket or name != "websocket"]
        if not transports:
            raise ConfigError(
                f"{where}.transports: the adapter has no WebSockets; add polling", key=where
            )
        heartbeat = gate.heartbeat
        self.options = options
        self.transports = frozenset(transports)
        self.upgrades = options.allow_upgrades and len(self.transports) == 2
        interval = options.ping_interval or round(heartbeat.interval * 1000)
        # Without heartbeats clients would take the server for dead.
        self.interval = (interval or PING_INTERVAL) / 1000
        self.timeout = (options.ping_timeout or max(1, round(heartbeat.timeout * 1000))) / 1000
        self.upgrade_timeout = options.upgrade_timeout / 1000
        self.message_bytes = gate.limits.message_bytes
        self.max_payload = options.max_payload or payload_with(self.message_bytes)
        self.max_packets = options.max_packets
        cookie = options.cookie
        self.cookie = Cookie() if cookie is True else cookie or None

    def greeting(self, sid: str, *, upgrade: bool) -> str:
        """The open packet."""
        told = {
            "sid": sid,
            "upgrades": ["websocket"] if upgrade and self.upgrades else [],
            "pingInterval": round(self.interval * 1000),
            "pingTimeout": round(self.timeout * 1000),
            "maxPayload": self.max_payload,
        }
        return "0" + msgspec.json.encode(told).decode()


def payload_with(message_bytes: int) -> int:
    """The bytes of a payload with one message: binary is base64 in it, four bytes for three."""
    return (message_bytes + 2) // 3 * 4 + HEAD_BYTES


def too_long(message: Message, most: int) -> bool:
    """Whether a message has more bytes than are allowed; text is UTF-8."""
    size = len(message)
    if isinstance(message, bytes):
        return size > most
    return size > most or (size * 4 > most and len(message.encode("utf-8", "replace")) > most)


class CarrierGate(Gate):
    """The endpoint's gate, as the WebSockets beneath its sessions see it.

    :param gate: the gate of the sessions
    :param message_bytes: the most bytes of a WebSocket message
    :param opened: takes the WebSockets that a connector brings
    """

    def __init__(
        self,
        gate: Gate,
        message_bytes: int,
        opened: Callable[[Connection], object] | None = None,
    ) -> None:
        self.endpoint = gate.endpoint
        self.capabilities = gate.capabilities
        self.origins = gate.origins
        self.limits = msgspec.structs.replace(gate.limits, message_bytes=message_bytes)
        self.overflow = gate.overflow
        self.heartbeat = gate.heartbeat
        self.runtime = gate.runtime
        self._gate = gate
        self._opened = opened or gate.open

    async def admit(self, handshake: Handshake) -> None:
        await self._gate.admit(handshake)

    def open(self, connection: Connection) -> None:
        self._opened(connection)

    def left(self, connection: Connection) -> None:
        self._gate.left(connection)

    def count_dropped(self, messages: int) -> None:
        self._gate.count_dropped(messages)
