"""Events from clients: who gets them, what they may carry, what is answered."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, TypeAlias

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisock import ConfigError, LimitExceeded, Server, Spark
from unisock.memory import MemoryAdapter, MemoryPeer
from unisock_emitter import Emitter, EventError, InvalidArguments
from unisock_emitter.listeners import RESERVED, Listeners

pytestmark = pytest.mark.anyio


OpenHouse: TypeAlias = Callable[["House"], Awaitable[MemoryPeer]]


class Point(msgspec.Struct):
    x: int
    y: int = 0


class House:
    """A server in memory with an emitter, and what its handlers saw."""

    def __init__(self, **options: Any) -> None:
        self.events = Emitter(**options)
        self.adapter = MemoryAdapter()
        self.server = Server(adapter=self.adapter, folder=None, plugins=[self.events])
        self.seen: list[Any] = []
        self.errors: list[Exception] = []
        self.server.on_message(lambda spark, payload: self.seen.append(("data", payload)))
        self.server.on_error(lambda spark, error: self.errors.append(error))

    def see(self, spark: Spark, *args: Any) -> None:
        self.seen.append(args)

    async def ask(self, peer: MemoryPeer, *data: Any, id: int | None = 1) -> Any:
        """What the server answers; `None` at once if no answer is asked for."""
        await peer.send(json.dumps({"type": 0, "data": data, **({} if id is None else {"id": id})}))
        return None if id is None else json.loads(await peer.receive())


@pytest.fixture
async def open_house(anyio_backend: str) -> AsyncIterator[OpenHouse]:
    async with anyio.create_task_group() as group:

        async def open_house(house: House) -> MemoryPeer:
            await group.start(house.server.serve)
            return await house.adapter.connect()

        with anyio.fail_after(30):
            yield open_house
        group.cancel_scope.cancel()


async def test_an_event_reaches_its_listener_and_data_the_handler(open_house: Any) -> None:
    house = House()
    house.events.on("news")(house.see)
    peer = await open_house(house)
    await house.ask(peer, "news", 1, None, {"a": []}, id=None)
    await peer.send("[1]")
    assert house.seen == [(1, None, {"a": []}), ("data", [1])]


async def test_what_a_handler_returns_is_the_answer(open_house: Any) -> None:
    house = House()
    house.events.on("add")(lambda spark, a, b: a + b)

    @house.events.on("later")
    async def later(spark: Spark) -> str:
        await anyio.lowlevel.checkpoint()
        return "now"

    house.events.on("nothing")(lambda spark: None)
    house.events.on("several")(lambda spark: (1, (2, 3)))
    peer = await open_house(house)
    assert await house.ask(peer, "several") == {"type": 1, "id": 1, "data": [1, [2, 3]]}
    assert await house.ask(peer, "add", 1, 2) == {"type": 1, "id": 1, "data": [3]}
    assert await house.ask(peer, "later", id=0) == {"type": 1, "id": 0, "data": ["now"]}
    assert await house.ask(peer, "nothing", id=9) == {"type": 1, "id": 9, "data": []}


async def test_async_handlers_keep_the_order(open_house: Any) -> None:
    house = House()

    @house.events.on("slow")
    async def slow(spark: Spark, number: int) -> None:
        for _ in range(3 - number):
            await anyio.lowlevel.checkpoint()
        house.seen.append(number)

    house.events.on("quick")(house.see)
    peer = await open_house(house)
    await house.ask(peer, "slow", 0, id=None)
    await house.ask(peer, "slow", 1, id=None)
    await house.ask(peer, "quick", id=None)
    assert await house.ask(peer, "slow", 2) == {"type": 1, "id": 1, "data": []}
    assert house.seen == [0, 1, (), 2]


async def test_a_refusal_is_answered_and_costs_nothing(open_house: Any) -> None:
    house = House()

    @house.events.on("enter")
    def enter(spark: Spark) -> None:
        raise EventError("not-allowed", "members only")

    @house.events.on("leave")
    async def leave(spark: Spark) -> None:
        raise EventError("never")

    peer = await open_house(house)
    error = {"code": "not-allowed", "message": "members only"}
    assert (await house.ask(peer, "enter"))["error"] == error
    assert (await house.ask(peer, "leave"))["error"] == {"code": "never", "message": ""}
    await house.ask(peer, "enter", id=None)
    assert (await house.ask(peer, "leave"))["error"]["code"] == "never"
    assert (house.errors, peer.closed) == ([], None)


async def test_a_handler_that_fails_is_told_of_and_closes(open_house: Any) -> None:
    for kind in ("sync", "async"):
        house = House()

        @house.events.on("sync")
        def fail(spark: Spark) -> None:
            raise ZeroDivisionError

        @house.events.on("async")
        async def fail_later(spark: Spark) -> None:
            raise ZeroDivisionError

        peer = await open_house(house)
        answer = await house.ask(peer, kind)
        assert answer["error"] == {"code": "internal-error", "message": "the handler failed"}
        assert (await peer.wait_closed()).code == 1011
        assert [type(error) for error in house.errors] == [ZeroDivisionError]


async def test_types_in_the_signature_are_validated(open_house: Any) -> None:
    house = House()

    @house.events.on("move")
    def move(spark: Spark, to: Point, speed: float = 1.0, *why: str) -> list[Any]:
        return [to.x, to.y, speed, *why]

    peer = await open_house(house)
    assert (await house.ask(peer, "move", {"x": 1}))["data"] == [[1, 0, 1.0]]
    assert (await house.ask(peer, "move", {"x": 1, "y": 2}, 3, "a", "b"))["data"] == [
        [1, 2, 3.0, "a", "b"]
    ]
    for wrong in ([], [{"x": "1"}], [{"y": 1}], [None], [{"x": 1}, "fast"], [{"x": 1}, 1, 2]):
        answer = await house.ask(peer, "move", *wrong)
        assert answer["error"]["code"] == "invalid-arguments"
        assert answer["error"]["message"]
    assert peer.closed is None


async def test_wrong_arguments_without_an_id_are_a_violation(open_house: Any) -> None:
    house = House()

    @house.events.on("count")
    def count(spark: Spark, number: int) -> None: ...

    peer = await open_house(house)
    await house.ask(peer, "count", "one", id=None)
    assert (await peer.wait_closed()).code == 1007
    assert [type(error) for error in house.errors] == [InvalidArguments]
    assert "argument 1" in str(house.errors[0])


async def test_patterns_take_what_nobody_else_listens_to(open_house: Any) -> None:
    house = House()
    house.events.on("chat:say")(lambda spark: "say")
    house.events.on("chat:*")(lambda spark, name, *args: [name, *args])
    house.events.on("*")(lambda spark, name: "any")
    peer = await open_house(house)
    assert (await house.ask(peer, "chat:say"))["data"] == ["say"]
    assert (await house.ask(peer, "chat:shout", 1))["data"] == [["chat:shout", 1]]
    assert (await house.ask(peer, "__proto__"))["data"] == ["any"]
    # Nobody can pretend that a client went.
    assert (await house.ask(peer, "disconnect"))["error"]["code"] == "unknown-event"


async def test_an_event_that_nobody_listens_to(open_house: Any) -> None:
    house = House()
    peer = await open_house(house)
    assert (await house.ask(peer, "what"))["error"]["code"] == "unknown-event"
    await house.ask(peer, "what", id=None)
    assert (await house.ask(peer, "what"))["id"] == 1
    assert peer.closed is None


async def test_an_answer_without_a_form_in_the_codec_is_a_failure(open_house: Any) -> None:
    house = House()
    house.events.on("object")(lambda spark: object())
    peer = await open_house(house)
    assert (await house.ask(peer, "object"))["error"]["code"] == "internal-error"
    assert (await peer.wait_closed()).code == 1011


@pytest.mark.parametrize("name", sorted(RESERVED))
async def test_reserved_names_are_refused(name: str) -> None:
    events = Emitter()
    with pytest.raises(ValueError, match="reserved"):
        events.on(name)(lambda spark: None)
    with pytest.raises(ValueError, match="reserved"):
        events.emit_nowait(Server(folder=None).everyone, name)


async def test_a_listener_that_cannot_be_called_is_refused() -> None:
    events = Emitter()
    events.on("once")(lambda spark: None)
    with pytest.raises(ConfigError, match=r"'once' is .*already"):
        events.on("once")(lambda spark: None)
    with pytest.raises(ValueError, match="has a name"):
        events.on("")(lambda spark: None)
    with pytest.raises(ConfigError, match="no keyword arguments; give word a default"):
        events.on("keyword")(lambda spark, *, word: None)
    with pytest.raises(ValueError, match="more than 0"):
        Emitter(timeout=0)


arguments = st.lists(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ),
    max_size=4,
)


@given(arguments)
async def test_any_arguments_bind_or_are_invalid(args: list[Any]) -> None:
    listeners = Listeners()

    def typed(spark: Spark, number: int, point: Point | None = None, *rest: list[str]) -> None: ...

    listeners.add("x", typed)
    listener = listeners.find("x")
    assert listener is not None
    try:
        bound = listener.bind(args)
    except InvalidArguments:
        return
    assert isinstance(bound[0], int)


async def test_what_meta_says_of_a_type_is_held_to(open_house: Any) -> None:
    house = House()

    @house.events.on("name")
    def name(spark: Spark, label: Annotated[str, msgspec.Meta(max_length=3)]) -> str:
        return label

    peer = await open_house(house)
    assert (await house.ask(peer, "name", "Ada"))["data"] == ["Ada"]
    assert (await house.ask(peer, "name", "Adam"))["error"]["code"] == "invalid-arguments"


async def test_a_limit_that_a_handler_meets_is_the_answer(open_house: Any) -> None:
    house = House()

    @house.events.on("now")
    def now(spark: Spark) -> None:
        raise LimitExceeded("rooms_per_spark", 2)

    @house.events.on("later")
    async def later(spark: Spark) -> None:
        await anyio.lowlevel.checkpoint()
        now(spark)

    peer = await open_house(house)
    for event in ("now", "later"):
        error = (await house.ask(peer, event))["error"]
        assert error == {"code": "rooms_per_spark", "message": "over the limit rooms_per_spark = 2"}
    assert not house.errors


async def test_a_channels_name_is_part_of_who_listens(open_house: Any) -> None:
    house = House()
    house.events.on("who")(lambda spark: "anywhere")
    house.events.on("who", channel="news")(lambda spark: "on news")
    house.events.on("here", channel="")(lambda spark: "on none")
    with pytest.raises(ConfigError, match="already"):
        house.events.on("who", channel="news")(house.see)
    peer = await open_house(house)
    assert (await house.ask(peer, "who"))["data"] == ["anywhere"]
    assert (await house.ask(peer, "here"))["data"] == ["on none"]
