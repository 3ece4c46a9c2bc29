"""The greeting, the info, the iframe; other methods and other paths; CORS and cookies."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

HERE = "https://app.example"
SESSION = "/ws/000/abc"


async def test_greeting(sockjs: Any) -> None:
    async with sockjs() as (running, _):
        for path in ("/ws", "/ws/"):
            answer = await running.request(path)
            assert (answer.status, answer.text) == (200, "Welcome to SockJS!\n")
            assert answer.headers["content-type"] == "text/plain; charset=UTF-8"


@pytest.mark.parametrize(
    "path",
    ["/a", "/a.html", "//", "///", "/a/a", "/a/a/", "//xhr", "/a./a/xhr", "/a/a./xhr", "/./a/xhr"],
)
async def test_nothing_is_there(sockjs: Any, path: str) -> None:
    async with sockjs() as (running, _):
        for method in ("GET", "POST"):
            assert (await running.request(f"/ws{path}", method=method)).status == 404
        assert (await running.request(f"/ws/a/{'x' * 129}/xhr", method="POST")).status == 404


async def test_info(sockjs: Any) -> None:
    async with sockjs(options={"base_url": "https://a.example/ws"}) as (running, _):
        one, two = [(await running.request("/ws/info")) for _ in range(2)]
        told = one.json
        assert 0 <= told.pop("entropy") < 2**32
        assert one.json["entropy"] != two.json["entropy"]
        assert told == {
            "websocket": True,
            "transports": [
                *("websocket", "websocket-raw", "xhr-streaming", "xhr-polling", "eventsource")
            ],
            "origins": ["*:*"],
            "cookie_needed": False,
            "base_url": "https://a.example/ws",
        }
        assert one.headers["content-type"] == "application/json; charset=UTF-8"
        assert "no-store" in one.headers["cache-control"]
        assert "set-cookie" not in one.headers


async def test_only_pages_that_may_connect_get_cors_headers(sockjs: Any) -> None:
    async with sockjs(origins=[HERE]) as (running, _):
        for target, method in (("/ws/info", "GET"), ("/ws/info", "OPTIONS")):
            answer = await running.request(target, method=method, headers=[("Origin", HERE)])
            assert answer.headers["access-control-allow-origin"] == HERE
            assert answer.headers["access-control-allow-credentials"] == "true"
            evil = [("Origin", "https://evil.example")]
            answer = await running.request(target, method=method, headers=evil)
            assert "access-control-allow-origin" not in answer.headers
            assert answer.headers["vary"] == "Origin"
            answer = await running.request(target, method=method)
            assert "access-control-allow-origin" not in answer.headers


async def test_all_pages_may_be_let_in(sockjs: Any) -> None:
    async with sockjs(origins=["*"]) as (running, _):
        for origin in ("null", "test", HERE):
            answer = await running.request("/ws/info", headers=[("Origin", origin)])
            assert answer.headers["access-control-allow-origin"] == origin
            assert answer.headers["access-control-allow-credentials"] == "true"
        answer = await running.request("/ws/info")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


async def test_cors_may_be_disabled(sockjs: Any) -> None:
    options = {"disable_cors": True, "iframe": True}
    async with sockjs(origins=[HERE], options=options) as (running, _):
        answer = await running.request("/ws/info", headers=[("Origin", HERE)])
        assert "access-control-allow-origin" not in answer.headers
        assert "origins" not in answer.json
        assert (await running.request("/ws/iframe.html")).status == 404


@pytest.mark.parametrize("path", ["xhr", "xhr_send", "xhr_streaming"])
async def test_preflight(sockjs: Any, path: str) -> None:
    async with sockjs(origins=[HERE]) as (running, _):
        asked = [("Origin", HERE), ("Access-Control-Request-Headers", "a, b")]
        answer = await running.request(f"{SESSION}/{path}", method="OPTIONS", headers=asked)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["access-control-allow-methods"] == "OPTIONS, POST"
        assert answer.headers["access-control-allow-headers"] == "a, b"
        assert int(answer.headers["access-control-max-age"]) > 1_000_000
        assert "public" in answer.headers["cache-control"]
        assert "expires" in answer.headers


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        ("", "POST", "GET"),
        ("/info", "POST", "OPTIONS, GET"),
        ("/a/b/xhr", "GET", "OPTIONS, POST"),
        ("/a/b/xhr_send", "GET", "OPTIONS, POST"),
        ("/a/b/eventsource", "POST", "GET"),
        ("/a/b/jsonp", "POST", "GET"),
        ("/a/b/jsonp_send", "GET", "POST"),
        ("/iframe.html", "POST", "GET"),
    ],
)
async def test_another_method(sockjs: Any, path: str, method: str, allow: str) -> None:
    async with sockjs(options={"jsonp": True, "iframe": True}) as (running, _):
        answer = await running.request(f"/ws{path}", method=method)
        assert (answer.status, answer.headers["allow"], answer.body) == (405, allow, b"")
        assert "content-type" not in answer.headers


async def test_iframe(sockjs: Any) -> None:
    options = {"iframe": True, "sockjs_url": "/sockjs.js"}
    async with sockjs(options=options, origins=[HERE]) as (running, _):
        for name in ("iframe.html", "iframe-1.6.2.html", "iframe-a_b.html?t=1"):
            answer = await running.request(f"/ws/{name}")
            assert answer.status == 200
            assert '<script src="/sockjs.js"></script>' in answer.text
            assert answer.headers["content-type"] == "text/html; charset=UTF-8"
        assert answer.headers["content-security-policy"] == f"frame-ancestors 'self' {HERE}"
        known = [("If-None-Match", answer.headers["etag"])]
        again = await running.request("/ws/iframe.html", headers=known)
        assert (again.status, again.body) == (304, b"")
        assert "content-type" not in again.headers
        for name in ("iframe", "iframe.htm", "IFRAME.HTML", "iframe-/.html"):
            assert (await running.request(f"/ws/{name}")).status == 404


async def test_what_is_off_until_asked_for(sockjs: Any) -> None:
    async with sockjs() as (running, _):
        for path in ("/iframe.html", "/a/b/jsonp?c=x", "/a/b/htmlfile?c=x"):
            assert (await running.request(f"/ws{path}")).status == 404
        assert (await running.request("/ws/a/b/jsonp_send", method="POST")).status == 404
    async with sockjs(options={"transports": ["jsonp-polling"]}) as (running, _):
        assert (await running.request("/ws/a/b/jsonp?c=x")).status == 200
        for path in ("xhr", "xhr_send", "xhr_streaming"):
            assert (await running.request(f"/ws/a/b/{path}", method="POST")).status == 404


async def test_jsessionid(sockjs: Any, client: Any) -> None:
    async with sockjs(options={"jsessionid": True, "session_cookie": False}) as (running, _):
        assert (await running.request("/ws/info")).json["cookie_needed"] is True
        for given, back in (("abc", "abc"), ("", "dummy"), ("a b\x07", "dummy")):
            session = client(running, "xhr-polling", Cookie=f"JSESSIONID={given}")
            received = await session.ask()
            assert received.download.headers["set-cookie"] == f"JSESSIONID={back}; path=/"
            answer = await session.send()
            assert answer.headers["set-cookie"] == f"JSESSIONID={back}; path=/"


@pytest.mark.parametrize("path", ["jsonp", "htmlfile"])
async def test_callbacks_are_names(sockjs: Any, path: str) -> None:
    async with sockjs(options={"jsonp": True, "htmlfile": True}) as (running, watch):
        for query, told in (
            ("", '"callback" parameter required'),
            ("?c=", '"callback" parameter required'),
            ("?c=%20", 'invalid "callback" parameter'),
            ("?c=a(", 'invalid "callback" parameter'),
            ("?c=a%0Ab", 'invalid "callback" parameter'),
            (f"?c={'a' * 33}", 'invalid "callback" parameter'),
        ):
            answer = await running.request(f"/ws/a/b/{path}{query}")
            assert (answer.status, answer.text) == (500, told)
        assert watch.opened == []
