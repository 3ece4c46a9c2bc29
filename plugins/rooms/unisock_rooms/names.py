"""What a room may be called."""

from __future__ import annotations

import re

from unisock import LimitExceeded

__all__ = ["check_length", "check_name"]

# Control characters and line separators would forge log lines; lone surrogates have no UTF-8.
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check_name(name: object, what: str = "a room's name") -> str:
    """The name, as a plain `str`, if a room may be called that: any text without control
    characters, line separators and lone surrogates, but not the empty one.

    :param what: what it is called in the error
    :raises TypeError: it is no `str`
    :raises ValueError: it is empty, or has such characters
    """
    if type(name) is not str:
        if not isinstance(name, str):
            raise TypeError(f"{what} is a str, not {type(name).__name__}: {name!r:.80}")
        name = str.__str__(name)
    if not name:
        raise ValueError(f"{what} cannot be empty")
    if _REFUSED.search(name):
        raise ValueError(
            f"{what} cannot have control characters, line separators or lone surrogates: "
            f"{name!r:.80}"
        )
    return name


def check_length(name: str, limit: str, most: int) -> None:
    """Check the length of a name in bytes of UTF-8.

    :param limit: the limit's name
    :raises LimitExceeded: it is longer than `most`
    """
    if len(name) * 4 > most and len(name.encode()) > most:
        raise LimitExceeded(limit, most)
