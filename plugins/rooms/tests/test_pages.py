"""The code on the pages about rooms, run as it stands there."""

import json
import re
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "docs" / "howto" / "rooms.md", ROOT / "plugins" / "rooms" / "README.md"]


def run(page):
    """All Python of a page, in one namespace."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
    namespace = {}
    exec(compile(code, page.name, "exec"), namespace)
    return namespace


class Client:
    def __init__(self, spark, peer):
        self.spark = spark
        self.peer = peer

    async def hears(self):
        with anyio.fail_after(30):
            return json.loads(await self.peer.receive())


@asynccontextmanager
async def serving(page, monkeypatch, tmp_path):
    """The page's server, and a function that lets a client in."""
    monkeypatch.chdir(tmp_path)
    code = run(page)
    server = code["server"]
    server.override("this test", {"adapter": "memory"})
    adapter = server.adapter

    async def enter():
        before = {*server.hub}
        peer = await adapter.connect()
        return Client(({*server.hub} - before).pop(), peer)

    async with anyio.create_task_group() as group:
        await group.start(server.serve)
        yield code, enter
        group.cancel_scope.cancel()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
async def test_what_one_says_the_other_hears(page, monkeypatch, tmp_path):
    async with serving(page, monkeypatch, tmp_path) as (_, enter):
        ann = await enter()
        bob = await enter()
        await bob.peer.send('"hello"')
        if page.stem == "rooms":
            assert await ann.hears() == {"joined": bob.spark.id, "room": "lobby"}
        assert await ann.hears() == "hello"
        bob.peer.drop()
        if page.stem == "rooms":
            assert await ann.hears() == {"left": bob.spark.id, "room": "lobby"}


async def test_the_other_functions_of_the_how_to(monkeypatch, tmp_path, capsys):
    async with serving(PAGES[0], monkeypatch, tmp_path) as (code, enter):
        rooms, ann = code["rooms"], await enter()
        bob = await enter()
        await ann.hears()
        await code["play"](ann.spark, "e4")
        assert (await ann.hears(), await bob.hears()) == ("e4", "e4")
        code["start_game"]()
        assert set(rooms["game"]) == {ann.spark, bob.spark}
        assert "nobody is left in lobby" in capsys.readouterr().out
        code["watch_orders"](ann.spark)
        assert [*rooms["order:7"]] == [ann.spark]
        rooms.join(bob.spark, "order:7")
        assert {*rooms.matching("order:*")} == {ann.spark, bob.spark}
        await code["join"](bob.spark, "x" * 201)
        code["close_shop"]("bye")
        heard = [await bob.hears() for _ in range(3)]
        assert {"error": "over the limit room_name_bytes = 200"} in heard
        assert "bye" in heard
