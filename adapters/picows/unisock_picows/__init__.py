"""The unisock adapter for picows and httptools: HTTP and the fastest WebSockets, on one port."""

from .adapter import PicowsAdapter

__all__ = ["PicowsAdapter"]
