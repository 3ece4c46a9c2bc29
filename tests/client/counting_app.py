"""Writes each message to a file before it sends it back, so that a kill cannot undo it."""

import os
import sys
from collections.abc import Awaitable

from unisock import Server, Spark

server = Server(folder=None)
server.endpoint("/ws")
file = os.open(sys.argv.pop(), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@server.on_message
def note(spark: Spark, number: int) -> Awaitable[None]:
    os.write(file, f"{number}\n".encode())
    return spark.send(number)


if __name__ == "__main__":
    server.run()
