"""One attempt of a client: what it is asked for, and where redirections lead it."""

from __future__ import annotations

import base64
from typing import Any

import anyio
import pytest

from unisock import Close, ConfigError, NotInstalled, connect
from unisock.errors import ConnectionLost, Redirected
from unisock.messages import Origin
from unisock.redial import Backoff

pytestmark = pytest.mark.anyio

AT_ONCE = Backoff(first=0)


async def called(script: Any, url: Any = "ws://h/ws", **options: Any) -> Any:
    """The last call of a client that connects with these options."""
    with anyio.fail_after(30):
        async with connect(url, connector=script, reconnect=AT_ONCE, **options):
            return script.calls[-1]


def kinds(value: Any) -> list[Any]:
    async def later() -> Any:
        await anyio.lowlevel.checkpoint()
        return value

    return [value, lambda: value, later]


@pytest.mark.parametrize("kind", range(3))
async def test_url_headers_and_token_are_values_or_functions(script: Any, kind: int) -> None:
    call = await called(
        script,
        kinds("ws://there:9/x")[kind],
        headers=kinds({"X-Name": "Ada"})[kind],
        token=kinds("secret")[kind],
        origin="https://page.example",
        subprotocols=["v2", "v1"],
    )
    assert str(call.url) == "ws://there:9/x"
    assert call.headers == (
        ("X-Name", "Ada"),
        ("Origin", "https://page.example"),
        ("Authorization", "Bearer secret"),
    )
    assert call.subprotocols == ("v2", "v1")


async def test_functions_are_asked_once_at_each_attempt(script: Any, watch: Any) -> None:
    asked: list[str] = []

    def url() -> str:
        asked.append("url")
        return f"ws://h{len(asked)}/ws"

    async def token() -> str:
        asked.append("token")
        return f"t{len(asked)}"

    script.steps = [OSError("down")]
    client = connect(url, token=token, connector=script, reconnect=AT_ONCE)
    seen = watch(client)
    with anyio.fail_after(30):
        async with client as spark:
            assert spark.endpoint.path == "/ws"
            script.driver.ended(Close(1006, origin=Origin.LOST))
            await seen.until("open", "waiting", "connecting", "open")
    assert asked == ["url", "token"] * 3
    assert [call.url.host for call in script.calls] == ["h1", "h3", "h5"]
    assert [call.headers[0][1] for call in script.calls] == ["Bearer t2", "Bearer t4", "Bearer t6"]


async def test_a_function_that_fails_ends_it(script: Any) -> None:
    async def token() -> str:
        raise LookupError("nobody is logged in")

    with pytest.raises(LookupError, match="nobody is logged in"):
        await called(script, token=token)
    assert script.calls == []


async def test_unless_it_could_not_reach_something(script: Any) -> None:
    answers: list[Exception] = [ConnectionRefusedError("no token server"), TimeoutError()]

    def token() -> str:
        if answers:
            raise answers.pop()
        return "t"

    call = await called(script, token=token)
    assert call.headers == (("Authorization", "Bearer t"),)


async def test_a_later_failure_ends_it_with_the_functions_error(script: Any) -> None:
    tokens = ["t"]
    client = connect("ws://h", token=lambda: tokens.pop(), connector=script, reconnect=AT_ONCE)
    with anyio.fail_after(30):
        async with client as spark:
            script.driver.ended(Close(1006, origin=Origin.LOST))
            with pytest.raises(ConnectionLost, match="IndexError"):
                await spark.receive()
    assert isinstance(client.error, IndexError)


