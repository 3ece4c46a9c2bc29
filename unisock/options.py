"""The options of an endpoint's protocol and dialect, which they know and the core does not."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

from .errors import ConfigError

__all__ = ["NoOptions", "read_options"]


class NoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """For parts that have none."""


def read_options(
    where: str, table: Mapping[str, Any], *kinds: type[msgspec.Struct]
) -> list[msgspec.Struct]:
    """A table of options, shared out among those who know them: a struct of each kind.

    :param where: for errors, such as ``endpoint /sockjs: options``
    :raises ConfigError: nobody knows an option, or it is of the wrong kind
    """
    known = [name for kind in kinds for name in kind.__struct_fields__]
    for name in table:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there is: {', '.join(known)}"
            advice = hint if known else "its protocol and dialect have none"
            raise ConfigError(f"{where}.{name}: no such option; {advice}", key=where)
    read: list[msgspec.Struct] = []
    for kind in kinds:
        own = {name: value for name, value in table.items() if name in kind.__struct_fields__}
        try:
            # Lax: the environment and the command line have only text.
            read.append(msgspec.convert(own, kind, strict=False))
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `$")
            raise ConfigError(f"{where}{path.rstrip('`')}: {message}", key=where) from error
    return read
