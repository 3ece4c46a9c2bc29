"""Rooms: named groups of sparks, and audiences made of them."""

from .plugin import Rooms
from .room import Room
from .scope import Scope

__all__ = ["Room", "Rooms", "Scope"]
