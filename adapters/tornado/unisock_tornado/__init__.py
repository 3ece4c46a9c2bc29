"""The unisock adapter for Tornado: its own server, or mounted in an application you have."""

from .adapter import TornadoAdapter, routes

__all__ = ["TornadoAdapter", "routes"]
