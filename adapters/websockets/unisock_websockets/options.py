"""The table ``[options.websockets]`` of the configuration."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from unisock.errors import ConfigError

__all__ = ["ConnectorOptions", "Options", "read_connector_options", "read_options"]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for this adapter alone."""

    compression: bool = False
    """Agree to permessage-deflate (RFC 7692) where a client offers it."""
    handshakes: Annotated[int, msgspec.Meta(ge=1)] = 4096
    """Clients that may be in the middle of their request at once; one more, and the one that has
    been at it for longest is cut off."""


class ConnectorOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `connect` can be told with ``options``."""

    compression: bool = False
    """Offer permessage-deflate (RFC 7692)."""


def read_options(table: dict[str, Any] | None) -> Options:
    """The options in a table.

    :raises ConfigError: a key is unknown, or a value is of the wrong kind
    """
    return _read(table, Options)


def read_connector_options(table: dict[str, Any] | None) -> ConnectorOptions:
    """The same for a connector."""
    return _read(table, ConnectorOptions)


OptionsT = TypeVar("OptionsT", Options, ConnectorOptions)


def _read(table: dict[str, Any] | None, kind: type[OptionsT]) -> OptionsT:
    try:
        # Lax: the environment and the command line have only text.
        return msgspec.convert(table or {}, kind, strict=False)
    except msgspec.ValidationError as error:
        parts = str(error).partition(" - at `$.")
        message, place = parts[0], parts[2].rstrip("`")
        key = f"options.websockets.{place}".rstrip(".")
        known = ", ".join(kind.__struct_fields__)
        raise ConfigError(f"{key}: {message}; the options are: {known}", key=key) from error
