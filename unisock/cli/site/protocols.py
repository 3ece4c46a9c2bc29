"""The checks of each protocol. None of them sends a message to the application; sessions are opened
and closed.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import AsyncGenerator
from typing import Any, cast
from urllib.parse import unquote

import anyio

from .findings import Answer, Finding
from .probe import Probe
from .target import Target
from .visitor import Failure, Visitor

__all__ = ["PROBES", "detect"]

FRESH = 4
"""Requests of a session that each go over a connection of their own. With two processes behind a
proxy that turns from one to the other, not all of them meet the same."""
_STICKY = ("ip_hash;",)
_SECURE = ("proxy_set_header X-Forwarded-Proto $scheme;",)


class WebSocketProbe(Probe):
    """The protocol ``websocket``."""

    protocol = "websocket"

    async def findings(self) -> AsyncGenerator[Finding]:
        yield await self.websocket(self.target.resource())

    async def idle(self, seconds: float, works: frozenset[str]) -> float | None:
        if "websocket" not in works:
            raise Failure("there is no WebSocket to hold")
        return await self.hold_socket(self.target.resource(), seconds)


class SockjsProbe(Probe):
    """The protocol ``sockjs``."""

    protocol = "sockjs"

    async def findings(self) -> AsyncGenerator[Finding]:
        began = time.perf_counter()
        answer = await self.visitor.ask("GET", self.target.resource("/info"))
        info = _object(answer)
        if "websocket" not in info:
            yield self.blame("info", answer)
            return
        yield self.ok("info", began)
        if info["websocket"]:
            yield await self.websocket(self._session("websocket"), "o")
        offered = info.get("transports", ("xhr-polling", "xhr-streaming", "eventsource"))
        if "xhr-polling" in offered:
            async for finding in self._poll():
                yield finding
        streams = (
            ("xhr-streaming", "POST", "xhr_streaming", b"\no\n"),
            ("eventsource", "GET", "eventsource", b"data: o"),
        )
        for name, method, last, wanted in streams:
            if name in offered:
                yield await self.streamed(name, method, self._session(last), wanted)

    async def _poll(self) -> AsyncGenerator[Finding]:
        began = time.perf_counter()
        receive, send = self._session("xhr", "xhr_send")
        answer = await self.visitor.ask("POST", receive)
        if answer.status != 200 or answer.body.strip() != b"o":
            yield self.blame("xhr-polling", answer)
            return
        self.note_pace(began)
        yield self.ok("xhr-polling", began)
        for finding in _cookie(answer, self.target):
            yield finding
        sent = [await self.visitor.ask("POST", send, b"[]", fresh=True) for _ in range(FRESH)]
        odd = next((each for each in sent if each.status >= 400), None)
        if odd is not None:
            yield _scattered() if odd.status == 404 else self.blame("sticky", odd)
            return
        yield Finding(check="sticky", state="ok", told="all requests reach one process")
        # An array without messages, written in many letters.
        most = b"[" + b" " * (self.post_bytes - 2) + b"]"
        yield self.body(await self.visitor.ask("POST", send, most))

    def _session(self, *last: str) -> Any:
        """Where a new session's requests go."""
        session = f"/{secrets.randbelow(1000):03}/{secrets.token_urlsafe(12)}"
        found = [self.target.resource(f"{session}/{each}") for each in last]
        return found if len(found) > 1 else found[0]

    async def idle(self, seconds: float, works: frozenset[str]) -> float | None:
        if "websocket" in works:
            return await self.hold_socket(self._session("websocket"), seconds)
        if "xhr-streaming" in works:
            return await self.hold_stream("POST", self._session("xhr_streaming"), seconds)
        raise Failure("there is neither a WebSocket nor a stream to hold")


