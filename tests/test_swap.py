"""Swap by one line: the chat, as it is, on each adapter. Configuration is all that changes."""

import itertools
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import msgspec
import pytest

from unisock import ConnectionClosed
from unisock.testing.peers import Peer
from unisock.testing.running import Running, serving

pytestmark = pytest.mark.anyio

CHAT = Path(__file__).parents[1] / "docs/examples/chat.py"
ADAPTERS = [
    ("memory", "asyncio"),
    ("memory", "trio"),
    ("websockets", "asyncio"),
    ("websockets", "trio"),
    ("tornado", "asyncio"),
    ("asgi", "asyncio"),
    ("aiohttp", "asyncio"),
    ("picows", "asyncio"),
    ("sockjs-tornado", "asyncio"),
]
PATIENCE = 40


class Person:
    """Somebody in the chat."""

    ids = itertools.count()

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def tell(self, event: str, **args: Any) -> int:
        """Send an event that is to be answered; returns the number of the answer."""
        number = next(self.ids)
        await self.tell_anything({"type": 0, "data": [event, *args.values()], "id": number})
        return number

    async def tell_anything(self, payload: Any) -> None:
        await self.peer.send(msgspec.json.encode(payload).decode())

    async def say(self, text: str, room: str = "lobby") -> None:
        await self.tell("say", room=room, text=text, id=str(next(self.ids)))

    async def whisper(self, to: str, text: str) -> None:
        await self.tell("whisper", to=to, text=text, id=str(next(self.ids)))

    async def hears(self, kind: str, **facts: Any) -> dict[str, Any]:
        """The next message of this type and with these facts; others before it are passed over."""
        passed: list[Any] = []
        with anyio.move_on_after(PATIENCE):
            while True:
                heard, message = await self.next()
                if heard == kind and facts.items() <= message.items():
                    return message
                passed.append((heard, message))
        raise AssertionError(f"no {kind} with {facts}, but {passed}")

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next event with its facts; an answer counts as ``answer``, a refusal as ``error``."""
        message = msgspec.json.decode(await self.peer.receive())
        if message["type"] == 0:
            name, facts = message["data"]
            return name, facts
        if "error" in message:
            return "error", {**message["error"], "id": message["id"]}
        return "answer", {"id": message["id"]}

    async def never_hears(self, kind: str, **facts: Any) -> None:
        """Nothing like it comes before the answer to a question asked now."""
        await self.tell("typing", room="nowhere")
        while True:
            heard, message = await self.next()
            if message.get("code") == "not-in-room":
                return
            assert not (heard == kind and facts.items() <= message.items()), message

    async def end(self) -> ConnectionClosed:
        """How the connection ends; what arrives before is passed over."""
        with anyio.fail_after(PATIENCE):
            try:
                while True:
                    await self.peer.receive()
            except ConnectionClosed as closed:
                return closed


Come = Callable[..., Coroutine[Any, Any, Person]]


@pytest.fixture(params=ADAPTERS, ids="-".join)
def setting(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture
def anyio_backend(setting: tuple[str, str]) -> str:
    return setting[1]


@pytest.fixture
def chat() -> ModuleType:
    """The example, imported anew."""
    spec = spec_from_file_location("chat_under_test", CHAT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def running(
    chat: ModuleType, setting: tuple[str, str], proves: Any
) -> AsyncGenerator[Running]:
    protocol = "sockjs" if setting[0] == "sockjs-tornado" else "websocket"
    proves(protocol=protocol, client="the whole chat, raw clients", host=setting[0])
    async with serving(chat.server, adapter=setting[0]) as running:
        yield running


@pytest.fixture
async def come(running: Running) -> AsyncGenerator[Come]:
    """``await come("Ada", "lobby")``: somebody with this name, in these rooms."""
    async with AsyncExitStack() as stack:

        async def come(name: str = "", *rooms: str, key: str = "") -> Person:
            person = Person(await stack.enter_async_context(await running.connect()))
            await person.hears("welcome")
            if name:
                await person.tell("hello", name=name, key=key or f"key of {name}")
                await person.hears("named", name=name, you=True)
            for room in rooms:
                await person.tell("join", room=room)
                await person.hears("joined", room=room, name=name)
            return person

        yield come


async def test_the_welcome_says_what_runs_and_who_is_where(
    running: Running, come: Come, setting: tuple[str, str]
) -> None:
    await come("Ada", "lobby", "tea")
    await come("Bob", "lobby")
    newcomer = Person(await running.connect())
    welcome = await newcomer.hears("welcome")
    assert (welcome["adapter"], welcome["backend"]) == setting
    assert welcome["transport"] == (
        "sockjs/websocket" if setting[0] == "sockjs-tornado" else "websocket"
    )
    assert welcome["transports"] == dict.fromkeys(("Ada", "Bob"), welcome["transport"])
    assert welcome["people"] == ["Ada", "Bob"]
    assert welcome["rooms"] == {"lobby": ["Ada", "Bob"], "tea": ["Ada"]}
    assert welcome["figures"]["connections"] == 3


async def test_a_message_reaches_the_room_and_comes_back(come: Come) -> None:
    ada, bob = await come("Ada", "lobby"), await come("Bob", "lobby")
    outsider = await come("Eve", "tea")
    await ada.tell("say", room="lobby", text="grüße 👋", id="m1")
    for person in (ada, bob):
        said = await person.hears("said")
        assert (said["name"], said["text"], said["id"]) == ("Ada", "grüße 👋", "m1")
    await outsider.never_hears("said")


async def test_messages_keep_their_order(come: Come) -> None:
    ada, bob = await come("Ada", "lobby"), await come("Bob", "lobby")
    for number in range(100):
        await ada.say(str(number))
    assert [(await bob.hears("said"))["text"] for _ in range(100)] == [*map(str, range(100))]


async def test_a_private_message_reaches_one_person_and_its_sender(come: Come) -> None:
    ada, bob, eve = [await come(name, "lobby") for name in ("Ada", "Bob", "Eve")]
    await ada.whisper("Bob", "psst")
    for person in (ada, bob):
        whispered = await person.hears("whispered")
        assert (whispered["name"], whispered["to"], whispered["text"]) == ("Ada", "Bob", "psst")
    await eve.never_hears("whispered")


async def test_a_private_message_to_nobody_comes_back_as_an_error(come: Come) -> None:
    ada = await come("Ada")
    number = await ada.tell("whisper", to="Zoe", text="psst", id="m7")
    await ada.hears("error", code="gone", id=number)


async def test_typing_shows_to_the_others_only(come: Come) -> None:
    ada, bob = await come("Ada", "lobby"), await come("Bob", "lobby")
    await ada.tell("typing", room="lobby")
    await bob.hears("typing", name="Ada", room="lobby")
    await ada.never_hears("typing")


async def test_everyone_sees_who_comes_and_goes(come: Come) -> None:
    ada = await come("Ada")
    bob = await come("Bob", "tea")
    number = (await ada.hears("named", name="Bob"))["number"]
    await ada.hears("joined", name="Bob", room="tea")
    await bob.tell("leave", room="tea")
    await ada.hears("left", name="Bob", room="tea")
    await bob.tell("join", room="tea")
    await ada.hears("joined", name="Bob", room="tea")
    await bob.peer.close(1000)
    await ada.hears("left", name="Bob", room="tea")
    await ada.hears("closed", name="Bob", number=number)


async def test_who_left_a_room_hears_it_no_more(come: Come) -> None:
    ada, bob = await come("Ada", "lobby"), await come("Bob", "lobby")
    await bob.tell("leave", room="lobby")
    await bob.hears("left", name="Bob")
    await ada.say("alone now")
    await ada.hears("said")
    await bob.never_hears("said")
    number = await bob.tell("say", room="lobby", text="still here?", id="m2")
    await bob.hears("error", code="not-in-room", id=number)


@pytest.mark.parametrize("name", ["Ada", "ada", "Ａｄａ"])  # noqa: RUF001 - wide letters
async def test_a_name_is_given_once(come: Come, name: str) -> None:
    await come("Ada")
    other = await come()
    await other.tell("hello", name=name, key="another")
    await other.hears("error", code="name-taken")
    await other.tell("hello", name="Bob", key="another")
    await other.hears("named", name="Bob", you=True)


async def test_a_name_is_free_again_when_its_owner_has_gone(come: Come) -> None:
    first, witness = await come("Ada"), await come("Bob")
    await first.peer.drop()
    await witness.hears("closed", name="Ada")
    await come("Ada", key="another")


async def test_the_same_window_takes_over_its_lost_connection(come: Come) -> None:
    lost, witness = await come("Ada", "lobby", key="k"), await come("Bob", "lobby")
    found = await come("Ada", "tea", key="k")
    end = await lost.end()
    assert (end.code, end.reason) == (4500, "continued in another window")
    await witness.hears("left", name="Ada", room="lobby")
    await witness.whisper("Ada", "which of you?")
    await found.hears("whispered", text="which of you?")


BAD = [
    ["__proto__"],
    ["shout", "lobby"],
    ["say"],
    ["say", "lobby", "", "1"],
    ["say", "lobby", "x" * 2001, "1"],
    ["say", "lobby", None, "1"],
    ["say", "lobby", "x", "1", "<b>"],
    ["join", "r" * 25],
    ["whisper", {"name": "Bob"}, "x", "1"],
]


@pytest.mark.parametrize("data", BAD, ids=lambda data: repr(data)[:40])
async def test_bad_input_gets_an_error_and_costs_nothing(come: Come, data: Any) -> None:
    ada = await come("Ada", "lobby")
    await ada.tell_anything({"type": 0, "data": data, "id": 7})
    error = await ada.hears("error", id=7)
    assert error["code"] in ("invalid-arguments", "unknown-event")
    await ada.say("still here")
    await ada.hears("said", text="still here")


@pytest.mark.parametrize("payload", [None, [], "hello", 7, {}, {"type": "say"}], ids=repr)
async def test_what_is_no_event_is_passed_over(come: Come, payload: Any) -> None:
    ada = await come("Ada", "lobby")
    await ada.tell_anything(payload)
    await ada.say("still here")
    await ada.hears("said", text="still here")


@pytest.mark.parametrize("label", [" Ada", "Ada\n", "A\x00da", "A\u202eda", "\u200b", "   "])
async def test_a_name_is_made_of_what_can_be_seen(come: Come, label: str) -> None:
    ada = await come()
    await ada.tell("hello", name=label, key="k")
    await ada.hears("error", code="bad-label")


async def test_without_a_name_nothing_can_be_said(come: Come) -> None:
    nobody = await come()
    await nobody.tell("join", room="lobby")
    await nobody.hears("error", code="no-name")


async def test_rooms_have_a_cap(chat: ModuleType, setting: tuple[str, str]) -> None:
    async with serving(chat.server, adapter=setting[0], limits={"rooms_per_spark": 2}) as running:
        ada = Person(await running.connect())
        await ada.tell("hello", name="Ada", key="k")
        for room in ("a", "b", "c"):
            await ada.tell("join", room=room)
        error = await ada.hears("error", code="rooms_per_spark")
        assert "rooms_per_spark = 2" in error["message"]


async def test_what_is_no_json_ends_that_connection_only(come: Come) -> None:
    ada, vandal = await come("Ada", "lobby"), await come("Bob", "lobby")
    await vandal.peer.send("{{{")
    with anyio.fail_after(PATIENCE):
        await vandal.peer.wait_closed()
    await ada.hears("fault", error="DecodeError")
    closed = await ada.hears("closed", name="Bob")
    assert closed["code"] == 1007
    await ada.say("still here")
    await ada.hears("said", text="still here")


async def test_the_feed_counts(come: Come, running: Running) -> None:
    ada = await come("Ada", "lobby")
    for _ in range(20):
        await ada.say("x")
    figures = await ada.hears("figures")
    while not figures["rate"]:
        figures = await ada.hears("figures")
    assert figures["connections"] == 1
    assert figures["dropped"] == figures["refused"] == 0


async def test_a_restart_tells_clients_to_come_back(come: Come, running: Running) -> None:
    ada = await come("Ada", "lobby")
    await running.server.drain(PATIENCE)
    assert (await ada.end()).code == 1012


async def test_the_page_and_the_way_in_are_served(running: Running) -> None:
    page = await running.request("/")
    assert page.status == 200
    assert b"<!doctype html>" in page.body
    way = msgspec.json.decode((await running.request("/config.json")).body)
    assert way["adapter"] == running.server.adapter.name
    (endpoint,) = way["endpoints"]
    assert endpoint["path"] == "/ws"
    assert endpoint["protocol"] == ("sockjs" if "sockjs" in way["adapter"] else "websocket")
    assert way["clients"] == sorted(
        ("websocket", "socketio", "primus", "sockjs", "engineio", "multiplex", "eventsource")
    )
