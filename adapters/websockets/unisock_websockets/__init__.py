"""unisock on the websockets library, with asyncio or trio."""

from .adapter import WebsocketsAdapter

__all__ = ["WebsocketsAdapter"]
