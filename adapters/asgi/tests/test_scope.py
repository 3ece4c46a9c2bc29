"""From ASGI's words to unisock's."""

from typing import Any

import pytest

from unisock import Address
from unisock_asgi.scope import encode, handshake_of, path_of


def scope(**more: Any) -> dict[str, Any]:
    return {"type": "http", "path": "/ws", "headers": [], **more}


@pytest.mark.parametrize(
    ("path", "root", "below"),
    [
        ("/ws", "", "/ws"),
        ("/ws", "/live", "/ws"),  # a host that keeps them apart
        ("/live/ws", "/live", "/ws"),  # one that repeats it, as the specification says
        ("/live/ws", "/live/", "/ws"),
        ("/live", "/live", "/"),
        ("/lively", "/live", "/lively"),
        ("/live/live/ws", "/live", "/live/ws"),
        ("", "", "/"),
    ],
)
def test_paths_are_below_the_mount_point(path: str, root: str, below: str) -> None:
    assert path_of(scope(path=path, root_path=root)) == below


def test_a_slash_that_the_client_did_not_send_is_no_part_of_the_path() -> None:
    assert path_of(scope(path="/ws/", raw_path=b"/live/ws")) == "/ws"
    assert path_of(scope(path="/ws/", raw_path=b"/live/ws/")) == "/ws/"
    assert path_of(scope(path="/", raw_path=b"/live")) == "/"


def test_a_scope_with_everything() -> None:
    handshake = handshake_of(
        scope(
            type="websocket",
            path="/live/a ü?",
            root_path="/live",
            query_string=b"b=%20c&d",
            scheme="wss",
            client=["192.0.2.7", 5],
            headers=[(b"x-a", b"\xe9"), (b"x-a", b"2")],
            user="ada",
        )
    )
    assert (handshake.path, handshake.raw_query) == ("/a ü?", "b=%20c&d")
    assert (handshake.method, handshake.scheme) == ("GET", "https")
    assert handshake.peer == Address("192.0.2.7", 5)
    assert handshake.headers.all("X-A") == ("é", "2")
    assert handshake.user == "ada"


@pytest.mark.parametrize("client", [None, ["", 0], ("", 0)])
def test_who_has_no_address_comes_through_a_unix_socket(client: Any) -> None:
    assert handshake_of(scope(client=client)).peer == Address("unix")


@pytest.mark.parametrize(
    "header",
    [("x y", "1"), ("", "1"), ("X:", "1"), ("X", "a\r\nb: c"), ("X", "\0"), ("X", "🐍")],
)
def test_headers_that_http_does_not_allow_are_errors(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="HTTP does not allow"):
        encode([header], scope())


def test_http_2_has_no_headers_for_the_connection() -> None:
    pairs = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("X-A", "é")]
    assert encode(pairs, scope(http_version="2")) == [(b"x-a", b"\xe9")]
    assert len(encode(pairs, scope(http_version="1.1"))) == 3