async def test_credentials_of_the_url_are_sent_as_basic(script: Any) -> None:
    call = await called(script, "ws://us%C3%A9r:p%40ss@h/ws")
    name, value = call.headers[0]
    assert name == "Authorization"
    assert base64.b64decode(value.removeprefix("Basic ")).decode() == "usér:p@ss"
    call = await called(script, "ws://user:pw@h/ws", token="t")
    assert call.headers == (("Authorization", "Bearer t"),)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "X-A"),
        ({"headers": {"X-A": "a\0"}}, "X-A"),
        ({"headers": {"X-A: x\r\nX-B": "b"}}, "no header can be called"),
        ({"headers": {"": "b"}}, "no header can be called"),
        ({"headers": {"Ä": "b"}}, "no header can be called"),
        ({"headers": {"X-A": 7}}, "X-A"),
        ({"headers": 7}, "headers: a mapping or pairs"),
        ({"headers": ["X-A: a"]}, "headers: a mapping or pairs"),
        ({"headers": {"Sec-WebSocket-Key": "x"}}, "made by the connector"),
        ({"headers": {"upgrade": "x"}}, "made by the connector"),
        ({"headers": {"Sec-WebSocket-Protocol": "x"}}, "subprotocols="),
        ({"token": "a\nb"}, "Authorization"),
        ({"token": lambda: None}, "token: a text is wanted"),
        ({"url": lambda: None}, "url: a text is wanted"),
        ({"url": lambda: "h:80"}, "ws://127.0.0.1:8000/ws"),
    ],
)
async def test_what_cannot_be_sent_is_told(script: Any, options: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        await called(script, **options)
    assert script.calls == []


async def test_an_unknown_connector_is_told() -> None:
    with pytest.raises(NotInstalled, match="carrier-pigeon"):
        async with connect("carrier-pigeon+http://h/"):
            pass


# Redirections.


async def test_redirections_are_not_followed_unless_asked_for(script: Any) -> None:
    script.steps = [Redirected(302, "ws://there/")]
    with pytest.raises(Redirected) as error:
        await called(script)
    assert (error.value.status, error.value.location) == (302, "ws://there/")


async def test_so_many_redirections_are_followed(script: Any) -> None:
    script.steps = [Redirected(301, "/b"), Redirected(307, "//there/c")]
    call = await called(script, redirects=2)
    assert str(call.url) == "ws://there/c"
    script.steps = [Redirected(301, "/again")] * 3
    script.calls.clear()
    with pytest.raises(Redirected):
        await called(script, redirects=2)
    assert len(script.calls) == 3


async def test_secrets_do_not_go_to_another_host(script: Any) -> None:
    headers = {"Cookie": "c", "X-A": "a", "Proxy-Authorization": "p", "HOST": "h"}
    script.steps = [Redirected(302, "/here"), Redirected(302, "ws://h:81/there")]
    call = await called(script, headers=headers, token="t", redirects=2, server_name="name.example")
    assert len(script.calls[1].headers) == 5
    assert script.calls[1].server_name == "name.example"
    assert call.headers == (("X-A", "a"),)
    assert call.server_name is None


async def test_nor_from_a_unix_socket_to_the_network(script: Any) -> None:
    script.steps = [Redirected(302, "/stays"), Redirected(302, "http://localhost:81/")]
    call = await called(script, "ws+unix:/run/x.sock:/ws", token="t", redirects=2)
    assert script.calls[1].url.unix == "/run/x.sock"
    assert script.calls[1].headers
    assert (call.url.unix, call.headers) == (None, ())


async def test_the_next_attempt_begins_at_the_url(script: Any, watch: Any) -> None:
    script.steps = [Redirected(302, "ws://there/"), OSError("down")]
    await called(script, redirects=1, token="t")
    assert [call.url.host for call in script.calls] == ["h", "there", "h"]
    assert script.calls[-1].headers


@pytest.mark.parametrize(
    "location",
    ["ws://h/", "http://h/", "ws+unix:/run/docker.sock:/", "http://[::1/", "mailto:x", "ws://"],
)
async def test_no_redirection_leads_out_of_tls_or_nowhere(script: Any, location: str) -> None:
    script.steps = [Redirected(302, location)]
    with pytest.raises(Redirected):
        await called(script, "wss://h/", redirects=5)
    assert len(script.calls) == 1


async def test_into_tls_is_fine(script: Any) -> None:
    script.steps = [Redirected(301, "https://h/")]
    call = await called(script, "ws://h/", token="t", redirects=1)
    assert call.url.secure
    assert call.headers
