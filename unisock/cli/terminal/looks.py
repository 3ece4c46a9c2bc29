"""How what a peer sends looks to people: JSON in colour, bytes as a dump, and nothing that could
play tricks on a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO

import msgspec

__all__ = ["dump", "harmless", "in_colour", "json_of", "lay_out"]

DUMPED_BYTES = 1024
"""Of a longer binary message only the beginning is shown."""

_JOINER = "\u200d"
"""Invisible, and joins emoji into one."""


def harmless(text: str) -> str:
    """Text without control characters and the like: they are shown as Python writes them."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in ("\n", "\t", _JOINER) else _escaped(letter)
        for letter in text
    )


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode()


def json_of(payload: object) -> str:
    """A decoded payload as JSON; what has no form there, as Python shows it."""
    try:
        return msgspec.json.encode(payload).decode()
    except (TypeError, ValueError, RecursionError):
        return repr(payload)


def lay_out(text: str, width: int) -> tuple[str, bool]:
    """Spread JSON over lines where one is too short for it.

    :returns: the text, and whether it is JSON with more to it than a single value
    """
    if text[:1] not in ("{", "[") or not _is_json(text):
        return text, False
    if len(text) <= width and "\n" not in text:
        return text, True
    return msgspec.json.format(text, indent=2), True  # leaves numbers as they were written


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def dump(data: bytes) -> Iterator[str]:
    """Bytes as people look at them, 16 to a line: where, in hex, and as text."""
    for at in range(0, min(len(data), DUMPED_BYTES), 16):
        row = data[at : at + 16]
        left, right = row[:8].hex(" "), row[8:].hex(" ")
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{at:08x}  {left:<23}  {right:<23}  |{text}|"
    if len(data) > DUMPED_BYTES:
        yield f"… and {len(data) - DUMPED_BYTES} bytes more; --json shows all"


def in_colour(text: str) -> str:
    """JSON with ANSI colours, its lines as long as they are."""
    from rich.console import Console
    from rich.highlighter import JSONHighlighter
    from rich.text import Text

    shown = StringIO()
    console = Console(file=shown, force_terminal=True, color_system="standard", no_color=False)
    console.print(JSONHighlighter()(Text(text)), soft_wrap=True, end="")
    return shown.getvalue()
