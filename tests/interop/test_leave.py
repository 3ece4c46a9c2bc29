"""Each step of leaving Primus or SockJS is run: the page's server, with its clients in Node."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest

from unisock.testing.running import serving

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PAGES = HERE.parents[1] / "docs" / "howto"
PRIMUS, SOCKJS = PAGES / "leave-primus.md", PAGES / "leave-sockjs.md"
EXPECTED: dict[Path, dict[int, list[Any]]] = {
    PRIMUS: {
        1: ["hello"],
        3: ["hi", "2 letters"],
        4: ["RAIN"],
        5: ["refused"],
        7: ["new here"],
    },
    SOCKJS: {1: ["hello"], 2: [2000], 4: ["RAIN"], 5: ["new here"]},
}
"""What the clients of each step log."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def steps(page: Path) -> dict[int, str]:
    """The steps by their numbers."""
    parts = re.split(r"^## (?:(\d)\. )?.*$", page.read_text(), flags=re.M)
    return {
        int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True) if number
    }


def code(text: str, language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S))


async def in_node(url: str, clients: list[dict[str, Any]]) -> Any:
    node = shutil.which("node")
    assert node is not None, "node is missing: run `make test`, which brings it"
    command = [node, str(HERE / "leave.js"), url, json.dumps(clients)]
    with anyio.fail_after(60):
        done = await anyio.run_process(command, cwd=HERE)
    return json.loads(done.stdout)


@pytest.mark.parametrize("page", EXPECTED, ids=lambda page: page.stem)
async def test_each_step_works_with_the_clients_of_all_steps_before(page: Path) -> None:
    texts, expected = steps(page), EXPECTED[page]
    assert [*texts] == [*range(1, len(texts) + 1)]
    with_clients = [number for number, text in texts.items() if code(text, "js")]
    assert with_clients == [*expected]
    for last in (1, 4, len(texts)):
        namespace: dict[str, Any] = {"__name__": "page"}
        for number in range(1, last + 1):
            exec(compile(code(texts[number], "python"), "page", "exec"), namespace)
        numbers = [number for number in expected if number <= last]
        clients = [
            {"code": code(texts[number], "js"), "lines": len(expected[number])}
            for number in numbers
        ]
        async with serving(namespace["server"]) as running:
            seen = await in_node(running.http_url, clients)
            assert [sorted(lines) for lines in seen] == [sorted(expected[n]) for n in numbers]


def at_the_end(page: Path) -> dict[str, Any]:
    """The page's server after its last step."""
    namespace: dict[str, Any] = {"__name__": "page"}
    for text in steps(page).values():
        exec(compile(code(text, "python"), "page", "exec"), namespace)
    return namespace


async def test_nobody_is_left_of_primus() -> None:
    namespace = at_the_end(PRIMUS)
    async with serving(namespace["server"]) as running:
        peers = [await running.connect(path, kind="websocket") for path in ("/primus", "/ws")]
        with anyio.fail_after(30):
            await peers[0].send('{"type": 0, "data": ["say", "one"]}')
            for peer in peers:
                assert json.loads(await peer.receive())["data"] == ["said", "one"]
            assert len(namespace["kiosks_left"]()) == 1
            await namespace["close_the_door"]()
            assert await peers[0].receive() == '"primus::server::close"'
            assert (await peers[0].wait_closed()).code == 4901
            await peers[1].send('{"type": 0, "data": ["say", "two"]}')
            assert json.loads(await peers[1].receive())["data"] == ["said", "two"]
        assert namespace["kiosks_left"]() == []


async def test_nobody_is_left_of_sockjs() -> None:
    namespace = at_the_end(SOCKJS)
    async with serving(namespace["server"]) as running:
        old = await running.connect("/chat/websocket", kind="websocket")
        new = await running.connect("/ws", kind="websocket")
        with anyio.fail_after(30):
            await old.send("one")
            assert await old.receive() == "one"
            assert json.loads(await new.receive())["data"] == ["said", "one"]
            assert namespace["ways"]() == {"websocket-raw": 1}
            await namespace["close_the_door"]()
            assert (await old.wait_closed()).code == 4901
            await new.send('{"type": 0, "data": ["say", "two"]}')
            assert json.loads(await new.receive())["data"] == ["said", "two"]
        assert not namespace["ways"]()
