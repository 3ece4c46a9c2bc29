"""Options: transports, cookies, pages of other origins, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest

from unisock import ConfigError, Server
from unisock.memory import MemoryAdapter, Refused

pytestmark = pytest.mark.anyio

PAGE = [("Origin", "https://page.example")]


async def test_websocket_only(serve: Any) -> None:
    async with serve(transports=["websocket"]) as rig:
        assert rig.code(await rig.request("EIO=4&transport=polling")) == 0
        await rig.open_websocket()


async def test_polling_only(serve: Any) -> None:
    async with serve(transports=["polling"]) as rig:
        client = await rig.open()
        assert client.told["upgrades"] == []
        with pytest.raises(Refused) as refused:
            await client.upgrade_socket()
        assert rig.code(refused.value.response) == 0


async def test_the_cookie(serve: Any) -> None:
    async with serve(cookie=True) as rig:
        client = await rig.open()
        expected = f"io={client.sid}; Path=/; SameSite=Lax; HttpOnly"
        assert rig.header(client.opening, "set-cookie") == expected
        await client.say("4hello")
        assert rig.header(await client.get(), "set-cookie") is None
    async with serve() as rig:
        assert rig.header((await rig.open()).opening, "set-cookie") is None


async def test_a_cookie_of_ones_own(serve: Any) -> None:
    cookie = {
        "name": "node",
        "path": "/engine.io",
        "http_only": False,
        "same_site": "none",
        "max_age": 60,
    }
    async with serve(cookie=cookie) as rig:
        client = await rig.open()
        expected = f"node={client.sid}; Path=/engine.io; SameSite=None; Max-Age=60; Secure"
        assert rig.header(client.opening, "set-cookie") == expected


async def test_pages_of_other_origins_are_turned_away(serve: Any) -> None:
    async with serve() as rig:
        answer = await rig.request("EIO=4&transport=polling", headers=PAGE)
        assert (answer.status, rig.code(answer)) == (403, 4)
        assert rig.header(answer, "access-control-allow-origin") is None
        with pytest.raises(Refused) as refused:
            await rig.websocket("EIO=4&transport=websocket", PAGE)
        assert refused.value.status == 403
        preflight = await rig.request("EIO=4&transport=polling", method="OPTIONS", headers=PAGE)
        assert preflight.status == 403


async def test_who_knows_a_session_still_has_to_be_welcome(serve: Any) -> None:
    async with serve() as rig:
        client = await rig.open()
        for method in ("GET", "POST"):
            answer = await rig.request(client.query, method=method, headers=PAGE)
            assert (answer.status, rig.code(answer)) == (403, 4)
        query = f"EIO=4&transport=websocket&sid={client.sid}"
        with pytest.raises(Refused) as refused:
            await rig.websocket(query, PAGE)
        assert refused.value.status == 403
        assert not rig.closes


async def test_pages_of_listed_origins(serve: Any) -> None:
    endpoint = {"origins": ["https://page.example"]}
    async with serve(endpoint, allowed_headers=["content-type", "authorization"]) as rig:
        answer = await rig.request("EIO=4&transport=polling", headers=PAGE)
        assert answer.status == 200
        assert rig.header(answer, "access-control-allow-origin") == "https://page.example"
        assert rig.header(answer, "vary") == "Origin"
        assert rig.header(answer, "access-control-allow-credentials") is None
        error = await rig.request("EIO=4", headers=PAGE)
        assert rig.header(error, "access-control-allow-origin") == "https://page.example"
        preflight = await rig.request("EIO=4&transport=polling", method="OPTIONS", headers=PAGE)
        assert preflight.status == 204
        assert rig.header(preflight, "access-control-allow-methods") == "GET, POST"
        assert (
            rig.header(preflight, "access-control-allow-headers") == "content-type, authorization"
        )
        assert rig.header(preflight, "access-control-max-age") == "600"
    async with serve(endpoint, credentials=True) as rig:
        answer = await rig.request("EIO=4&transport=polling", headers=PAGE)
        assert rig.header(answer, "access-control-allow-credentials") == "true"


async def test_any_page(serve: Any) -> None:
    async with serve({"origins": ["*"]}) as rig:
        answer = await rig.request("EIO=4&transport=polling", headers=PAGE)
        assert rig.header(answer, "access-control-allow-origin") == "*"
        same = [("Origin", "http://memory")]
        answer = await rig.request("EIO=4&transport=polling", headers=same)
        assert rig.header(answer, "access-control-allow-origin") is None


@pytest.mark.parametrize(
    ("endpoint", "options", "says"),
    [
        ({"origins": ["*"]}, {"credentials": True}, "list the origins by name"),
        ({}, {"ping_intervall": 5}, "did you mean ping_interval"),
        ({}, {"ping_interval": 0}, "ping_interval"),
        ({}, {"transports": []}, "none is left; there are polling and websocket"),
        ({}, {"transports": ["flash"]}, "flash"),
        ({}, {"cookie": {"name": "a=b"}}, "cookie.name"),
        ({}, {"max_payload": "much"}, "max_payload"),
    ],
)
def test_what_cannot_be(endpoint: dict[str, Any], options: dict[str, Any], says: str) -> None:
    fields = {"path": "/engine.io", "protocol": "engineio", "options": options, **endpoint}
    with pytest.raises(ConfigError, match=says):
        Server(adapter=MemoryAdapter(), folder=None, endpoints=[fields]).check()


def test_the_environment_has_only_text() -> None:
    options = {"ping_interval": "5000", "allow_eio3": "true", "cookie": "true"}
    fields = {"path": "/engine.io", "protocol": "engineio", "options": options}
    Server(adapter=MemoryAdapter(), folder=None, endpoints=[fields]).check()


def test_an_adapter_without_http_is_refused() -> None:
    fields = {"path": "/engine.io", "protocol": "engineio"}
    with pytest.raises(ConfigError, match="http"):
        Server(adapter="websockets", folder=None, endpoints=[fields]).check()
