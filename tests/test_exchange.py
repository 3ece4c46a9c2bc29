"""HTTP exchanges, as far as adapters and the gateway share them."""

import json

import pytest

from unisock.errors import HandshakeRejected, Unsupported
from unisock.exchange import Request, Response
from unisock.handshake import Handshake


def test_a_plain_text_answer() -> None:
    response = Response.text(404, "Nothing hère.", ("X-One", "1"))
    assert response.status == 404
    assert response.body == "Nothing hère.\n".encode()
    assert ("Content-Type", "text/plain; charset=utf-8") in response.headers
    assert ("X-One", "1") in response.headers


def test_an_answer_about_an_odd_path_can_be_written() -> None:
    assert Response.text(404, "nothing at \udcff").body == b"nothing at ?\n"


def test_a_refusal_tells_the_client_whether_to_come_back() -> None:
    rejection = HandshakeRejected(
        "full", status=503, code=1013, retry=True, headers=(("Retry-After", "5"),)
    )
    response = Response.refusal(rejection)
    assert response.status == 503
    assert json.loads(response.body) == {"error": "full", "code": 1013, "retry": True}
    assert ("Retry-After", "5") in response.headers
    assert ("Content-Type", "application/json") in response.headers


@pytest.mark.anyio
async def test_an_adapter_without_bodies_says_so() -> None:
    request = Request(Handshake(target="/"), upgrade=False)
    with pytest.raises(Unsupported, match="no request bodies"):
        await request.body(100)
