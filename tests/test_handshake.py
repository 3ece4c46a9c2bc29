"""The request that opened a connection, as odd as clients and attackers make it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock.handshake import Address, Handshake, Headers, TrustedProxies


def asked(
    target: str = "/ws", *, scheme: str = "http", peer: str = "203.0.113.9", **headers: str
) -> Handshake:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Handshake(target=target, headers=pairs, scheme=scheme, peer=Address(peer, 4711))


def test_addresses_read_as_people_write_them() -> None:
    assert str(Address("127.0.0.1", 80)) == "127.0.0.1:80"
    assert str(Address("::1", 80)) == "[::1]:80"
    assert str(Address("unix")) == "unix"


def test_headers_in_any_case_and_repeated() -> None:
    headers = Headers([("X-One", "1"), ("x-one", "2"), ("Other", "3")])
    assert headers["X-ONE"] == "1, 2"
    assert headers.all("x-One") == ("1", "2")
    assert "OTHER" in headers
    assert "missing" not in headers
    assert headers.get("missing", "no") == "no"
    assert [*headers] == ["x-one", "other"]
    assert len(headers) == 2
    assert "X-One" in repr(headers)
    with pytest.raises(KeyError):
        headers["missing"]


def test_path_and_query_are_decoded() -> None:
    handshake = asked("/caf%C3%A9%20x?room=a%26b&empty=&room=last#frag")
    assert handshake.path == "/café x"
    assert handshake.raw_query == "room=a%26b&empty=&room=last#frag"
    assert handshake.query == {"room": "last#frag", "empty": ""}
    assert asked("/%ff").path == "/\ufffd"


def test_a_handshake_shows_itself_on_one_harmless_line() -> None:
    shown = repr(asked("/%0aERROR%20forged%1b[2J" + "x" * 1000))
    assert shown.isprintable()
    assert len(shown) < 400


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("session=abc; theme=dark", {"session": "abc", "theme": "dark"}),
        ("a=1; a=2", {"a": "2"}),
        ("a=b=c==", {"a": "b=c=="}),
        (r'quoted="a\054b\"c"', {"quoted": 'a,b"c'}),
        ('lonely="', {"lonely": '"'}),
        ("nothing; =x; ;; ok=1", {"ok": "1"}),
        # An odd one from another's hand, or one named like an attribute, costs only itself.
        ('session=abc; odd={"x":[1,2]}; z=1', {"session": "abc", "odd": '{"x":[1,2]}', "z": "1"}),
        ("version=1; path=/; session=abc", {"version": "1", "path": "/", "session": "abc"}),
        ("bad name=1; session=abc", {"bad name": "1", "session": "abc"}),
    ],
)
def test_cookies(header: str, cookies: dict[str, str]) -> None:
    assert asked(cookie=header).cookies == cookies


def test_cookies_may_come_in_several_headers() -> None:
    handshake = Handshake(target="/", headers=[("Cookie", "a=1"), ("cookie", "b=2")])
    assert handshake.cookies == {"a": "1", "b": "2"}


def test_a_long_quoted_cookie_is_decoded_in_no_time() -> None:
    value = "\\" * 200_000
    assert len(asked(cookie=f'a="{value}"').cookies["a"]) == 100_000


def test_subprotocols_best_first() -> None:
    handshake = Handshake(
        target="/",
        headers=[("Sec-WebSocket-Protocol", "a, b,,"), ("Sec-WebSocket-Protocol", " c ")],
    )
    assert handshake.subprotocols == ("a", "b", "c")
    assert asked().subprotocols == ()


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://example.com", "example.com", True),
        ("http://example.com", "example.com:80", True),
        ("http://example.com:80", "example.com", True),
        ("https://example.com", "example.com", True),  # a proxy ended the TLS
        ("https://example.com", "example.com:443", True),
        ("https://example.com", "example.com:80", False),
        ("http://EXAMPLE.com", "example.COM", True),
        ("http://example.com:8000", "example.com:8000", True),
        ("http://example.com:8000", "example.com:8001", False),
        ("http://example.com", "example.com:8000", False),
        ("http://example.com:8000", "example.com", False),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://[::1]", "[::1]", True),
        ("http://[::1]:8000", "[::2]:8000", False),
        ("http://evil.com", "example.com", False),
        ("http://example.com.evil.com", "example.com", False),
        ("http://evilexample.com", "example.com", False),
        ("http://sub.example.com", "example.com", False),
        ("http://example.com@evil.com", "example.com", False),
        ("http://example.com, http://evil.com", "example.com", False),
        ("null", "example.com", False),
        ("null", "", False),
        ("", "", False),
        ("http://", "", False),
        ("file://", "", False),
        ("ftp://example.com", "example.com", False),
        ("chrome-extension://example.com", "example.com", False),
        ("http://example.com:99999", "example.com:99999", False),
        ("http://example.com:x", "example.com:x", False),
        ("http://[::1", "[::1", False),
        ("http://a\u2100b", "a\u2100b", False),
    ],
)
def test_same_origin(origin: str, host: str, same: bool) -> None:
    assert asked(origin=origin, host=host).same_origin is same


def test_without_an_origin_there_is_no_page() -> None:
    assert asked(host="example.com").same_origin


def test_a_page_without_tls_is_no_part_of_a_site_with_it() -> None:
    headers = {"host": "example.com"}
    assert not asked(scheme="https", origin="http://example.com", **headers).same_origin
    assert asked(scheme="https", origin="https://example.com", **headers).same_origin


# Trusted proxies


def seen(handshake: Handshake, *trusted: str) -> tuple[str, str]:
    TrustedProxies(trusted).apply(handshake)
    return handshake.peer.host, handshake.scheme


def test_no_proxy_is_trusted_by_default() -> None:
    handshake = asked(x_forwarded_for="1.2.3.4", x_forwarded_proto="https")
    assert seen(handshake) == ("203.0.113.9", "http")


def test_a_stranger_is_not_believed() -> None:
    handshake = asked(x_forwarded_for="1.2.3.4", x_forwarded_proto="https")
    assert seen(handshake, "10.0.0.0/8") == ("203.0.113.9", "http")


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:5678", "1.2.3.4"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:5678", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the left one is the client's own invention
        ("1.2.3.4, 10.0.0.7", "1.2.3.4"),  # a chain of ours
        ("6.6.6.6, 1.2.3.4, 10.0.0.7, 10.0.0.8", "1.2.3.4"),
        ("10.0.0.9, 10.0.0.7", "10.0.0.9"),  # a client of our own network
        ("1.2.3.4, garbage", "10.0.0.1"),  # nothing left of what cannot be read counts
        ("1.2.3.4, garbage, 10.0.0.7", "10.0.0.7"),
        ("1.2.3.4, unix", "10.0.0.1"),
        ("", "10.0.0.1"),
        (" , ,", "10.0.0.1"),
        ("1.2.3.4,", "1.2.3.4"),
    ],
)
def test_the_client_behind_a_proxy(forwarded: str, client: str) -> None:
    handshake = asked(peer="10.0.0.1", x_forwarded_for=forwarded)
    assert seen(handshake, "10.0.0.0/8", "unix")[0] == client
    assert seen(handshake, "10.0.0.0/8", "unix")[0] == client  # to ask twice changes nothing


def test_a_chain_may_come_in_several_headers() -> None:
    handshake = Handshake(
        target="/",
        peer=Address("10.0.0.1"),
        headers=[("X-Forwarded-For", "6.6.6.6, 1.2.3.4"), ("X-Forwarded-For", "10.0.0.7")],
    )
    assert seen(handshake, "10.0.0.0/8")[0] == "1.2.3.4"


@pytest.mark.parametrize("peer", ["::1", "::ffff:10.0.0.1", "fe80::1%eth0"])
def test_proxies_with_ipv6(peer: str) -> None:
    handshake = asked(peer=peer, x_forwarded_for="1.2.3.4")
    assert seen(handshake, "::1", "10.0.0.0/8", "fe80::/10")[0] == "1.2.3.4"


def test_a_unix_socket_is_trusted_by_name_only() -> None:
    assert seen(asked(peer="unix", x_forwarded_for="1.2.3.4"), "unix")[0] == "1.2.3.4"
    assert seen(asked(peer="unix", x_forwarded_for="1.2.3.4"), "0.0.0.0/0")[0] == "unix"


@pytest.mark.parametrize(
    ("said", "scheme"),
    [
        ("https", "https"),
        ("HTTPS", "https"),
        ("http, https", "https"),
        ("wss", "https"),
        ("ws", "http"),
        ("gopher", "http"),
        ("", "http"),
    ],
)
def test_the_scheme_behind_a_proxy(said: str, scheme: str) -> None:
    assert seen(asked(peer="10.0.0.1", x_forwarded_proto=said), "10.0.0.1")[1] == scheme


@pytest.mark.parametrize("network", ["10.0.0.1/8", "proxy.local", "1.2.3.4.5", ""])
def test_what_is_no_network_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        TrustedProxies([network])


names = st.sampled_from(
    ["Cookie", "Origin", "Host", "X-Forwarded-For", "X-Forwarded-Proto", "Sec-WebSocket-Protocol"]
)
values = st.binary(max_size=80).map(lambda raw: raw.decode("latin-1")) | st.text(max_size=40)


peers = st.ip_addresses().map(str) | st.sampled_from(["unix", "fe80::1%eth0", "::ffff:1.2.3.4"])


@given(target=values, headers=st.lists(st.tuples(names, values), max_size=8), peer=peers)
def test_no_bytes_of_a_client_raise(target: str, headers: list[tuple[str, str]], peer: str) -> None:
    handshake = Handshake(target=target, headers=headers, peer=Address(peer))
    TrustedProxies(["10.0.0.0/8", "::/0", "0.0.0.0/0", "unix"]).apply(handshake)
    assert isinstance(handshake.query, dict)
    assert all(isinstance(value, str) for value in handshake.cookies.values())
    assert all(offer == offer.strip() for offer in handshake.subprotocols)
    assert handshake.same_origin in (True, False)
    assert handshake.scheme in ("http", "https")
    assert "\n" not in repr(handshake)


@given(st.lists(st.tuples(names, values), max_size=8))
def test_a_foreign_page_never_counts_as_ours(headers: list[tuple[str, str]]) -> None:
    others = [pair for pair in headers if pair[0] not in ("Origin", "Host")]
    page = [("Origin", "http://evil.example"), ("Host", "victim.example")]
    assert not Handshake(target="/", headers=[*others, *page]).same_origin
