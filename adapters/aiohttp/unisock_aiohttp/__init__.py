"""The unisock adapter for aiohttp: its own server, or mounted in an application you have."""

from .adapter import AiohttpAdapter
from .mounting import mount, routes

__all__ = ["AiohttpAdapter", "mount", "routes"]
