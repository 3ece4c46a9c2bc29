"""Whole documents that a server hands out beside its endpoints: a page, a client library."""

from __future__ import annotations

from hashlib import sha256

from .exchange import Response
from .handshake import Handshake

__all__ = ["Asset"]


class Asset:
    """One document in memory; no path ever reaches a file system.

    :param body: the document
    :param content_type: its media type, with the charset for text
    """

    def __init__(self, body: bytes, content_type: str) -> None:
        self._body = body
        self._etag = f'"{sha256(body).hexdigest()[:20]}"'
        self._headers = (
            ("Content-Type", content_type),
            ("ETag", self._etag),
            ("Cache-Control", "no-cache"),
            ("X-Content-Type-Options", "nosniff"),
        )

    def answer(self, handshake: Handshake) -> Response:
        """The response to a request for it: 200, 304 (RFC 9110 section 13.1.2), or 405."""
        if handshake.method not in ("GET", "HEAD"):
            return Response.text(405, "This is only to be read.", ("Allow", "GET, HEAD"))
        known = handshake.headers.get("if-none-match", "")
        tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
        if self._etag in tags or "*" in tags:
            return Response(304, headers=self._headers[1:])
        return Response(200, self._body, self._headers)
