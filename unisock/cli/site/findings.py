"""What was found out, and which line of a proxy's configuration mends it."""

from __future__ import annotations

import re
from math import ceil
from typing import Literal, TypeAlias

import msgspec

from ...messages import printable

__all__ = [
    "HOST",
    "UNBUFFERED",
    "UPGRADE",
    "Answer",
    "Finding",
    "Place",
    "blame",
    "body_line",
    "patience_line",
]

State: TypeAlias = Literal["ok", "broken", "unknown"]
Place: TypeAlias = Literal["location", "server", "upstream"]
"""The block of nginx' configuration that a line goes into."""

UPGRADE = (
    "proxy_http_version 1.1;",
    "proxy_set_header Upgrade $http_upgrade;",
    'proxy_set_header Connection "upgrade";',
)
UNBUFFERED = ("proxy_buffering off;",)
HOST = ("proxy_set_header Host $http_host;",)
_MIB = 1_048_576
_UNREACHED = frozenset({502, 503, 504})


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check."""

    check: str
    """What was tried: a transport, or another thing that clients need."""
    state: State
    """``unknown`` where something else than a proxy was in the way."""
    told: str
    """In plain words."""
    nginx: tuple[str, ...] = ()
    """The lines that mend it."""
    place: Place = "location"
    """Where they go."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP response that was read.

    :ivar headers: names in lower case
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def by_proxy(self) -> bool:
        """Whether something on the way made it: servers of sessions write no web pages."""
        return "html" in self.headers.get("content-type", "")

    @property
    def text(self) -> str:
        """The beginning of the body, in one line."""
        return printable(" ".join(self.body.decode("utf-8", "replace").split()), 200)


def blame(check: str, answer: Answer, *, path: str, backend: str, upgrade: bool = False) -> Finding:
    """What is wrong, by a response that no session begins with.

    :param path: the one that was asked for
    :param backend: where the proxy finds the server, as far as anybody knows
    :param upgrade: whether a WebSocket was asked for
    """
    status, text = answer.status, answer.text
    pass_on = (f"proxy_pass {backend};",)

    def broken(told: str, nginx: tuple[str, ...] = (), place: Place = "location") -> Finding:
        return Finding(check=check, state="broken", told=told, nginx=nginx, place=place)

    if status == 413:
        return broken("the proxy takes no body of that size (413)")
    if status in _UNREACHED and answer.by_proxy:
        return broken(f"the proxy does not reach the server ({status}); does it run?", pass_on)
    if upgrade and status in (400, 426) and not answer.by_proxy:
        return broken("the proxy does not hand on that a WebSocket is wanted", UPGRADE)
    if status in (404, 405) and answer.by_proxy:
        block = (f"location {path} {{", *(f"    {line}" for line in pass_on), "}")
        return broken(f"the proxy keeps {path} to itself ({status})", block, "server")
    asked = re.search(r"There is nothing at (\S+)\.$", text)
    if status == 404 and asked:
        if asked[1] != path:
            told = f"the proxy makes {asked[1]} of {path}: nothing goes behind the port"
            return broken(told, pass_on)
        return broken(f"the server has no endpoint at {path}")
    if status == 403 and re.search(r"\borigin\b.* not allowed", text):
        return broken(
            "the server takes a page of this site for a stranger, since the proxy does not hand "
            "on by which name the site was asked for",
            HOST,
        )
    if status in (401, 403):
        told = f"the application refuses with {status}: {text or 'no reason'}; -H and --token say"
        return Finding(check=check, state="unknown", told=f"{told} who you are")
    return broken(f"answered with {status}: {text or 'nothing'}")


def body_line(size: int) -> str:
    """The line that lets bodies of so many bytes through."""
    return f"client_max_body_size {ceil(size / _MIB)}m;"


def patience_line(interval: float) -> str:
    """The line for a server that is silent for so many seconds between two heartbeats."""
    return f"proxy_read_timeout {max(60, ceil(2 * interval))}s;"
