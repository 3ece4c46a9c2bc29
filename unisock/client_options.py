"""What `connect` is told, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from .abc import Dialect
from .codecs import Codec
from .errors import ConfigError
from .limits import Heartbeat, Limits, Overflow
from .options import read_options
from .redial import Backoff
from .registry import is_there, look_up
from .url import parse_url

__all__ = ["choose_dialect", "read_backoff", "read_policy", "read_table"]

TableT = TypeVar("TableT", Limits, Heartbeat)


def choose_dialect(
    name: str | None, url: object, codec: str, options: Mapping[str, Any]
) -> tuple[Dialect, dict[str, Any]]:
    """The dialect of this name, else the one that the URL tells of, else ``plain``; and those of
    the options that are none of its own.

    :raises ConfigError: it is not installed, it is no URL, or an option is wrong
    """
    spoken = "plain"
    if isinstance(url, str):
        before = parse_url(url).connector
        spoken = before if is_there("dialect", before) else spoken
    kind: type[Dialect] = look_up("dialect", name or spoken)
    known = kind.ClientOptions.__struct_fields__
    own = {name: value for name, value in options.items() if name in known}
    found: Codec = look_up("codec", codec)()
    (read,) = read_options("connect", own, kind.ClientOptions)
    rest = {name: value for name, value in options.items() if name not in known}
    return kind(found, read), rest


def read_backoff(given: Any) -> Backoff | None:
    """How to come back; `None` for not at all.

    :raises ConfigError: it says nothing of that
    """
    if isinstance(given, Backoff):
        return given
    if not isinstance(given, bool):
        raise ConfigError("reconnect: write True, False or Backoff(…)", key="reconnect")
    return Backoff() if given else None


def read_policy(overflow: Overflow | str) -> Overflow:
    """What happens when the queue is full.

    :raises ConfigError: it is none of the two policies that a client has
    """
    try:
        policy = Overflow(overflow)
    except ValueError as error:
        raise ConfigError(f"overflow: {error}", key="overflow") from error
    if policy in (Overflow.DROP_NEWEST, Overflow.DROP_OLDEST):
        return policy
    raise ConfigError(
        f"overflow: a client has drop-newest or drop-oldest, not {policy}", key="overflow"
    )


def read_table(given: Any, kind: type[TableT], name: str) -> TableT:
    """Limits or a heartbeat, from single fields of them.

    :raises ConfigError: a field is unknown or wrong
    """
    if isinstance(given, kind):
        return given
    try:
        return msgspec.convert(dict(given or {}), kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {error}", key=name) from error
