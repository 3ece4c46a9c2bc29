"""The table ``[options.picows]`` of the configuration."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from unisock.errors import ConfigError

__all__ = ["Options", "read_options"]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for this adapter alone."""

    uvloop: bool | None = None
    """Run on uvloop where unisock makes the event loop; if not set, where uvloop is installed."""
    handshakes: Annotated[int, msgspec.Meta(ge=1)] = 4096
    """Clients that may be between requests, or in the middle of one's head, at once; one more, and
    the one that has been so for longest is cut off."""
    parsers: Annotated[int, msgspec.Meta(ge=0)] = 1024
    """WebSockets that keep a parser of some 7 KiB between two messages; beyond them, each read
    borrows one, which takes a few microseconds."""
    read_buffer_bytes: Annotated[int, msgspec.Meta(ge=2048, le=1 << 20)] = 2048
    """What a WebSocket's read buffer begins with; it grows to the largest read."""
    lean: bool = False
    """Stand on the transports of uvloop where that is the event loop: they take half the memory of
    aiofastnet's, and more time to write."""
    native: bool | None = None
    """Let messages pass parts in C, which take half the time; if not set, where they are built."""


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
        key = f"options.picows.{place}".rstrip(".")
        known = ", ".join(Options.__struct_fields__)
        raise ConfigError(f"{key}: {message}; the options are: {known}", key=key) from error
