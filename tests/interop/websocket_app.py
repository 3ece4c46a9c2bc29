"""The application that the WebSocket client libraries are tried on."""

from collections.abc import Awaitable
from typing import Any

import anyio

from unisock import Close, HandshakeRejected, Server, Spark

server = Server(folder=None)
echo = server.endpoint("/echo", codec="raw", subprotocols=["v1.chat", "v2.chat"])
ends = server.endpoint("/ends")
last = server.endpoint("/last")
closes = server.endpoint("/closes", codec="text")
refuses = server.endpoint("/refuses")

tell_end, hear_end = anyio.create_memory_object_stream[Close](10)


@echo.on_message
def answer(spark: Spark, message: str | bytes) -> Awaitable[None]:
    return spark.send(message)


@ends.on_close
def note(spark: Spark, close: Close) -> None:
    tell_end.send_nowait(close)


@last.on_open
async def tell(spark: Spark) -> None:
    close = await hear_end.receive()
    await spark.send({"code": close.code, "reason": close.reason, "origin": close.origin})


@closes.on_message
def close(spark: Spark, message: str) -> None:
    spark.close_nowait(3001, "moved, see you", reconnect=True)


@refuses.authorize
def refuse(handshake: Any) -> None:
    raise HandshakeRejected("members only", status=401, code=4501)


if __name__ == "__main__":
    server.run()
