"""The decorators by which an application gives its functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .pipeline import Handlers

__all__ = ["ChannelHandlers", "EndpointHandlers", "SparkHandlers"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class SparkHandlers:
    """The application's functions. A plain ``def`` runs inline; an ``async def`` runs in order, one
    at a time for each spark.
    """

    def __init__(self) -> None:
        self.handlers = Handlers()

    def on_open(self, function: FunctionT) -> FunctionT:
        """``on_open(spark)``: a client is there; its messages wait until this has ended."""
        self.handlers.set("open", function)
        return function

    def on_message(self, function: FunctionT) -> FunctionT:
        """``on_message(spark, payload)``: a client sent something."""
        self.handlers.set("message", function)
        return function

    def on_close(self, function: FunctionT) -> FunctionT:
        """``on_close(spark, close)``: a client is gone, and `Close` says how."""
        self.handlers.set("close", function)
        return function

    def on_error(self, function: FunctionT) -> FunctionT:
        """``on_error(spark, error)``: a handler raised, or the client sent what is no message.

        After an exception of a handler the spark is closed with 1011, unless this returns `True`.
        """
        self.handlers.set("error", function)
        return function

    def session(self, function: FunctionT) -> FunctionT:
        """``session(spark)``: one coroutine for each connection, which reads its messages with
        ``async for message in spark``. When it returns, the connection is closed.
        """
        self.handlers.set("session", function)
        return function


class EndpointHandlers(SparkHandlers):
    """The application's functions for an endpoint."""

    def authorize(self, function: FunctionT) -> FunctionT:
        """``authorize(handshake)``: who may come in. Raise `HandshakeRejected`, or return `False`,
        to refuse; anything else that is returned becomes ``spark.user``.
        """
        self.handlers.set("authorize", function)
        return function


class ChannelHandlers(SparkHandlers):
    """The application's functions for a channel, or for all whose names match a pattern."""

    def authorize(self, function: FunctionT) -> FunctionT:
        """``authorize(channel)``: who may come into the `Channel`. Raise `HandshakeRejected`, or
        return `False`, to refuse; anything else that is returned becomes ``spark.user`` there,
        which is that of the connection if it is `None`.
        """
        self.handlers.set("authorize", function)
        return function
