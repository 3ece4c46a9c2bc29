"""The words that Primus 8 says about a session, each a text in the endpoint's codec.

The server says ``primus::ping::<milliseconds>``, which the client answers with
``primus::pong::<the same>``, and ``primus::server::close`` before it closes for good. The client
asks ``primus::id::``, which the server answers with ``primus::id::<id>``.
"""

from __future__ import annotations

__all__ = ["CLOSE", "ID", "PING", "PONG", "PREFIX", "SERVER", "read", "word"]

PREFIX = "primus::"
PING, PONG, ID, SERVER = "ping", "pong", "id", "server"


def word(kind: str, value: object = "") -> str:
    """One of them."""
    return f"{PREFIX}{kind}::{value}"


CLOSE = word(SERVER, "close")


def read(text: str) -> tuple[str, str]:
    """The kind and the value of a text that begins with `PREFIX`; no kind if it is no word."""
    kind, colons, value = text[len(PREFIX) :].partition("::")
    return (kind, value) if colons else ("", "")