class EngineioProbe(Probe):
    """The protocol ``engineio``, revision 4."""

    protocol = "engineio"

    async def findings(self) -> AsyncGenerator[Finding]:
        began = time.perf_counter()
        answer = await self.visitor.ask("GET", self._resource("polling"))
        opening = _opening(answer)
        if opening is None and _object(answer).get("code") != 0:
            yield self.blame("polling", answer)
            return
        upgrades: Any = ["websocket"]  # where nobody polls
        if opening is not None:
            self.note_pace(began)
            yield self.ok("polling", began)
            async for finding in self._post(opening):
                yield finding
            upgrades = opening.get("upgrades", ())
        if "websocket" in upgrades:
            yield await self.websocket(self._resource("websocket"), "0{")

    async def _post(self, opening: dict[str, Any]) -> AsyncGenerator[Finding]:
        # Answers to pings that nobody has sent.
        resource = self._resource("polling", sid=str(opening["sid"]))
        ask = self.visitor.ask
        sent = [await ask("POST", resource, b"3", fresh=True) for _ in range(FRESH)]
        odd = next((each for each in sent if each.status >= 400), None)
        if odd is not None:
            scattered = _object(odd).get("code") == 1
            yield _scattered() if scattered else self.blame("sticky", odd)
            return
        yield Finding(check="sticky", state="ok", told="all requests reach one process")
        size = opening.get("maxPayload")
        if isinstance(size, int) and 0 < size < self.post_bytes:
            self.post_bytes = size
        yield self.body(await ask("POST", resource, b"3" * self.post_bytes))
        await ask("POST", resource, b"1")

    def _resource(self, transport: str, **query: str) -> str:
        # As the JavaScript clients do; servers of Node's take no path without the slash.
        return self.target.resource("/", EIO="4", transport=transport, **query)

    async def idle(self, seconds: float, works: frozenset[str]) -> float | None:
        if "websocket" in works:
            return await self.hold_socket(self._resource("websocket"), seconds, _pong)
        began = time.perf_counter()
        opening = _opening(await self.visitor.ask("GET", self._resource("polling")))
        if opening is None:
            raise Failure("there is no session to be had")
        resource = self._resource("polling", sid=str(opening["sid"]))
        while (left := began + seconds - time.perf_counter()) > 0:
            try:
                answer = await self.visitor.ask("GET", resource, timeout=left)
            except Failure:
                if time.perf_counter() - began < seconds:
                    return time.perf_counter() - began
                break
            if answer.status != 200:
                return time.perf_counter() - began
            if answer.body == b"2":
                await self.visitor.ask("POST", resource, b"3")
        return None


def _pong(message: object) -> str | None:
    return "3" if message == "2" else None


class EventsourceProbe(Probe):
    """The protocol ``eventsource``."""

    protocol = "eventsource"

    async def findings(self) -> AsyncGenerator[Finding]:
        began = time.perf_counter()
        post = self.target.resource(f"/{secrets.token_urlsafe(12)}")
        answer = await self.visitor.ask("OPTIONS", post)
        self.note_pace(began)
        yield await self.streamed("stream", "GET", self.target.resource(), b"\n")
        if answer.status < 400 and not answer.by_proxy:
            # Nobody was given this address, so nobody gets to see it.
            yield self.body(await self.visitor.ask("POST", post, b" " * self.post_bytes))

    async def idle(self, seconds: float, works: frozenset[str]) -> float | None:
        return await self.hold_stream("GET", self.target.resource(), seconds)


PROBES: dict[str, type[Probe]] = {
    probe.protocol: probe
    for probe in (WebSocketProbe, SockjsProbe, EngineioProbe, EventsourceProbe)
}


async def detect(target: Target, visitor: Visitor) -> str:
    """The protocol that is spoken there; ``websocket`` if it is none of the others.

    :raises Failure: the site cannot be reached
    """
    try:
        with anyio.fail_after(visitor.timeout):
            async with visitor.stream("GET", target.resource()) as (head, _):
                kind = head.headers.get("content-type", "")
    except TimeoutError:
        return "eventsource"  # only a stream that is kept back takes that long
    if kind.startswith("text/event-stream"):
        return "eventsource"
    if {"code", "message"} <= _object(head).keys():
        return "engineio"
    info = _object(await visitor.ask("GET", target.resource("/info")))
    return "sockjs" if "websocket" in info else "websocket"


def _object(answer: Answer) -> dict[str, Any]:
    """The JSON object that a response is; an empty one if it is none."""
    try:
        found: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _opening(answer: Answer) -> dict[str, Any] | None:
    """What Engine.IO says of a new session."""
    if answer.status != 200 or not answer.body.startswith(b"0{"):
        return None
    opening = _object(Answer(200, {}, answer.body.partition(b"\x1e")[0][1:]))
    return opening if "sid" in opening else None


def _scattered() -> Finding:
    return Finding(
        check="sticky",
        state="broken",
        told="the requests of one session reach several processes, and only one of them knows it",
        nginx=_STICKY,
        place="upstream",
    )


def _cookie(answer: Answer, target: Target) -> list[Finding]:
    """Whether the session's cookie will come back."""
    cookie = answer.headers.get("set-cookie", "")
    found = re.search(r"(?i);\s*path=([^;,]*)", cookie)
    if not cookie or found is None:
        return []
    path, public = unquote(found[1].strip()), target.url.path.rstrip("/")
    if path != "/" and not f"{public}/".startswith(f"{path.rstrip('/')}/"):
        told = f"the session's cookie is for {path}, and browsers do not send it to {public}"
        line = f"proxy_cookie_path {path} {public};"
        return [Finding(check="cookie", state="broken", told=told, nginx=(line,))]
    if target.url.secure and not re.search(r"(?i);\s*secure\b", cookie):
        told = (
            "the server does not know that the site has TLS, so its cookie goes over plain HTTP "
            "too; the setting trusted_proxies has to name the proxy"
        )
        return [Finding(check="cookie", state="broken", told=told, nginx=_SECURE)]
    return [Finding(check="cookie", state="ok", told="it will come back")]
