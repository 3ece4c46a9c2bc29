"""What the tests of ``unisock connect`` talk to."""

from itertools import count

from unisock import Channel, HandshakeRejected, Server, Spark
from unisock.handshake import Handshake
from unisock_emitter import Emitter, EventError
from unisock_multiplex import Multiplex

events = Emitter()
multiplex = Multiplex()
server = Server(plugins=[events, multiplex])
numbers = count(1)

raw = server.endpoint("/raw", codec="raw", subprotocols=("v2", "v1"))
ANSWERS: dict[str, str | bytes] = {
    "binary": bytes(range(40)),
    "evil": "\x1b[31mred\x07\x1b]0;owned\x07",
    "json": '{"a": [1, 2.50, "x"]}',
    "long json": '{"name": "Ada", "text": "' + "x" * 80 + '"}',
}


@raw.on_message
def answer(spark: Spark, message: str | bytes) -> None:
    """Echo, but for some words."""
    match message:
        case "bye":
            spark.close_nowait(1000, "so long")
        case "away":
            spark.close_nowait(1012, "restarting")
        case "ban":
            spark.close_nowait(4500, "go away")
        case "who":
            spark.send_nowait(f"{spark.handshake.headers.get('x-name')} {spark.handshake.origin}")
        case str() if message in ANSWERS:
            spark.send_nowait(ANSWERS[message])
        case _:
            spark.send_nowait(message)


broken = server.endpoint("/broken", codec="raw")


@broken.on_open
def greet(spark: Spark) -> None:
    spark.send_nowait("{this is no JSON")


numbered = server.endpoint("/numbered", codec="text")


@numbered.on_message
def number(spark: Spark, message: str) -> None:
    spark.send_nowait(f"{next(numbers)}: {message}")


room = server.endpoint("/room", codec="text")


@room.on_message
async def tell_all(spark: Spark, message: str) -> None:
    await server.everyone.send(f"all: {message}")


values = server.endpoint("/values")


@values.on_message
def wrap(spark: Spark, message: object) -> None:
    if message == "bye":
        spark.close_nowait(1000, "so long")
    else:
        spark.send_nowait({"you": message})


packed = server.endpoint("/packed", codec="msgpack")
packed.on_message(wrap)


@events.on("rename")
async def rename(spark: Spark, name: str) -> str:
    if not name:
        raise EventError("too-short", "a name has a letter")
    await events.emit(spark, "renamed", name)
    return f"hello, {name}"


@events.on("silence")
async def say_nothing(spark: Spark) -> None:
    from anyio import sleep_forever

    await sleep_forever()


news = multiplex.channel("news")


@news.authorize
def may_read(channel: Channel) -> None:
    if channel.auth != {"say": "please"}:
        raise HandshakeRejected("say please")


@news.on_message
async def publish(spark: Spark, message: object) -> None:
    await multiplex["news"].send(["news", message])


secret = server.endpoint("/secret", codec="raw")
secret.on_message(answer)


@secret.authorize
def may_enter(handshake: Handshake) -> None:
    if handshake.headers.get("authorization") not in ("Bearer token", "Basic YWRhOmw6bA=="):
        raise HandshakeRejected("members only", status=401)
