"""What an endpoint offers: its transports, and what it says outside of sessions."""

from __future__ import annotations

from typing import Any

import pytest

from unisock import Spark

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "option"),
    [
        ("000/x/xhr", "xhr-polling"),
        ("000/x/xhr_streaming", "xhr-streaming"),
        ("000/x/eventsource", "eventsource"),
        ("000/x/websocket", "websocket"),
        ("websocket", "websocket-raw"),
    ],
)
async def test_a_transport_can_be_left_out(
    make_server: Any, serve: Any, path: str, option: str
) -> None:
    server, _ = make_server()
    others = {"websocket", "websocket-raw", "xhr-polling", "xhr-streaming", "eventsource"}
    running = await serve(server, transports=sorted(others - {option}))
    for method in ("GET", "POST"):
        assert (await running.request(f"/ws/{path}", method=method)).status == 404
    info = (await running.request("/ws/info")).json
    assert info["websocket"] is (option != "websocket")


async def test_what_is_unsafe_is_off_by_default(make_server: Any, serve: Any) -> None:
    server, _ = make_server()
    running = await serve(server)
    for path in ("000/x/jsonp?c=f", "000/x/htmlfile?c=f", "iframe.html", "chunking_test"):
        assert (await running.request(f"/ws/{path}")).status == 404
    assert (await running.request("/ws/000/x/jsonp_send", method="POST")).status == 404


async def test_the_pages_of_an_endpoint(make_server: Any, serve: Any) -> None:
    server, _ = make_server()
    server.asset("/page", "<p>hello")
    running = await serve(server, iframe=True, jsessionid=True, sockjs_url="/sockjs.js?a=1&b=2")
    for path in ("/ws", "/ws/"):
        greeting = await running.request(path)
        assert (greeting.status, greeting.text) == (200, "Welcome to SockJS!\n")
    info = await running.request("/ws/info")
    assert info.headers["cache-control"].startswith("no-store")
    assert info.json["websocket"] is info.json["cookie_needed"] is True
    iframe = await running.request("/ws/iframe-1.6.1.html")
    assert '<script src="/sockjs.js?a=1&b=2"></script>' in iframe.text
    assert iframe.headers["content-security-policy"] == "frame-ancestors 'self'"
    assert (await running.request("/page")).text == "<p>hello"
    assert (await running.request("/other")).status == 404
    assert (await running.request("/ws/other")).status == 404
    assert (await running.request("/ws/websocket")).status == 400


async def test_the_cookie_for_sticky_sessions(make_server: Any, serve: Any, session: Any) -> None:
    server, _ = make_server()
    running = await serve(server, jsessionid=True)
    client = session(running, "xhr-polling", Cookie="JSESSIONID=node-7")
    received = await client.open()
    assert received.response.headers["set-cookie"] == "JSESSIONID=node-7; Path=/"
    client = session(running, "xhr-polling", Cookie='JSESSIONID="a;b"')
    received = await client.open()
    assert received.response.headers["set-cookie"] == "JSESSIONID=dummy; Path=/"


async def test_each_endpoint_has_sessions_of_its_own(
    make_server: Any, serve: Any, session: Any
) -> None:
    server, _ = make_server()
    shout = server.endpoint("/shout.it/loud", codec="raw")

    def answer(spark: Spark, message: str) -> None:
        spark.send_nowait(message.upper())

    shout.on_message(answer)
    running = await serve(server)
    quiet, loud = session(running), session(running)
    loud.base = quiet.base.replace("/ws/", "/shout.it/loud/")
    for client, answer_expected in ((quiet, "hello"), (loud, "HELLO")):
        received = await client.open()
        await client.send("hello")
        assert await client.receive(received, 1) == [answer_expected]
    assert (await running.request("/shoutxit/loud/info")).status == 404
