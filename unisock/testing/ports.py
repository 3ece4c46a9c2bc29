"""Ports for servers that are to come back where they were."""

from __future__ import annotations

import random
import socket
from pathlib import Path

__all__ = ["private_port"]

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""What Linux gives to those who ask for any port."""
_TRIES = 100


def private_port() -> int:
    """A free port of 127.0.0.1 that the system gives to nobody who asks for port 0: so it is still
    free after the server on it has ended, whatever else runs on this machine.

    :raises OSError: none was found
    """
    try:
        first = int(_RANGE.read_text().split()[0])
    except OSError:
        first = 32768
    for _ in range(_TRIES):
        port = random.randrange(max(1024, first // 2), max(2048, first))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError(f"no free port below {first} in {_TRIES} tries")
