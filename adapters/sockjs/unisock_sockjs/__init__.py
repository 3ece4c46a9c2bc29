"""The SockJS protocol for unisock: the server's side on every adapter that speaks HTTP."""

from .options import Options
from .protocol import SockjsProtocol

__all__ = ["Options", "SockjsProtocol"]
