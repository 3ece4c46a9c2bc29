"""The way of a message, compiled once."""

from functools import partial
from typing import Any

import pytest

from unisock.errors import ConfigError
from unisock.pipeline import DROP, Handlers, awaited, is_async
from unisock.server import Server


def plain(spark: Any, message: Any) -> None: ...


async def waiting(spark: Any, message: Any) -> None: ...


class Handler:
    async def __call__(self, spark: Any, message: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (plain, False),
        (waiting, True),
        (partial(waiting, None), True),
        (Handler(), True),
        (Handler().__call__, True),
        (print, False),
        (dict, False),
    ],
    ids=["def", "async def", "partial", "object", "method", "builtin", "class"],
)
def test_whether_a_function_is_async(function: Any, expected: bool) -> None:
    assert is_async(function) is expected


@pytest.mark.anyio
async def test_what_may_be_async_is_awaited() -> None:
    async def seven() -> int:
        return 7

    assert await awaited(seven()) == 7
    assert await awaited(7) == 7


def test_drop_shows_its_name() -> None:
    assert repr(DROP) == "DROP"


# Registering handlers


@pytest.mark.parametrize("name", ["on_open", "on_message", "on_close", "on_error", "authorize"])
def test_a_second_handler_is_refused_by_name(name: str) -> None:
    server = Server(folder=None)

    def first(*args: object) -> None: ...

    def second(*args: object) -> None: ...

    assert getattr(server, name)(first) is first
    with pytest.raises(ConfigError, match=r"there is already .*first\(\).*second\(\)"):
        getattr(server, name)(second)
    getattr(server.endpoint("/own"), name)(second)


@pytest.mark.parametrize("names", [("on_message", "session"), ("session", "on_message")])
def test_a_session_reads_its_messages_itself(names: tuple[str, str]) -> None:
    server = Server(folder=None)
    getattr(server, names[0])(waiting)
    with pytest.raises(ConfigError, match="async for message in spark"):
        getattr(server, names[1])(waiting)


def test_an_endpoint_fills_in_what_it_lacks() -> None:
    defaults, own = Handlers(), Handlers()
    defaults.set("open", plain)
    defaults.set("message", plain)
    own.set("close", waiting)
    assert own.over(defaults) == {"open": plain, "message": plain, "close": waiting}
    own.set("session", waiting)
    assert own.over(defaults) == {"open": plain, "close": waiting, "session": waiting}
    session = Handlers()
    session.set("session", waiting)
    message = Handlers()
    message.set("message", plain)
    assert message.over(session) == {"message": plain}
