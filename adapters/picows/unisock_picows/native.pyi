from .ear import Ear as Ear
from .outlet import Outlet as Outlet

__all__ = ["PICOWS", "Ear", "Outlet"]

PICOWS: str
"""The version of picows whose layout it knows."""
