"""Sends back what it gets: to the sender on /echo, to everyone there on /broadcast.

python docs/examples/echo.py --port 8001 --adapter tornado
"""

from collections.abc import Awaitable

from unisock import Close, Hub, Server, Spark

server = Server()
echo = server.endpoint("/echo", codec="raw")
broadcast = server.endpoint("/broadcast", codec="raw")
listeners = Hub()


@echo.on_message
def answer(spark: Spark, message: str | bytes) -> Awaitable[None]:
    return spark.send(message)


@broadcast.on_open
def enter(spark: Spark) -> None:
    listeners.add(spark)


@broadcast.on_message
def spread(spark: Spark, message: str | bytes) -> None:
    listeners.send_nowait(message)


@broadcast.on_close
def leave(spark: Spark, close: Close) -> None:
    listeners.remove(spark)


if __name__ == "__main__":
    server.run()
