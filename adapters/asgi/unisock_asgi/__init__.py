"""The unisock adapter for ASGI: uvicorn as its own server, any other host, or mounted."""

from .adapter import AsgiAdapter
from .application import AsgiApp, asgi_app

__all__ = ["AsgiAdapter", "AsgiApp", "asgi_app"]
