"""Documents that are handed out beside the endpoints."""

import pytest

from unisock.assets import Asset
from unisock.errors import ConfigError
from unisock.handshake import Handshake
from unisock.server import Server

PAGE = Asset(b"<!doctype html>", "text/html; charset=utf-8")


def ask(method: str = "GET", **headers: str) -> Handshake:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Handshake(target="/", method=method, headers=pairs)


def test_a_document_is_handed_out_with_its_type() -> None:
    response = PAGE.answer(ask())
    assert (response.status, response.body) == (200, b"<!doctype html>")
    headers = dict(response.headers)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "{} , W/x", "*"])
def test_a_known_document_is_not_sent_again(form: str) -> None:
    etag = dict(PAGE.answer(ask()).headers)["ETag"]
    response = PAGE.answer(ask(if_none_match=form.format(etag)))
    assert (response.status, response.body) == (304, b"")
    assert dict(response.headers)["ETag"] == etag
    assert dict(response.headers)["Cache-Control"] == "no-cache"


def test_a_changed_document_is_sent() -> None:
    old = dict(Asset(b"old", "text/html").answer(ask()).headers)["ETag"]
    assert PAGE.answer(ask(if_none_match=old)).status == 200


def test_a_document_is_only_to_be_read() -> None:
    assert PAGE.answer(ask("HEAD")).status == 200
    response = PAGE.answer(ask("POST"))
    assert response.status == 405
    assert dict(response.headers)["Allow"] == "GET, HEAD"


def test_an_asset_needs_a_path_that_can_be_asked_for() -> None:
    with pytest.raises(ConfigError, match="begins with /"):
        Server(folder=None).asset("page.html", "x")
