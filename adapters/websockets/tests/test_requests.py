"""Requests and their answers, without input and output."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from unisock.exchange import Response
from unisock.testing.websocket import frame
from unisock_websockets.connection import WebSocketConnection
from unisock_websockets.opening import EARLY_BYTES, HEAD_BYTES
from unisock_websockets.options import Options


def parse(data: bytes) -> tuple[int, dict[str, str], bytes]:
    """A response; checks that its length is what it says."""
    head, separator, body = data.partition(b"\r\n\r\n")
    assert separator
    line, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = line.split(" ", 2)
    assert version == "HTTP/1.1"
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    assert len(headers) == len(lines)
    return int(status), headers, body


def ask(rig: Any, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """The answer to bytes that get a whole response, and nothing else."""
    rig.feed(data)
    status, headers, body = parse(rig.take())
    assert rig.link.end == "finish"
    assert "close" in headers["connection"]
    rig.feed(b"what comes later is thrown away")
    assert rig.take() == b""
    return status, headers, body


def test_a_websocket_is_accepted(make_rig: Any) -> None:
    rig = make_rig()
    rig.feed(rig.request())
    status, headers, body = parse(rig.take())
    assert status == 101
    assert headers["upgrade"] == "websocket"
    assert headers["connection"] == "Upgrade"
    assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert "sec-websocket-protocol" not in headers
    assert "sec-websocket-extensions" not in headers
    assert body == b""
    assert rig.link.end == ""


def test_a_request_in_single_bytes(make_rig: Any) -> None:
    rig = make_rig()
    for byte in rig.request():
        assert rig.take() == b""
        rig.feed(bytes([byte]))
    assert rig.take().startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ((b"GET /ws HTTP/1.1", b"GET /ws HTTP/1.0"), 505, ""),
        ((b"GET /ws HTTP/1.1", b"GET /ws HTTP/2.0"), 400, "unsupported protocol"),
        ((b"GET /ws HTTP/1.1", b"GET /ws"), 400, "no HTTP request"),
        ((b"GET /ws HTTP/1.1", b"GET /\xc3\xa9 HTTP/1.1"), 400, "no HTTP request"),
        ((b"Host: localhost\r\n", b""), 400, "Host"),
        ((b"Host: localhost\r\n", b"Host: localhost\r\n" * 2), 400, "Host"),
        ((b"Host: localhost", b"Host localhost"), 400, "invalid HTTP header line"),
        ((b"Host: localhost", b"Host: local\0host"), 400, "invalid HTTP header value"),
        ((b"Host: localhost", b"Ho st: localhost"), 400, "invalid HTTP header name"),
        ((b"Host: localhost", b"Host: localhost\r\n folded: x"), 400, "invalid HTTP header"),
        ((b"Connection: Upgrade", b"Connection: keep-alive"), 426, "Connection"),
        ((b"Upgrade: websocket", b"Upgrade: websocket, h2c"), 426, "Upgrade"),
        ((b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8"), 400, "Version"),
        ((b"Sec-WebSocket-Version: 13\r\n", b""), 400, "Version"),
        ((b"dGhlIHNhbXBsZSBub25jZQ==", b"short"), 400, "Key"),
        ((b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), 400, "Key"),
        ((b"Upgrade: websocket", b"Upgrade: websocket\r\nContent-Length: 5"), 400, "body"),
        ((b"Upgrade: websocket", b"Upgrade: websocket\r\nTransfer-Encoding: chunked"), 400, ""),
        ((b"Upgrade: websocket", b"X: " + b"x" * 8200), 431, "headers"),
        ((b"GET /ws", b"GET /ws" + b"x" * 8200), 414, "request line"),
        ((b"Upgrade: websocket", b"x:\r\n" * 130 + b"x:"), 431, "headers"),
    ],
)
def test_a_malformed_handshake(
    make_rig: Any, change: tuple[bytes, bytes], status: int, words: str
) -> None:
    rig = make_rig()
    request = rig.request().replace(*change)
    assert request != rig.request()
    got, headers, body = ask(rig, request)
    assert got == status
    assert words in body.decode()
    assert headers["content-length"] == str(len(body))
    if "Version" in words:
        assert headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize(
    ("path", "status"), [("/ws", 426), ("/", 404), ("/page", 200), ("/page?x=1", 200)]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_plain_request(make_rig: Any, path: str, status: int, method: str, version: str) -> None:
    rig = make_rig()
    rig.server.asset("/page", "<title>é</title>")
    rig.restart()
    got, headers, body = ask(rig, f"{method} {path} {version}\r\nHost: localhost\r\n\r\n".encode())
    assert got == status
    assert int(headers["content-length"]) > 0
    assert len(body) == (0 if method == "HEAD" else int(headers["content-length"]))
    if status == 426:
        assert headers["upgrade"] == "websocket"
        assert "Upgrade" in headers["connection"]


def test_an_asset_that_is_known_has_no_body(make_rig: Any) -> None:
    rig = make_rig()
    rig.server.asset("/page", "hello")
    rig.restart()
    _, headers, _ = ask(rig, b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
    rig.restart()
    head = f"GET /page HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {headers['etag']}\r\n\r\n"
    status, headers, body = ask(rig, head.encode())
    assert (status, body) == (304, b"")
    assert "content-length" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "BREW"])
@pytest.mark.parametrize("body", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_another_method(make_rig: Any, method: str, body: bytes) -> None:
    rig = make_rig()
    line = f"{method} /ws HTTP/1.1\r\nHost: localhost\r\n".encode()
    status, headers, _ = ask(rig, line + body + b"\r\nhello")
    assert status == 405
    assert headers["allow"] == "GET, HEAD"


def test_a_head_may_be_this_long_and_no_longer(make_rig: Any) -> None:
    def request(size: int) -> bytes:
        start = rig.request()[:-2]
        rest = size - len(start) - 2
        while rest > 4000:
            start += b"x:" + b"y" * 3996 + b"\r\n"
            rest -= 4000
        return start + b"x:" + b"y" * (rest - 4) + b"\r\n\r\n"

    rig = make_rig()
    assert len(request(HEAD_BYTES)) == HEAD_BYTES
    rig.feed(request(HEAD_BYTES))
    assert rig.take().startswith(b"HTTP/1.1 101 ")
    rig = make_rig()
    assert ask(rig, request(HEAD_BYTES + 1))[0] == 431


def test_a_head_without_an_end(make_rig: Any) -> None:
    rig = make_rig()
    for _ in range(HEAD_BYTES // 1000):
        rig.feed(b"G" * 1000)
        assert rig.take() == b""
    assert ask(rig, b"G" * 1000)[0] == 431


def test_tls_on_a_port_without_it_is_told_at_once(make_rig: Any) -> None:
    assert ask(make_rig(), b"\x16\x03\x01\x02\x00\x01")[0] == 400


async def refuse(request: object) -> Response:
    return Response(402, b"not today", [("X-Why", "because")])


def test_a_refusal_is_passed_on(make_rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make_rig()
    monkeypatch.setattr(rig.gateway, "answer", refuse)
    status, headers, body = ask(rig, rig.request())
    assert status == 402
    assert headers["x-why"] == "because"
    assert body == b"not today"


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "\0", "ł"])
def test_a_header_that_http_cannot_carry_is_an_error_of_ours(
    make_rig: Any,
    value: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = make_rig()

    async def misspell(request: object) -> Response:
        return Response(200, headers=[("X-Why", value)])

    monkeypatch.setattr(rig.gateway, "answer", misspell)
    with caplog.at_level(logging.ERROR, "unisock"):
        status, headers, _ = ask(rig, rig.request())
    assert status == 500
    assert "set-cookie" not in headers
    assert len(caplog.records) == 1


def test_the_subprotocol_is_told(make_rig: Any) -> None:
    rig = make_rig(endpoint={"subprotocols": ["chat"]})
    rig.feed(rig.request("Sec-WebSocket-Protocol: other, chat"))
    status, headers, _ = parse(rig.take())
    assert status == 101
    assert headers["sec-websocket-protocol"] == "chat"


@pytest.mark.parametrize("slow", [True, False])
def test_a_server_that_drains_refuses(make_rig: Any, slow: bool) -> None:
    rig = make_rig()
    request = rig.request()
    if slow:
        rig.feed(request[:20])
        request = request[20:]
    rig.gateway.draining = True
    status, headers, _ = ask(rig, request)
    assert status == 503
    assert headers["retry-after"] == "5"


# Time, and those who waste it.


def test_who_takes_too_long_is_told(make_rig: Any) -> None:
    rig = make_rig()
    rig.feed(b"GET / HTTP/1.1\r\n")
    rig.pass_time(10.1)
    status, _, body = parse(rig.take())
    assert status == 408
    assert b"handshake_seconds = 10" in body
    assert rig.link.end == "finish"


def test_who_says_nothing_is_cut_off(make_rig: Any) -> None:
    rig = make_rig()
    rig.pass_time(10.1)
    assert rig.take() == b""
    assert rig.link.end == "abort"


def test_who_does_not_read_the_answer_is_cut_off(make_rig: Any) -> None:
    rig = make_rig()
    assert ask(rig, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 404
    rig.pass_time(5.1)
    assert rig.link.ends == ["finish", "abort"]


def test_a_client_that_is_in_has_all_the_time(make_rig: Any) -> None:
    rig = make_rig()
    rig.open()
    rig.pass_time(3600)
    rig.feed(frame(1, b"hello"))
    assert rig.seen == ["hello"]


def test_of_too_many_the_oldest_gives_way(make_rig: Any) -> None:
    rig = make_rig(options=Options(handshakes=3))
    links = [rig.link, *(rig.another() for _ in range(2))]
    for link in links:
        link.sink.received(b"GET")
    assert [link.end for link in links] == ["", "", ""]
    links[1].sink.received(rig.request()[3:])  # this one is in now, and counts no more
    links += [rig.another()]
    assert [link.end for link in links] == [""] * 4
    links += [rig.another()]
    assert [link.end for link in links] == ["abort", "", "", "", ""]
    links[2].sink.lost()
    links += [rig.another()]
    assert [link.end for link in links] == ["abort", "", "", "", "", ""]


# While the application decides.


def test_a_client_that_goes_while_it_is_asked_about(make_rig: Any) -> None:
    rig = make_rig(wait=True)
    rig.feed(rig.request())
    rig.link.sink.lost()
    rig.go_on()
    assert rig.take() == b""
    assert not isinstance(rig.link.sink, WebSocketConnection)
    assert len(rig.server.hub) == 0


def test_a_client_that_has_sent_all_it_will_still_gets_its_answer(make_rig: Any) -> None:
    rig = make_rig(wait=True)
    rig.feed(b"GET / HTTP/1.0\r\n\r\n")
    assert rig.link.sink.input_ended()
    rig.go_on()
    assert parse(rig.take())[0] == 404
    assert rig.link.end == "close"


def test_who_talks_before_being_let_in_is_not_listened_to_for_long(make_rig: Any) -> None:
    rig = make_rig(wait=True)
    message = frame(2, b"x" * 1000)
    count = EARLY_BYTES // len(message) + 1
    rig.feed(rig.request())
    for number in range(count):
        assert rig.link.reading, number
        rig.feed(message)
    assert not rig.link.reading
    rig.go_on()
    assert rig.link.reading
    assert len(rig.seen) == count


def test_a_fault_of_the_gateway_costs_one_client(
    make_rig: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig()

    async def fail(request: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(rig.gateway, "answer", fail)
    with caplog.at_level(logging.ERROR, "unisock"):
        assert ask(rig, rig.request())[0] == 500
    assert "boom" in caplog.text
