"""Events with answers: a guessing game, in which the server asks too.

    python docs/examples/events.py --port 8001

Say ``{"type": 0, "data": ["play", "Ada"], "id": 1}``. The server asks for guesses, as events named
``guess`` that want an answer, and answers ``play`` when the number was found.
"""

import random

from unisock import Server, Spark
from unisock_emitter import Emitter, EventError

events = Emitter(timeout=60)
server = Server(plugins=[events])


@events.on("play")
async def play(spark: Spark, name: str, most: int = 100) -> dict[str, object]:
    if most < 2:
        raise EventError("too-easy", "choose a number from 2 on")
    secret, hint, tries = random.randint(1, most), f"from 1 to {most}", 0
    guess: object = None
    while guess != secret:
        guess = await events.request(spark, "guess", hint)
        if not isinstance(guess, int):
            raise EventError("no-number", f"{guess!r} is no number")
        hint, tries = "higher" if guess < secret else "lower", tries + 1
    await events.emit(server.everyone, "won", name, tries)
    return {"secret": secret, "tries": tries}


if __name__ == "__main__":
    server.run()
