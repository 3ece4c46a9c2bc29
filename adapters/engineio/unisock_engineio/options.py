"""The table ``options`` of an endpoint with the protocol ``engineio``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from unisock import ConfigError

__all__ = ["ConnectorOptions", "Cookie", "Options", "Transport"]

Transport: TypeAlias = Literal["polling", "websocket"]
Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Cookie(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cookie with the session's id, for load balancers that keep a client at one server."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")] = "io"
    path: Annotated[str, msgspec.Meta(pattern=r"^/[!-:<-~]*\Z")] = "/"
    http_only: bool = True
    same_site: Literal["strict", "lax", "none"] = "lax"
    secure: bool = False
    max_age: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Seconds; without it, the cookie goes with the browser's session."""

    def header(self, sid: str) -> tuple[str, str]:
        """The ``Set-Cookie`` header (RFC 6265 section 4.1)."""
        parts = [f"{self.name}={sid}", f"Path={self.path}", f"SameSite={self.same_site.title()}"]
        if self.max_age is not None:
            parts.append(f"Max-Age={self.max_age}")
        if self.http_only:
            parts.append("HttpOnly")
        if self.secure or self.same_site == "none":
            parts.append("Secure")  # without it, browsers do not take SameSite=None
        return "Set-Cookie", "; ".join(parts)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set for an endpoint. Times are in milliseconds, as Engine.IO has them."""

    transports: tuple[Transport, ...] = ("polling", "websocket")
    """How clients may connect."""
    allow_upgrades: bool = True
    """Clients that poll are told that they may go over to a WebSocket."""
    allow_eio3: bool = False
    """Also speak revision 3, with clients before Socket.IO 3."""
    ping_interval: Milliseconds | None = None
    """From one heartbeat to the next; ``heartbeat.interval`` of the endpoint unless given."""
    ping_timeout: Milliseconds | None = None
    """For the answer to a heartbeat; ``heartbeat.timeout`` of the endpoint unless given."""
    upgrade_timeout: Milliseconds = 10_000
    """From the opening of a polling client's WebSocket to the end of the upgrade."""
    max_payload: Count | None = None
    """Bytes of one POST, and of one WebSocket message; unless given, what one message of
    ``limits.message_bytes`` takes: a third more, since binary comes as base64."""
    max_packets: Count = 10_000
    """Packets of one POST. Clients send all that they have in one."""
    cookie: bool | Cookie = False
    """Set a cookie with the session's id when a polling client comes."""
    credentials: bool = False
    """Let pages of other origins send cookies; those origins must be listed by name."""
    allowed_headers: tuple[str, ...] = ("content-type",)
    """Headers of their own that pages of other origins may send."""
    max_age: Annotated[int, msgspec.Meta(ge=0)] = 600
    """Seconds for which a browser remembers what pages of other origins may do."""
    jsonp: bool = False
    """Let clients poll by script tags (``j`` in the query). Any page can: it is past all checks of
    the origin."""

    def __post_init__(self) -> None:
        if not self.transports:
            raise ValueError("transports: none is left; there are polling and websocket")


class ConnectorOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `connect` can be told with ``options``."""

    transports: tuple[Transport, ...] = ("polling", "websocket")
    """How to connect: with both, by polling first, then over a WebSocket where that is offered."""
    upgrade_timeout: Milliseconds = 10_000
    """For the WebSocket that is to take over from polling."""

    def __post_init__(self) -> None:
        if not self.transports:
            raise ValueError("transports: none is left; there are polling and websocket")

    @classmethod
    def read(cls, table: dict[str, Any] | None) -> ConnectorOptions:
        """The options in a table.

        :raises ConfigError: a key is unknown, or a value is of the wrong kind
        """
        try:
            return msgspec.convert(table or {}, cls, strict=False)
        except msgspec.ValidationError as error:
            known = ", ".join(cls.__struct_fields__)
            raise ConfigError(
                f"options: {error}; the options are: {known}", key="options"
            ) from error
