"""Binding addresses: the same way for every adapter."""

from __future__ import annotations

import errno
import os
import socket
import stat
from types import TracebackType
from typing import cast

import msgspec

from .config import Listen
from .errors import ConfigError
from .handshake import Address

__all__ = ["SharedPorts", "address_of", "bind", "peer_address", "remove_stale"]


def bind(listen: Listen, *, shared: bool = False) -> list[socket.socket]:
    """Listening, non-blocking sockets for every address that the settings name.

    :param shared: other processes are to share a TCP port (SO_REUSEPORT); such a socket does not
        listen yet, and so gets no clients
    :raises ConfigError: one of them cannot be bound
    """
    if listen.unix is not None:
        return [_bind_unix(listen.unix, listen.backlog)]
    try:
        found = socket.getaddrinfo(
            listen.host or None, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, ValueError) as error:  # ValueError: it can be no name at all
        raise ConfigError(f"listen.host: {listen.host}: {error}", key="listen.host") from error
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    port = listen.port
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                bound = _bind_tcp(
                    family, (address[0], port, *address[2:]), None if shared else listen.backlog
                )
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error  # "localhost" is ::1 even where there is no IPv6
                continue
            sockets.append(bound)
            # With port 0, all addresses share the port that the first one got.
            port = bound.getsockname()[1]
        if absent is not None and not sockets:
            raise absent
    except OSError as error:
        for bound in sockets:
            bound.close()
        raise ConfigError(
            f"cannot listen on {Address(listen.host, port)}: {os.strerror(error.errno or 0)}; "
            + (
                "choose an address of this machine with --host"
                if error.errno in _ABSENT
                else "choose another with --port, or 0 for a free one"
            ),
            key="listen.host" if error.errno in _ABSENT else "listen.port",
        ) from error
    return sockets


_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""What the system says of an address that this machine does not have."""


def address_of(bound: socket.socket) -> Address:
    """Where clients reach a listening socket."""
    name = bound.getsockname()
    return Address(str(name)) if bound.family == socket.AF_UNIX else Address(name[0], name[1])


def peer_address(name: object) -> Address:
    """The address in what ``getpeername`` returned."""
    if isinstance(name, tuple):
        host, port, *_ = cast("tuple[str, int]", name)
        return Address(host, port)
    return Address("unix")


class SharedPorts:
    """The configured addresses, held for several processes.

    Each process gets sockets of its own for a TCP port (SO_REUSEPORT), so that the system deals out
    the clients, and none to a process that is gone. A Unix socket is one for all.

    :ivar addresses: where clients can connect, port 0 resolved
    :raises ConfigError: an address cannot be bound, or ports cannot be shared on this system
    """

    def __init__(self, listen: Listen) -> None:
        self._listen = listen
        self._unix = listen.unix
        if self._unix is not None:
            self._held = bind(listen)
        else:
            if not hasattr(socket, "SO_REUSEPORT"):
                raise ConfigError(
                    "workers: this system cannot share a port among processes (SO_REUSEPORT); "
                    "use --workers 1",
                    key="workers",
                )
            # Whoever shares ports can bind one that others share: so it is tried alone at first.
            for probe in bind(listen):
                self._listen = msgspec.structs.replace(listen, port=address_of(probe).port)
                probe.close()
            self._held = bind(self._listen, shared=True)
        self.addresses: tuple[Address, ...] = tuple(map(address_of, self._held))

    def inherit(self) -> list[socket.socket]:
        """The sockets that a new process is to serve on."""
        if self._unix is not None:
            return [bound.dup() for bound in self._held]
        return bind(self._listen, shared=True)

    def __enter__(self) -> SharedPorts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for bound in self._held:
            bound.close()
        if self._unix is not None:
            remove_stale(self._unix)


def _bind_tcp(family: int, address: tuple[object, ...], backlog: int | None) -> socket.socket:
    """:param backlog: `None` to share the port, and not to listen yet"""
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if backlog is None:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        if backlog is not None:
            bound.listen(backlog)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _bind_unix(path: str, backlog: int) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        remove_stale(path)
        bound.bind(path)
        bound.listen(backlog)
        bound.setblocking(False)
    except (OSError, ValueError) as error:  # ValueError: no path at all
        bound.close()
        told = getattr(error, "strerror", None) or error
        raise ConfigError(f"listen.unix: {path}: {told}", key="listen.unix") from error
    return bound


def remove_stale(path: str) -> None:
    """Remove the Unix socket that a server left; leave alone a live one, and any other file."""
    if not (os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode)):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except BlockingIOError:
            pass  # alive, with more clients at its door than it lets in
