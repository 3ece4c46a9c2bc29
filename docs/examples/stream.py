"""A connection as a pipe of bytes: a calculator that reads lines, wherever messages are cut.

    python docs/examples/stream.py --port 8001

`calculate` knows nothing of unisock. It takes any `anyio.abc.ByteStream`, so the same function
could serve a TCP port: ``await (await anyio.create_tcp_listener()).serve(calculate)``. Send it sums
in reverse Polish notation: ``1 2 + 4 *`` gives ``12``.
"""

import operator
from collections.abc import Callable

from anyio import BrokenResourceError, DelimiterNotFound, IncompleteRead
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from unisock import Server, Spark

OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}

server = Server()
calculator = server.endpoint("/calculator", codec="raw")


@calculator.session
async def serve(spark: Spark) -> None:
    await calculate(spark.as_byte_stream())


async def calculate(stream: ByteStream) -> None:
    """Answer each line of the stream with one line."""
    lines = BufferedByteReceiveStream(stream)
    async with stream:
        try:
            while True:
                line = await lines.receive_until(b"\n", max_bytes=1000)
                await stream.send(f"{solve(line.decode('utf-8', 'replace'))}\n".encode())
        except DelimiterNotFound:
            await stream.send(b"error: a line has at most 1000 bytes\n")
        except (IncompleteRead, BrokenResourceError):
            pass  # the client has gone


def solve(sum: str) -> str:
    stack: list[float] = []
    try:
        for word in sum.split():
            if word in OPERATORS:
                right, left = stack.pop(), stack.pop()
                stack.append(OPERATORS[word](left, right))
            else:
                stack.append(float(word))
    except (ValueError, IndexError, ArithmeticError) as error:
        return f"error: {error}"
    return f"{stack[0]:g}" if len(stack) == 1 else "error: that is no sum"


if __name__ == "__main__":
    server.run()
