"""What a client must not be able to do: with odd input, too much of it, or another's session."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock import Handshake, Origin, ProtocolError
from unisock.testing.websocket import frame
from unisock_sockjs_tornado.packets import decode, disconnect

pytestmark = pytest.mark.anyio


BAD = [
    (b"", "Payload expected."),
    (b"null", "Payload expected."),
    (b"42", "Payload expected."),
    (b"{}", "Payload expected."),
    (b'"text"', "Payload expected."),
    (b"[1]", "Payload expected."),
    (b"[null]", "Payload expected."),
    (b'[["nested"]]', "Payload expected."),
    (b'[{"__proto__":1}]', "Payload expected."),
    (b'["a"', "Broken JSON encoding."),
    (b'["a"] x', "Broken JSON encoding."),
    (b'["\xff"]', "Broken JSON encoding."),
    (b'["\\ud800"]', "Broken JSON encoding."),
    (b"[" * 10_000, "Payload expected."),
    (b"NaN", "Broken JSON encoding."),
]


@pytest.mark.parametrize(("body", "answer"), BAD)
@pytest.mark.parametrize("transport", ["xhr-streaming", "jsonp-polling"])
async def test_a_bad_post_is_answered_and_costs_nothing(
    make_server: Any,
    serve: Any,
    session: Any,
    caplog: pytest.LogCaptureFixture,
    transport: str,
    body: bytes,
    answer: str,
) -> None:
    server, watch = make_server()
    client = session(await serve(server, jsonp=True), transport)
    received = await client.open()
    refused = await client.post(body, **{"Content-Type": "text/plain"})
    assert (refused.status_code, refused.text) == (500, answer)
    await client.send("well")
    assert await client.receive(received, 1) == ["well"]
    assert watch.closed == []
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize("body", ["", "x=1", "d", "d=", "d=%5B1%5D", "d=%ff", "D=[]"])
async def test_a_bad_form_is_answered(
    make_server: Any, serve: Any, session: Any, body: str
) -> None:
    server, _ = make_server()
    client = session(await serve(server, jsonp=True), "jsonp-polling")
    await client.open()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await client.post(body, **form)).status_code == 500
    assert (await client.post("d=%5B%22a%2Bb+c%22%5D", **form)).text == "ok"
    assert await client.receive(await client.ask(), 1) == ["a+b c"]


@given(st.binary() | st.text().map(lambda text: json.dumps([text]).encode()))
def test_decoding_gives_strings_or_the_protocols_error(data: bytes) -> None:
    for single in (False, True):
        messages: list[str] = []
        with contextlib.suppress(ProtocolError):
            messages = decode(data, single=single)
        assert all(type(message) is str for message in messages)


@given(st.integers(1000, 4999), st.text())
def test_a_close_packet_is_json(code: int, reason: str) -> None:
    packet = disconnect(code, reason)
    assert packet[:1] == "c"
    assert json.loads(packet[1:]) == [code, reason]


@pytest.mark.parametrize(
    "data", ["null", "42", "{}", "[1]", '[["a"]]', '["a"', "[" * 10_000, '["\\ud800"]']
)
async def test_a_bad_frame_closes_the_connection(make_server: Any, serve: Any, data: str) -> None:
    server, watch = make_server()
    peer = await (await serve(server)).connect()
    await peer.send_raw(frame(1, data.encode()))
    close = await peer.wait_closed()
    assert close.code == 1007
    assert (await watch.end()).code == 1007


async def test_a_single_string_and_an_empty_frame_are_fine(make_server: Any, serve: Any) -> None:
    server, _ = make_server()
    peer = await (await serve(server)).connect()
    for data in (b"", b"[]", b'"one"', b'["two","three"]'):
        await peer.send_raw(frame(1, data))
    assert [await peer.receive() for _ in range(3)] == ["one", "two", "three"]


@pytest.mark.parametrize("payload", [b"\x03\xe7", b"\x03\xed", b"\x03\xe8\xff\xfe", b"\x13\x88"])
async def test_an_invalid_close_frame_is_a_loss(
    make_server: Any, serve: Any, caplog: pytest.LogCaptureFixture, payload: bytes
) -> None:
    server, watch = make_server()
    peer = await (await serve(server)).connect()
    await peer.send_raw(frame(8, payload))
    assert (await watch.end()).origin is Origin.LOST
    assert (await peer.wait_closed()).code in (1002, 1006)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_binary_on_a_raw_websocket_is_1003(make_server: Any, serve: Any) -> None:
    server, watch = make_server()
    peer = await (await serve(server)).connect("/ws/websocket", kind="websocket")
    await peer.send(b"bytes")
    assert (await peer.wait_closed()).code == 1003
    assert (await watch.end()).code == 1003


@pytest.mark.parametrize("transport", ["xhr-polling", "xhr-streaming"])
async def test_who_knows_the_id_does_not_own_the_session(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server(trusted_proxies=["127.0.0.1"])
    client = session(await serve(server), transport, **{"X-Forwarded-For": "192.0.2.1"})
    await client.open()
    assert (await watch.spark()).handshake.peer.host == "192.0.2.1"
    client.client.headers["X-Forwarded-For"] = "192.0.2.2"
    assert (await client.send("forged")).status_code == 404
    assert (await client.ask()).status == 403
    client.client.headers["X-Forwarded-For"] = "192.0.2.1"
    assert (await client.send("real")).status_code == 204


async def test_roaming_clients_can_be_let_in(make_server: Any, serve: Any, session: Any) -> None:
    server, _ = make_server(trusted_proxies=["127.0.0.1"])
    running = await serve(server, verify_ip=False)
    client = session(running, **{"X-Forwarded-For": "192.0.2.1"})
    received = await client.open()
    client.client.headers["X-Forwarded-For"] = "192.0.2.2"
    assert (await client.send("hello")).status_code == 204
    assert await client.receive(received, 1) == ["hello"]


@pytest.mark.parametrize("kind", ["jsonp", "htmlfile"])
@pytest.mark.parametrize(
    "callback", ["", "alert(1)", "a<b", "a%0d%0ab", "%C3%A9", "x" * 33, "a;b", "a%22b"]
)
async def test_a_callback_is_a_name(make_server: Any, serve: Any, kind: str, callback: str) -> None:
    server, watch = make_server()
    running = await serve(server, jsonp=True, htmlfile=True)
    answer = await running.request(f"/ws/000/x/{kind}?c={callback}")
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/json"
    assert watch.opened == []


async def test_a_callback_in_the_body_does_not_count(make_server: Any, serve: Any) -> None:
    server, _ = make_server()
    running = await serve(server, jsonp=True)
    answer = await running.place.request(
        "/ws/000/x/jsonp?c=good",
        headers=[("Content-Type", "application/x-www-form-urlencoded")],
        body=b"c=alert(1)",
    )
    assert answer.text == '/**/good("o");\r\n'
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("transport", ["jsonp-polling", "htmlfile"])
async def test_a_message_cannot_break_out_of_a_script(
    make_server: Any, serve: Any, session: Any, transport: str
) -> None:
    server, watch = make_server()
    client = session(await serve(server, jsonp=True, htmlfile=True), transport)
    received = await client.open()
    (await watch.spark()).send_nowait("</script><script>alert(1)//\u2028")
    if transport == "jsonp-polling":
        received = await client.ask()
    line = await anext(line async for line in received._lines if "alert" in line)
    assert "<" not in line
    assert "\u2028" not in line


@pytest.mark.parametrize("kind", ["jsonp?c=f", "htmlfile?c=f", "iframe.html"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Referer": "https://evil.example/page"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Referer": "https://evil.example/"},
        {"Cookie": "login=1"},
    ],
    ids=["referer", "sec-fetch", "sibling", "cookie"],
)
async def test_a_foreign_script_tag_is_refused(
    make_server: Any, serve: Any, kind: str, headers: dict[str, str]
) -> None:
    server, watch = make_server()
    running = await serve(server, jsonp=True, htmlfile=True, iframe=True)
    path = f"/ws/{kind}" if kind == "iframe.html" else f"/ws/000/x/{kind}"
    assert (await running.request(path, headers=[*headers.items()])).status == 403
    assert watch.opened == []


@pytest.mark.parametrize("kind", ["jsonp?c=f", "iframe.html"])
async def test_an_own_script_tag_is_not(make_server: Any, serve: Any, kind: str) -> None:
    server, _ = make_server()
    running = await serve(server, jsonp=True, iframe=True)
    path = f"/ws/{kind}" if kind == "iframe.html" else f"/ws/000/{{}}/{kind}"
    here = f"{running.http_url}/page"
    for number, headers in enumerate(
        [
            [("Referer", here)],
            [("Sec-Fetch-Site", "same-origin"), ("Cookie", "a=b")],
            [("Sec-Fetch-Site", "none")],
            [],
        ]
    ):
        assert (await running.request(path.format(number), headers=headers)).status == 200


@pytest.mark.parametrize("path", ["x" * 129 + "/xhr", "%ff/xhr", "x" * 129 + "/xhr_send"])
async def test_odd_session_ids(make_server: Any, serve: Any, path: str) -> None:
    server, watch = make_server()
    running = await serve(server)
    answer = await running.request(f"/ws/000/{path}", method="POST")
    assert answer.status in (400, 404)
    assert "Traceback" not in answer.text
    assert watch.opened == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "BREW"])
@pytest.mark.parametrize("path", ["", "/info", "/000/x/xhr", "/000/x/websocket", "/000/x/xhr_send"])
async def test_odd_methods(make_server: Any, serve: Any, method: str, path: str) -> None:
    server, watch = make_server()
    answer = await (await serve(server)).request(f"/ws{path}", method=method)
    assert answer.status == 405
    assert watch.opened == []


@pytest.mark.parametrize(
    "start", ["", "GET /ws/info HTTP/1.1\r\nHost: x\r\n", "POST /ws/000/x/xhr_send HTTP/1.1\r\n"]
)
async def test_a_slow_request_is_cut_off(make_server: Any, serve: Any, start: str) -> None:
    server, _ = make_server(limits={"handshake_seconds": 0.2})
    running = await serve(server)
    async with await running.place.dial() as stream:
        if start:
            await stream.send(start.encode())
        if start.startswith("POST"):
            await stream.send(b"Host: x\r\nContent-Length: 10\r\n\r\n[")
        with (
            anyio.fail_after(30),
            contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError),
        ):
            while True:
                await stream.receive()


@pytest.mark.parametrize("request_line", ["POST xhr", "POST xhr_streaming", "GET eventsource"])
async def test_a_client_that_goes_during_authorize_leaves_nothing(
    make_server: Any, serve: Any, request_line: str
) -> None:
    server, watch = make_server()
    asked, answer, answered = anyio.Event(), anyio.Event(), anyio.Event()

    async def ask(handshake: Handshake) -> None:
        asked.set()
        await answer.wait()
        answered.set()

    server.authorize(ask)
    running = await serve(server)
    method, path = request_line.split()
    async with await running.place.dial() as stream:
        head = f"{method} /ws/000/x/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        await stream.send(head.encode())
        await asked.wait()
    await running.request("/ws/info")  # the server has seen what came before
    answer.set()
    await answered.wait()
    await anyio.wait_all_tasks_blocked()
    assert watch.opened == []
    assert running.gateway.connections == []


@pytest.mark.parametrize("path", ["xhr", "xhr_streaming"])
async def test_a_client_that_hangs_up_behind_its_request_leaves_nothing(
    make_server: Any, serve: Any, path: str
) -> None:
    """At whatever turn of the loop the server hears of it: at one of them, tornado tells nobody."""
    server, watch = make_server()
    running = await serve(server, disconnect_delay=60.0)
    for turns in range(8):
        target = f"/ws/000/session{turns}/"
        await running.request(f"{target}xhr", method="POST")
        with socket.create_connection(running.addresses[0]) as client:
            client.sendall(b"GET /ws/info HTTP/1.1\r\nHost: x\r\n\r\n")
            await running.request("/ws/info")  # by now, the connection is accepted
            client.sendall(f"POST {target}{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            client.recv(4096)  # or closing would be a reset
        close = await watch.end(turns)
        if path == "xhr":  # what is streamed to one who has hung up is answered by a reset
            assert (close.code, close.origin) == (1005, Origin.PEER)
    assert running.gateway.connections == []


async def test_a_reset_is_a_loss(make_server: Any, serve: Any, session: Any) -> None:
    server, watch = make_server()
    running = await serve(server)
    stream = await running.place.dial()
    await stream.send(
        b"POST /ws/000/x/xhr_streaming HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    )
    await watch.spark()
    raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    await anyio.aclose_forcefully(stream)
    close = await watch.end()
    assert (close.code, close.origin) == (1006, Origin.LOST)


async def test_the_clock_on_the_wall_does_not_matter(
    make_server: Any, serve: Any, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    server, watch = make_server()
    running = await serve(server, disconnect_delay=1.0)
    client = session(running, "xhr-polling")
    await client.open()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    monkeypatch.setattr("sockjs.tornado.sessioncontainer.time", lambda: real() + 3600)
    client.base, here = client.base + "x", client.base
    await client.open()  # a request that makes the library look at its clock
    client.base = here
    assert (await client.send("still here")).status_code == 204
    assert await client.receive(await client.ask(), 1) == ["still here"]
    assert watch.closed == []
