"""The Engine.IO protocol for unisock: on every adapter that speaks HTTP, and as a client."""

from .connector import EngineioConnector
from .options import ConnectorOptions, Cookie, Options
from .protocol import EngineioProtocol

__all__ = ["ConnectorOptions", "Cookie", "EngineioConnector", "EngineioProtocol", "Options"]
