"""Rooms: named groups of sparks."""
