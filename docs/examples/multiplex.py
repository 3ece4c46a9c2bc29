"""Channels: shared counters, each a channel of its own, over one connection.

    python docs/examples/multiplex.py --port 8001

A client begins the channel ``counter:NAME`` and sends numbers; everyone on it sees the sum. In a
browser's console, or with ``unisock connect``:

    [1, "a", "counter:apples"]          begin it; "a" is an id of my choice
    [0, "a", "counter:apples", 3]       add 3
    [2, "a", "counter:apples"]          leave it
"""

from collections import Counter

from unisock import Server, Spark
from unisock_multiplex import Multiplex

multiplex = Multiplex()
server = Server(plugins=[multiplex])
counters = multiplex.channel("counter:*")
sums: Counter[str] = Counter()


@counters.on_open
async def enter(spark: Spark) -> None:
    await spark.send(sums[spark.channel])


@counters.on_message
async def add(spark: Spark, number: object) -> None:
    if not isinstance(number, int):
        await spark.close(4500, "only whole numbers can be added")
        return
    sums[spark.channel] += number
    await multiplex[spark.channel].send(sums[spark.channel])


if __name__ == "__main__":
    server.run()
