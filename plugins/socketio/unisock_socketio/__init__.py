"""Socket.IO for unisock: its clients, and a client for its servers."""

from .dialect import SocketioDialect

__all__ = ["SocketioDialect"]
