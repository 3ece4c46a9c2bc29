"""The websockets adapter of unisock, and its client's side."""

from .adapter import WebsocketsAdapter
from .connector import WebSocketConnector

__all__ = ["WebSocketConnector", "WebsocketsAdapter"]
