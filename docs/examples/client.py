"""Plays the guessing game of events.py, and survives restarts of its server.

    python docs/examples/events.py --port 8001
    python docs/examples/client.py ws://127.0.0.1:8001/ws

Stop the server in the midst of it and start it again: the client comes back and plays on.
"""

import argparse

import anyio

from unisock import ConnectionLost, Spark, State, StateChange, connect
from unisock_emitter import Emitter

events = Emitter(timeout=60)


class Player:
    """Guesses in the middle of what is left.

    :param most: the largest number that it may be
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.forget()

    def forget(self) -> None:
        self.low, self.high, self.last = 1, self.most, 0

    def guess(self, spark: Spark, hint: str) -> int:
        if hint == "higher":
            self.low = self.last + 1
        elif hint == "lower":
            self.high = self.last - 1
        self.last = (self.low + self.high) // 2
        return self.last


def tell(change: StateChange) -> None:
    match change.state:
        case State.WAITING:
            why = change.error or (change.close.error() if change.close else "")
            print(f"waiting {change.delay:.1f} s: {why}", flush=True)
        case state:
            print(state, flush=True)


async def play(url: str, name: str, most: int, rounds: int) -> None:
    player = Player(most)
    events.on("guess")(player.guess)
    client = connect(url, plugins=[events])
    client.on_state(tell)
    async with client as spark:
        won = 0
        while won < rounds:
            player.forget()
            try:
                result = await events.request(spark, "play", name, most)
            except ConnectionLost:
                if client.state is State.CLOSED:
                    raise
                continue  # the game is lost with the connection; the next one waits for the server
            won += 1
            print(f"{won}: it was {result['secret']}, found in {result['tries']}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Play the guessing game of events.py.")
    parser.add_argument("url", nargs="?", default="ws://127.0.0.1:8001/ws")
    parser.add_argument("--name", default="Ada")
    parser.add_argument("--most", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    try:
        anyio.run(play, options.url, options.name, options.most, options.rounds)
    except KeyboardInterrupt:
        print("bye")
