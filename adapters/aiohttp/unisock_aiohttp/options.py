"""The table ``[options.aiohttp]`` of the configuration."""

from __future__ import annotations

from typing import Any

import msgspec

from unisock.errors import ConfigError

__all__ = ["Options", "read_options"]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for this adapter alone."""

    compression: bool = False
    """Agree to permessage-deflate (RFC 7692) where a client offers it."""


def read_options(table: dict[str, Any] | None) -> Options:
    """The options in a table.

    :raises ConfigError: a key is unknown, or a value is of the wrong kind
    """
    try:
        # Lax: the environment and the command line have only text.
        return msgspec.convert(table or {}, Options, strict=False)
    except msgspec.ValidationError as error:
        parts = str(error).partition(" - at `$.")
        message, place = parts[0], parts[2].rstrip("`")
        key = f"options.aiohttp.{place}".rstrip(".")
        known = ", ".join(Options.__struct_fields__)
        raise ConfigError(f"{key}: {message}; the options are: {known}", key=key) from error
