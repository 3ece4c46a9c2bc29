"""Coming into namespaces, and out of them."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from unisock import (
    Channel,
    Close,
    ConfigError,
    Handshake,
    HandshakeRejected,
    Origin,
    Server,
    Spark,
    UnisockError,
)

from .conftest import House, Run

pytestmark = pytest.mark.anyio


async def test_the_endpoint_is_the_namespace_of_all(run: Run) -> None:
    async with run() as house:
        raw = await house.peer()
        await anyio.wait_all_tasks_blocked()
        assert not house.sparks  # there is nobody before the client says where it wants to be
        told = await raw.enter()
        await house.until(lambda: house.sparks)
        (spark,) = house.sparks
        assert told == {"sid": spark.id}
        assert spark.channel == ""
        assert [*house.server.everyone] == [spark]
        await house.server.everyone.send({"to": "all"})
        assert await raw.receive() == '2["message",{"to":"all"}]'


async def test_namespaces_are_channels(run: Run) -> None:
    async with run() as house:
        raw = await house.inside()
        chat = await raw.enter("/chat")
        await house.until(lambda: len(house.sparks) == 2)
        root, spark = house.sparks
        assert spark.channel == "/chat"
        assert chat == {"sid": spark.id}
        assert spark.id != root.id
        await raw.send('2/chat,["message","hello"]', '2["message","world"]')
        await house.until(lambda: len(house.seen) == 2)
        assert house.seen == ["hello", "world"]
        await house.multiplex["/chat"].send(1)
        assert await raw.receive() == '2/chat,["message",1]'
        assert [*house.server.everyone] == [root]


async def test_namespaces_by_pattern(run: Run) -> None:
    house = House()
    documents = house.multiplex.channel("/doc-*")
    house.watch(documents)
    async with run(house):
        raw = await house.peer()
        await raw.enter("/doc-7")
        await house.until(lambda: house.sparks)
        assert house.sparks[0].channel == "/doc-7"


async def test_an_unknown_namespace_is_refused_and_the_connection_lives(run: Run) -> None:
    async with run() as house:
        raw = await house.peer()
        assert await raw.ask("0/nowhere,") == '4/nowhere,{"message":"Invalid namespace"}'
        await raw.enter()


async def test_without_a_plugin_for_channels_there_is_the_one_namespace() -> None:
    house = House()
    server = Server(
        adapter=house.adapter, folder=None, endpoints=[{"path": "/ws", "dialect": "socketio"}]
    )
    async with anyio.create_task_group() as group:
        await group.start(server.serve)
        raw = await house.peer()
        assert await raw.ask("0/chat,") == '4/chat,{"message":"Invalid namespace"}'
        await raw.enter()
        group.cancel_scope.cancel()


async def test_who_comes_in_says_why(run: Run) -> None:
    house = House()
    asked: list[Any] = []

    @house.server.authorize
    async def who(handshake: Handshake) -> str:
        asked.append((handshake.path, handshake.auth))
        if handshake.auth is None:
            raise HandshakeRejected("say who you are", data={"please": ["name"]})
        return str(handshake.auth["name"])

    @house.chat.authorize
    def may_chat(channel: Channel) -> str:
        asked.append((channel.channel, channel.auth, channel.user))
        if channel.user == "Eve":
            raise HandshakeRejected("not you")
        return channel.user.upper()

    async with run(house):
        raw = await house.peer()  # the request itself is not asked about
        assert await raw.ask("0") == '4{"message":"say who you are","data":{"please":["name"]}}'
        assert await raw.ask('0/chat,{"name":"Eve"}') == '4/chat,{"message":"not you"}'
        await raw.enter("/chat", {"name": "Ada"})
        await raw.enter("/", {"name": "Ada"})
        await house.until(lambda: len(house.sparks) == 2)
        assert [spark.user for spark in house.sparks] == ["ADA", "Ada"]
        assert asked == [
            ("/ws", None),
            ("/ws", {"name": "Eve"}),
            ("/chat", {"name": "Eve"}, "Eve"),
            ("/ws", {"name": "Ada"}),
            ("/chat", {"name": "Ada"}, "Ada"),
            ("/ws", {"name": "Ada"}),
        ]
        assert house.gateway.rejections == 1


async def test_a_guard_that_says_no_or_fails(run: Run) -> None:
    house = House()
    answers: list[Any] = [False, RuntimeError("a bug"), None]

    @house.server.authorize
    def who(handshake: Handshake) -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with run(house):
        raw = await house.peer()
        assert await raw.ask("0/chat,") == '4/chat,{"message":"Forbidden"}'  # it guards all
        assert await raw.ask("0") == '4{"message":"Internal server error"}'
        await raw.enter()


async def test_what_the_open_handler_sends_follows_the_welcome(run: Run) -> None:
    house = House()

    @house.multiplex.channel("/news").on_open
    async def greet(spark: Spark) -> None:
        await house.events.emit(spark, "news", 1)
        await spark.send("and more")

    async with run(house):
        raw = await house.peer()
        await raw.enter("/news")
        assert await raw.receive() == '2/news,["news",1]'
        assert await raw.receive() == '2/news,["message","and more"]'


async def test_what_is_sent_with_the_welcome_leaves_a_moment_later(run: Run) -> None:
    house = House()
    chatter = house.multiplex.channel("/chatter")

    @chatter.on_open
    def greet(spark: Spark) -> None:
        assert spark.send_nowait(0).name == "QUEUED"
        for number in range(1, 100):  # more than wait for a moment
            spark.send_nowait(number)
        if house.seen:
            spark.close_nowait()

    async with run(house):
        raw = await house.peer()
        await raw.enter("/chatter")
        assert [await raw.receive() for _ in range(100)] == [
            f'2/chatter,["message",{number}]' for number in range(100)
        ]
        house.seen.append("close")
        other = await house.peer()
        await other.enter("/chatter")
        for number in range(100):  # the last words come before the end
            assert await other.receive() == f'2/chatter,["message",{number}]'
        assert await other.receive() == "1/chatter,"


async def test_the_client_leaves_one_namespace(run: Run) -> None:
    async with run() as house:
        raw = await house.inside()
        await raw.enter("/chat")
        await house.until(lambda: len(house.sparks) == 2)
        await raw.send("1/chat,")
        await house.until(lambda: house.closes)
        ((channel, close),) = house.closes
        assert channel == "/chat"
        assert close == Close(1000, "client namespace disconnect", origin=Origin.PEER)
        await raw.send('2["message","still here"]')
        await house.until(lambda: house.seen)
        await raw.enter("/chat")  # and may come again


async def test_the_server_ends_one_namespace(run: Run) -> None:
    async with run() as house:
        raw = await house.inside()
        await raw.enter("/chat")
        await house.until(lambda: len(house.sparks) == 2)
        root, chat = house.sparks
        await chat.close(4500, "enough")
        assert await raw.receive() == "1/chat,"
        # What was under way harms nobody, and what came before is no excuse for what comes after.
        await raw.send('2/chat,["message","crossed"]', "3/chat,1[]", "1/chat,")
        await raw.send('2["message","here"]')
        await house.until(lambda: house.seen)
        assert house.seen == ["here"]
        assert root.closed is None
        await raw.enter("/chat")
        await root.close()
        assert await raw.receive() == "1"


@pytest.mark.parametrize(
    ("code", "reconnect"), [(1012, None), (4000, None), (1000, True), (1011, None)]
)
async def test_who_is_to_come_back_loses_the_connection(
    run: Run, code: int, reconnect: bool | None
) -> None:
    """For a client of Socket.IO, the end of a namespace is final."""
    async with run() as house:
        raw = await house.inside()
        await raw.enter("/chat")
        await house.until(lambda: len(house.sparks) == 2)
        house.sparks[1].close_nowait(code, "later", reconnect=reconnect)
        close = await raw.peer.wait_closed()
        assert close.code == code
        await house.until(lambda: len(house.closes) == 2)
        assert {close.reason for _, close in house.closes} == {"later"}


async def test_the_end_of_the_connection_ends_all(run: Run) -> None:
    async with run() as house:
        raw = await house.inside()
        await raw.enter("/chat")
        await house.until(lambda: len(house.sparks) == 2)
        raw.peer.drop()
        await house.until(lambda: len(house.closes) == 2)
        assert [close.code for _, close in house.closes] == [1006, 1006]
        assert [*house.multiplex] == []


async def test_who_is_nowhere_is_sent_away(run: Run) -> None:
    async with run(options={"connect_timeout": 1000}) as house:
        house.stop_clock()
        silent, left = await house.peer(), await house.inside()
        house.pass_time(0.9)
        await house.until(lambda: house.sparks)
        await left.send("1")
        await house.until(lambda: house.closes)
        house.pass_time(0.5)
        close = await silent.peer.wait_closed()
        assert "connect_timeout = 1000 ms" in close.reason
        assert left.peer.closed is None
        house.pass_time(1)
        assert (await left.peer.wait_closed()).code == 1002


async def test_who_leaves_while_the_application_thinks_was_never_there(run: Run) -> None:
    house = House()
    thinking, decided = anyio.Event(), anyio.Event()

    @house.chat.authorize
    async def may(channel: Channel) -> None:
        thinking.set()
        await decided.wait()

    async with run(house):
        raw = await house.inside()
        await raw.send("0/chat,")
        await thinking.wait()
        await raw.send("1/chat,")
        decided.set()
        await anyio.wait_all_tasks_blocked()
        assert len(house.sparks) == 1
        raw.peer.drop()
        await house.until(lambda: house.closes)
        assert [name for name, _ in house.closes] == [""]


async def test_the_caps(run: Run) -> None:
    house = House(limits={"channels_per_connection": 2, "channel_name_bytes": 20})
    house.watch(house.multiplex.channel("/*"))
    async with run(house):
        raw = await house.inside()
        await raw.enter("/a")
        answer = await raw.ask("0/b,")
        assert answer == '4/b,{"message":"over the limit channels_per_connection = 2"}'
        await raw.send(f"0/{'n' * 30},")
        close = await raw.peer.wait_closed()
        assert close == Close(1008, "over the limit channel_name_bytes = 20", origin=Origin.PEER)


async def test_clients_choose_names_and_nothing_is_kept_of_them(run: Run) -> None:
    house = House(limits={"channels_per_connection": 3})
    house.watch(house.multiplex.channel("/*"))
    async with run(house):
        raw = await house.inside()
        for number in range(10):
            await raw.enter(f"/{number}")
            await house.until(lambda number=number: len(house.sparks) == number + 2)
            await house.sparks[-1].close(4500)
            assert await raw.receive() == f"1/{number},"
        await raw.send('2/0,["message",1]')  # so long ago
        assert (await raw.peer.wait_closed()).code == 1002


async def test_channels_are_not_begun_from_here(run: Run) -> None:
    async with run() as house:
        await house.inside()
        await house.until(lambda: house.sparks)
        with pytest.raises(UnisockError, match="has no channels"):
            house.multiplex.join(house.sparks[0], "/chat")


def test_socketio_has_its_own_form_of_messages() -> None:
    with pytest.raises(ConfigError, match=r'leave codec out; .*parser = "msgpack"'):
        House(codec="msgpack").server.check()
    with pytest.raises(ConfigError, match="parser"):
        House(options={"parser": "yaml"}).server.check()


async def test_draining_sends_clients_elsewhere(run: Run) -> None:
    async with run() as house:
        raw = await house.inside()
        silent = await house.peer()
        await house.until(lambda: house.sparks)
        await house.server.drain(1)
        assert (await raw.peer.wait_closed()).code == 1012
        assert (await silent.peer.wait_closed()).code == 1012
