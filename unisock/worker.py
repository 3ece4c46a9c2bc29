"""One of several processes that serve one address: what its parent gave it, and tells it."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import AsyncGenerator, Sequence

import anyio

__all__ = ["DRAIN", "READY", "STOP", "Worker", "describe_inheritance"]

READY = b"r"
DRAIN = b"d"
STOP = b"s"

_VARIABLE = "_UNISOCK_WORKER"

log = logging.getLogger("unisock")


def describe_inheritance(number: int, inherited: Sequence[socket.socket]) -> dict[str, str]:
    """What a worker's environment says, for `Worker.adopt`.

    :param inherited: the socket to its parent, then those to serve on
    """
    files = [one.fileno() for one in inherited]
    inode = os.fstat(files[0]).st_ino
    return {_VARIABLE: " ".join(map(str, (number, inode, *files)))}


class Worker:
    """This process as a worker. ``%(processName)s`` of its logs is ``worker-1``, ``worker-2``, …

    :ivar number: from 1
    :ivar sockets: what it is to serve on; bound
    """

    def __init__(self, number: int, control: socket.socket, sockets: list[socket.socket]) -> None:
        self.number = number
        self.sockets = sockets
        self._control = control

    @classmethod
    def adopt(cls) -> Worker | None:
        """The worker that this process was started as; `None` if it is none. Only the first call
        is told.
        """
        told = os.environ.pop(_VARIABLE, None)
        if told is None:
            return None
        number, inode, *files = map(int, told.split())
        try:
            if os.fstat(files[0]).st_ino != inode:
                return None
        except OSError:
            return None  # a program that a worker has started: the variable came along, no more
        for file in files:
            os.set_inheritable(file, False)
        control, *sockets = [socket.socket(fileno=file) for file in files]
        for one in (control, *sockets):
            one.setblocking(False)
        import multiprocessing  # for the name alone, so only here

        multiprocessing.current_process().name = f"worker-{number}"
        return cls(number, control, sockets)

    def tell_ready(self) -> None:
        """Tell the parent that clients can come."""
        with contextlib.suppress(OSError):  # it is gone, which `orders` will say
            self._control.send(READY)

    async def orders(self) -> AsyncGenerator[bytes]:
        """What the parent wants: `DRAIN` or `STOP`. If it goes, that is an order to drain."""
        while True:
            await anyio.wait_readable(self._control)
            told = self._control.recv(16)
            if not told:
                log.warning("the parent process is gone: draining")
                yield DRAIN
                return
            for one in told:
                yield bytes((one,))

    def close(self) -> None:
        """It has served."""
        for one in (self._control, *self.sockets):
            one.close()
