"""Each step of "Leave Socket.IO" is run: the server of the page up to there, with clients of it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from unisock import ConnectionRejected, HandshakeRejected, Server, Spark, connect
from unisock.redial import Backoff
from unisock.testing.running import Running, serving
from unisock_emitter import Emitter, RemoteError
from unisock_multiplex import Multiplex

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "leave-socketio.md"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def steps() -> dict[int, str]:
    """The Python of each step, by its number."""
    parts = re.split(r"^## (?:(\d)\. )?.*$", PAGE.read_text(), flags=re.M)
    return {
        int(number): "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.M | re.S))
        for number, text in zip(parts[1::2], parts[2::2], strict=True)
        if number
    }


class Visitor:
    """A client of the page's server, and the events that it heard."""

    def __init__(self, running: Running, **options: Any) -> None:
        self.heard: list[Any] = []
        self.events, self.multiplex = Emitter(), Multiplex()
        self.events.on("*")(self._hear)
        self.news = anyio.Event()
        self.client = connect(
            running.http_url.replace("http", "socketio+http"),
            plugins=[self.events, self.multiplex],
            **{"transports": ["websocket"], "reconnect": False, **options},
        )
        self.spark: Spark

    def _hear(self, spark: Spark, name: str, *args: Any) -> bool:
        self.heard.append((name, *args))
        news, self.news = self.news, anyio.Event()
        news.set()
        return True

    async def until(self, *event: Any) -> None:
        """Wait for an event."""
        while event not in self.heard:
            await self.news.wait()

    async def ask(self, *event: Any) -> Any:
        """Ask the server."""
        return await self.events.request(self.spark, *event)

    async def __aenter__(self) -> Visitor:
        self.spark = await self.client.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.client.__aexit__(*error)


Come = Callable[..., Awaitable[Visitor]]


async def step_1(come: Come, page: dict[str, Any]) -> None:
    one, other = await come(), await come()
    assert await one.ask("say", "hello") == "5 letters"
    await other.until("said", "hello")


async def step_2(come: Come, page: dict[str, Any]) -> None:
    one, other = await come(), await come()
    await one.ask("say", "here we are")
    await one.spark.send({"b": b"\0"})
    assert await other.spark.receive() == {"b": b"\0"}


async def step_3(come: Come, page: dict[str, Any]) -> None:
    one, other = await come(), await come()
    assert await one.ask("join", "b") == ["b"]
    assert await one.ask("join", "a") == ["a", "b"]
    await other.ask("join", "a")
    await one.events.emit(one.spark, "whisper", "a", "psst")
    await other.until("whispered", "psst")
    await one.events.emit(one.spark, "mouse", 1, 2)
    await other.until("mouse", 1, 2)
    assert await one.ask("vote", "tea?") == 1
    await other.until("vote", "tea?")
    assert ("vote", "tea?") not in one.heard


async def step_4(come: Come, page: dict[str, Any]) -> None:
    with pytest.raises(ConnectionRejected, match="sign in again") as caught:
        await come(auth={"token": "expired"})
    assert isinstance(caught.value.__cause__, HandshakeRejected)
    assert caught.value.__cause__.data == {"where": "/login"}
    ada, guest = await come(auth={"name": "Ada"}), await come()
    await ada.until("welcome", "Ada")
    await guest.until("welcome", "guest")


async def step_5(come: Come, page: dict[str, Any]) -> None:
    admin = await come(namespace="/admin", auth={"name": "Ada"})
    assert await admin.ask("whoami") == "Ada, admin"
    with pytest.raises(ConnectionRejected, match="not for you"):
        await come(namespace="/admin")
    with pytest.raises(ConnectionRejected, match="sign in again"):
        await come(namespace="/board", auth={"token": "expired"})
    one, other = await come(namespace="/doc-7"), await come()
    document = other.multiplex.join(other.spark, "/doc-7")
    while len(page["multiplex"]["/doc-7"]) < 2:
        await anyio.wait_all_tasks_blocked()
    await document.send("change")
    assert await one.spark.receive() == "change"
    board = await come(namespace="/board")
    await board.until("board", [])
    assert await board.ask("draw", [1, 2]) == 1


async def step_6(come: Come, page: dict[str, Any]) -> None:
    ada, guest = await come(auth={"name": "Ada"}), await come()
    assert await ada.ask("publish", "news") == "NEWS"
    with pytest.raises(RemoteError, match="members-only"):
        await guest.ask("publish", "news")
    assert await guest.ask("what") == "nobody knows what"


async def step_7(come: Come, page: dict[str, Any]) -> None:
    ada = await come(auth={"name": "Ada"}, reconnect=Backoff(first=0))
    await ada.until("welcome", "Ada")
    await ada.ask("join", "a")
    (there,) = page["rooms"]["a"]
    there.connection.lower.abort()
    await page["events"].emit(page["rooms"]["a"], "missed")
    await ada.until("missed")
    assert await ada.ask("join", "b") == ["a", "b"]
    assert [*page["rooms"]["a"]] == [there]


async def step_8(come: Come, page: dict[str, Any]) -> None:
    one = await come()
    peer = await page["running"].connect("/ws")
    await peer.send('{"type":0,"id":1,"data":["say","hello"]}')
    await one.until("said", "hello")
    while "said" not in (text := await peer.receive()):
        pass
    assert msgspec.json.decode(text) == {"type": 0, "data": ["said", "hello"]}


async def step_9(come: Come, page: dict[str, Any]) -> None:
    one = await come()
    page["connect"] = lambda url, **options: connect(
        url.replace("http://127.0.0.1:8000", page["running"].http_url), **options
    )
    assert await page["ask"]() == "5 letters"
    await one.until("said", "hello")


STEPS = [step_1, step_2, step_3, step_4, step_5, step_6, step_7, step_8, step_9]


@pytest.mark.parametrize("number", range(1, len(STEPS) + 1))
async def test_a_step_and_all_before_it(number: int) -> None:
    written = steps()
    assert [*written] == [*range(1, len(STEPS) + 1)]
    page: dict[str, Any] = {"__name__": "page"}
    for step in range(1, number + 1):
        exec(compile(written[step], f"step {step}", "exec"), page)
    server: Server = page["server"]
    if number >= 7:
        tables = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), flags=re.M | re.S)
        server.override("unisock.toml", msgspec.toml.decode(tables[0]))
    with anyio.fail_after(30):
        async with serving(server) as running, AsyncExitStack() as stack:
            page["running"] = running

            async def come(**options: Any) -> Visitor:
                return await stack.enter_async_context(Visitor(running, **options))

            await STEPS[number - 1](come, page)
