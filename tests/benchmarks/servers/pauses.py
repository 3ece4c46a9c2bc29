"""How long garbage collection stops a server, on request."""

import gc
import json
import os
import signal
import sys
import time

__all__ = ["ENVIRONMENT", "watch"]

ENVIRONMENT = "BENCHMARK_PAUSES"
"""Set it to have collections watched. Then each SIGUSR1 is answered on standard output with what
there was since the last: ``{"longest": seconds of CPU, "full": how many full collections}``.
"""


class _Watch:
    def __init__(self) -> None:
        self.longest = 0.0
        self.full = 0
        self._begun = 0.0

    def see(self, phase: str, info: dict[str, int]) -> None:
        # Of this thread's CPU, since the machine may stop us too.
        if phase == "start":
            self._begun = time.thread_time()
            return
        self.longest = max(self.longest, time.thread_time() - self._begun)
        self.full += info["generation"] == 2

    def answer(self, *_: object) -> None:
        sys.stdout.write(json.dumps({"longest": self.longest, "full": self.full}) + "\n")
        sys.stdout.flush()
        self.longest, self.full = 0.0, 0


def watch() -> None:
    """Watch collections from now on, if that is asked for."""
    if ENVIRONMENT in os.environ:
        seen = _Watch()
        gc.callbacks.append(seen.see)
        signal.signal(signal.SIGUSR1, seen.answer)
