"""Lines from standard input where nobody types them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

__all__ = ["NotText", "read_lines"]

CHUNK = 65_536
WAITING = 64
"""Lines that are read ahead of those that could be sent."""


class NotText(Exception):
    """Standard input has a line that is no UTF-8."""


async def read_lines(take: Callable[[str], Awaitable[None]]) -> None:
    """Hand over each line, without its end, until the input ends.

    The thread that reads is left behind if this is cancelled: it may wait for ever.

    :raises NotText: a line is no UTF-8
    """
    if sys.stdin is None or sys.stdin.closed:
        return
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    room = threading.Semaphore(WAITING)

    def read(file: int) -> None:
        # Not from sys.stdin: its buffer has a lock, which would be held when the process ends.
        with suppress(RuntimeError):  # the loop has ended
            with suppress(OSError):  # the terminal has
                for line in _split(file):
                    room.acquire()
                    loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, args=(sys.stdin.fileno(),), daemon=True).start()
    number = 0
    while (line := await lines.get()) is not None:
        number += 1
        room.release()
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise NotText(f"line {number} of standard input is no UTF-8: {error}") from error
        await take(text)


def _split(file: int) -> Iterator[bytes]:
    rest = bytearray()
    while chunk := os.read(file, CHUNK):
        rest += chunk
        if b"\n" not in chunk:
            continue
        *whole, last = rest.split(b"\n")
        for line in whole:
            yield bytes(line).removesuffix(b"\r")
        rest = last
    if rest:
        yield bytes(rest)
