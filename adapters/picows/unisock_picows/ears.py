"""Parsers for the connections of a server that are being talked to."""

from __future__ import annotations

import asyncio
from functools import partial

from unisock.messages import Close

from .ear import Crowd, Ear, HearingConnection
from .outlet import Outlet
from .parser import CALM, free, make_parser

__all__ = ["Ears"]

SPARE = 64
"""Parsers that are kept for the next who needs one."""


class Ears(Crowd):
    """A parser takes more memory than all the rest of an idle connection, and more time to make
    than a message to read. So connections get one when something comes, and give it back.

    :param make_ear: the class, in Python or in C
    :param kept: how many connections may keep theirs between two messages
    """

    __slots__ = ("_kept", "_lent", "_make_ear", "_read_buffer_bytes", "_spare")

    def __init__(self, make_ear: type[Ear], read_buffer_bytes: int, kept: int) -> None:
        super().__init__()
        self._make_ear = make_ear
        self._read_buffer_bytes = read_buffer_bytes
        self._kept = kept
        self._spare: dict[int, list[Ear]] = {}
        self._lent = 0

    def lend(self, connection: HearingConnection, outlet: Outlet) -> Ear:
        """A parser that is empty."""
        size = connection.gate.limits.message_bytes
        self._count(1)
        spare = self._spare.get(size)
        while spare:
            ear = spare.pop()
            if len(free(ear.parser)) <= CALM:  # what it has grown to shows when it is empty
                break
            del ear.parser
        else:
            ear = self._make_ear(self, size)
            ear.parser = make_parser(
                ear,
                partial(_tell, ear),
                max_frame_size=size,
                read_buffer_bytes=self._read_buffer_bytes,
            )
        ear.connection = connection
        ear.outlet = outlet
        return ear

    def take_back(self, ear: Ear, *, clean: bool) -> None:
        """It is needed no longer.

        :param clean: the parser is empty, and has found no fault
        """
        self._count(-1)
        spare = self._spare.setdefault(ear.size, [])
        if clean and not ear.spent and len(spare) < SPARE and len(free(ear.parser)) <= CALM:
            del ear.connection, ear.outlet
            spare.append(ear)
        else:
            del ear.parser  # which refers to it: no cycle is left for the garbage collection

    def _count(self, more: int) -> None:
        self._lent += more
        self.crowded = self._lent > self._kept


def _tell(ear: Ear, close: Close) -> None:
    # The parser looks one frame ahead: the last good frame comes after this.
    asyncio.get_running_loop().call_soon(ear.connection.on_parser_fault, close)
