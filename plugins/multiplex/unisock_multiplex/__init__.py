"""Channels for unisock: many conversations on one connection."""

from .plugin import Multiplex
from .topics import WebSocketMultiplex

__all__ = ["Multiplex", "WebSocketMultiplex"]
