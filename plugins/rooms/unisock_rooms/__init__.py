"""Rooms: named groups of sparks, and audiences made of them."""

from .plugin import Rooms
from .room import Room

__all__ = ["Room", "Rooms"]
