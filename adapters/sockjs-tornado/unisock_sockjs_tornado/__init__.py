"""SockJS clients for unisock, by way of sockjs-tornado."""

from .adapter import SockjsTornadoAdapter, routes

__all__ = ["SockjsTornadoAdapter", "routes"]
