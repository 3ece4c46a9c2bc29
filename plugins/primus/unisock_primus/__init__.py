"""Primus for unisock: a dialect for its clients, and for clients of its servers."""

from .dialect import PrimusDialect

__all__ = ["PrimusDialect"]
