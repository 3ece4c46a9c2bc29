"""Where a client connects: what a URL means, and where a redirection leads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock import ConfigError
from unisock.url import parse_url


@pytest.mark.parametrize(
    ("text", "host", "port", "secure", "resource"),
    [
        ("ws://example.com", "example.com", 80, False, "/"),
        ("ws://example.com/", "example.com", 80, False, "/"),
        ("wss://example.com/chat?x=1&y=%20", "example.com", 443, True, "/chat?x=1&y=%20"),
        ("WS://Example.COM:8000/Chat", "example.com", 8000, False, "/Chat"),
        ("http://h?q", "h", 80, False, "/?q"),
        ("https://h:444/a/b", "h", 444, True, "/a/b"),
        ("ws://[::1]:9/ws", "::1", 9, False, "/ws"),
        ("ws://bücher.example/ws", "xn--bcher-kva.example", 80, False, "/ws"),
    ],
)
def test_a_url_says_where_to_go(
    text: str, host: str, port: int, secure: bool, resource: str
) -> None:
    url = parse_url(text)
    assert (url.host, url.port, url.secure, url.resource) == (host, port, secure, resource)
    assert url.connector == "websocket"
    assert parse_url(str(url)) == url


def test_what_stands_before_a_plus_says_who_connects() -> None:
    url = parse_url("other+https://h/x")
    assert (url.connector, url.secure, url.path) == ("other", True, "/x")
    assert str(url) == "other+https://h/x"


def test_a_unix_socket_has_a_path_and_perhaps_a_resource() -> None:
    url = parse_url("ws+unix:/run/app.sock:/ws?x=1")
    assert (url.unix, url.resource, url.path, url.secure) == (
        "/run/app.sock",
        "/ws?x=1",
        "/ws",
        False,
    )
    assert parse_url("wss+unix:/run/app.sock").resource == "/"
    assert parse_url("wss+unix:/run/app.sock").secure
    assert parse_url(str(url)) == url


def test_credentials_are_read_and_not_shown() -> None:
    url = parse_url("ws://us%65r:p%40ss@h/ws")
    assert url.credentials == ("user", "p@ss")
    assert str(url) == "ws://h/ws"
    assert parse_url("ws://user@h/").credentials == ("user", "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "ws://127.0.0.1:8000/ws"),
        ("example.com", "ws://127.0.0.1:8000/ws"),
        ("localhost:8000", "ws://127.0.0.1:8000/ws"),
        ("ftp://h/", "ws://127.0.0.1:8000/ws"),
        ("ws:/h", "ws://127.0.0.1:8000/ws"),
        ("+ws://h", "ws://127.0.0.1:8000/ws"),
        ("ws://", "no host"),
        ("ws:///path", "no host"),
        ("ws://h:x/", "Port"),
        ("ws://h:70000/", "Port"),
        ("ws://h:0/", "port 0"),
        ("ws://[::1/", "IPv6"),
        ("ws://h/#top", "#fragment"),
        ("ws+unix:/run/x.sock:/ws#top", "#fragment"),
        ("ws+unix:", "ws+unix:/run/app.sock:/ws"),
        ("ws://h/a b", "%XX"),
        ("ws://h/ä", "%XX"),
        ("ws+unix:/run/x.sock:ws", "%XX"),
        ("ws://a..b/", "no host can be called"),
        (f"ws://{'a' * 64}.b/", "no host can be called"),
        ("ws://h h/", "no host can be called"),
    ],
)
def test_what_is_no_url_is_told(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_url(text)
    assert says in str(error.value)
    assert error.value.key == "url"


@given(st.text() | st.from_regex(r"(ws|wss|http|ws\+unix|x\+http):.*"))
def test_any_text_is_a_url_or_a_clear_error(text: str) -> None:
    try:
        url = parse_url(text)
    except ConfigError:
        return
    assert url.resource.startswith("/")
    assert url.host.isascii()
    assert 0 < url.port < 65536


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("/other", "ws://h:8000/other"),
        ("other?x", "ws://h:8000/a/other?x"),
        ("//there/x", "ws://there/x"),
        ("http://there/x#top", "ws://there/x"),
        ("wss://there:9/", "wss://there:9/"),
        ("https://h/", "wss://h/"),
    ],
)
def test_a_redirection_leads_on(location: str, there: str) -> None:
    assert str(parse_url("ws://h:8000/a/b").join(location)) == there


def test_a_redirection_keeps_connector_socket_and_password_only_where_it_stays() -> None:
    here = parse_url("x+http://user:pw@h/a")
    assert here.join("/b").credentials == ("user", "pw")
    assert here.join("/b").connector == here.join("http://there/").connector == "x"
    assert here.join("http://there/b").credentials is None
    assert here.join("http://mallory:pw@there/b").credentials is None
    here = parse_url("ws+unix:/run/x.sock:/a")
    assert here.join("/b").unix == "/run/x.sock"
    assert here.join("http://there/b").unix is None


@pytest.mark.parametrize(
    "location",
    ["ws+unix:/run/docker.sock:/x", "x+http://h/", "mailto:x", "http://[::1/", "/ä", "ws://"],
)
def test_a_server_cannot_send_its_clients_anywhere(location: str) -> None:
    with pytest.raises(ConfigError):
        parse_url("ws://h/").join(location)


@given(st.text())
def test_any_location_leads_somewhere_or_is_a_clear_error(location: str) -> None:
    here = parse_url("ws+unix:/run/x.sock:/a")
    try:
        there = here.join(location)
    except ConfigError:
        return
    assert there.unix in (None, here.unix)
