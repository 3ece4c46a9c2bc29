"""HTTP/1.1 responses (RFC 9112), whole."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Response as RawResponse

from unisock.exchange import Response

__all__ = ["serialize"]


def serialize(response: Response, *, head: bool = False) -> bytes:
    """The response on the wire, after which the connection is closed.

    :param head: the request's method was ``HEAD``: leave out the body
    :raises ValueError: a header has no form in HTTP
    """
    body, status = response.body, response.status
    headers = Headers()
    headers["Date"] = formatdate(usegmt=True)
    connection = ["close"]
    for name, value in response.headers:
        if name.lower() == "connection":
            connection.append(value)
        else:
            headers[name] = value
    headers["Connection"] = ", ".join(connection)
    if status in (204, 304):  # these have no body, and no length (RFC 9110 section 8.6)
        body = b""
    else:
        headers["Content-Length"] = str(len(body))
    phrase = HTTPStatus(status).phrase if status in _KNOWN else ""
    return RawResponse(status, phrase, headers, b"" if head else body).serialize()


_KNOWN = frozenset(HTTPStatus)
