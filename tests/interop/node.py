"""Functions in JavaScript that tests call, each file in one Node that stays."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import anyio

HERE = Path(__file__).parent
PATIENCE = 40


class NodeError(Exception):
    """The function threw, or Node has ended."""


class Node:
    """A Node in which the function of a file runs, see ``run.js``.

    :param program: Node itself
    :param script: exports the function, whose arguments and result are JSON
    """

    def __init__(self, program: str, script: Path) -> None:
        self._process = subprocess.Popen(
            [program, str(HERE / "run.js"), str(script)],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._ids = itertools.count()
        self._calls: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, *args: object) -> Future[Any]:
        """Call the function; several calls may be under way."""
        call: Future[Any] = Future()
        number = next(self._ids)
        self._calls[number] = call
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps({"id": number, "args": args}) + "\n")
            self._process.stdin.flush()
        return call

    def call(self, *args: object) -> Any:
        """What the function gives back.

        :raises NodeError: it threw
        """
        return self.start(*args).result(PATIENCE)

    async def acall(self, *args: object) -> Any:
        """The same, while others run."""
        call = self.start(*args)
        return await anyio.to_thread.run_sync(call.result, PATIENCE)

    def close(self) -> None:
        """End Node."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            call = self._calls.pop(answer["id"])
            if "error" in answer:
                call.set_exception(NodeError(answer["error"]))
            else:
                call.set_result(answer["result"])
        for call in self._calls.values():
            call.set_exception(NodeError("Node has ended; its message is among what was captured"))
