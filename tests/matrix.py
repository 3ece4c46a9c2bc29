"""The matrix in the README: which client was served over which protocol on which host.

A test says what it proves by the fixture ``proves``; the shipped suites are known. When all tests
have run and passed, the matrix is made of what they proved, and has to be what the README says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

BEGIN = "<!-- The matrix: `make matrix` writes it from what the tests have proved. -->"
END = "<!-- The end of the matrix. -->"
PROPERTY = "proves"
BY_CAPABILITY = "capability:"
SUITES = ("conformance suite, raw clients", "conformance suite, `connect()`")
PROTOCOLS = ("websocket", "sockjs", "engineio", "eventsource")
NARROWING = (
    "keyword",
    "markexpr",
    "deselect",
    "ignore",
    "ignore_glob",
    "lf",
    "stepwise",
    "collectonly",
)
"""Options with which not all tests run."""


class Claim(NamedTuple):
    """What a test proves if it passes.

    :ivar protocol: what was spoken
    :ivar client: who spoke it
    :ivar host: the adapter that served it; ``""`` for a server of somebody else's
    :ivar server: that server
    """

    protocol: str
    client: str
    host: str
    server: str


Proves = Callable[..., None]


class Matrix:
    """Collects what the tests of a run prove, and holds the README to it at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._page: Path = config.rootpath / "README.md"
        self._wanted = bool(config.getoption("--matrix"))
        # The workers of a run on several cores send their reports to the one that started them.
        self._collects = not hasattr(config, "workerinput")
        self._whole = self._collects and _runs_all(config)
        self._proved: set[Claim] = set()
        self._skipped = 0
        self._verdict: str | None = None
        if self._wanted and self._collects and not self._whole:
            raise pytest.UsageError("--matrix needs a run of all tests: type `make matrix`")

    @pytest.fixture
    def proves(self, request: pytest.FixtureRequest) -> Proves:
        """``proves(protocol="sockjs", client="npm `sockjs-client`", host="tornado")``: so does this
        test if it passes; or with ``server="npm `sockjs`"`` in place of the host.
        """

        def proves(*, protocol: str, client: str, host: str = "", server: str = "") -> None:
            assert bool(host) != bool(server), "either an adapter of ours, or a server of theirs"
            _note(request.node, Claim(protocol, client, host, server))

        return proves

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        claim = _claim_of_suite(getattr(item, "cls", None))
        if claim is not None:
            _note(item, claim)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            told = [value for name, value in report.user_properties if name == PROPERTY]
            self._proved.update(Claim(*value) for value in told if isinstance(value, list | tuple))
        elif report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self._skipped += not reason.removeprefix("Skipped: ").startswith(BY_CAPABILITY)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if not self._whole or exitstatus != pytest.ExitCode.OK or not self._page.exists():
            return
        if self._skipped:
            self._verdict = (
                f"README.md: the matrix is not checked, since {self._skipped} tests were skipped"
            )
            return
        before = self._page.read_text(encoding="utf-8")
        after = put_in(before, render(self._proved))
        if after == before:
            return
        if self._wanted and after is not None:
            self._page.write_text(after, encoding="utf-8")
            self._verdict = "README.md: the matrix is written anew"
            return
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._verdict = (
            "README.md: the matrix is not what the tests have proved; run `make matrix`"
            if after is not None
            else f"README.md: there is no place for the matrix, between {BEGIN} and {END}"
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._verdict is not None:
            terminalreporter.section("matrix")
            terminalreporter.line(self._verdict)


def render(claims: Iterable[Claim]) -> str:
    """The tables: our hosts for each protocol and client; and other people's servers."""
    proved = set(claims)
    hosts = sorted({claim.host for claim in proved if claim.host})
    rows: list[list[str]] = []
    for protocol, client in _rows(claim for claim in proved if claim.host):
        served = [Claim(protocol, client, host, "") in proved for host in hosts]
        rows.append([f"`{protocol}`", client, *["yes" if yes else "–" for yes in served]])
    tables = [_table(["protocol", "client", *[f"`{host}`" for host in hosts]], rows)]
    theirs = [claim for claim in proved if claim.server]
    if theirs:
        rows = []
        for row in _rows(theirs):
            servers = sorted({claim.server for claim in theirs if claim[:2] == row})
            rows.append([f"`{row[0]}`", row[1], ", ".join(servers)])
        tables.append(_table(["protocol", "client", "servers of others"], rows))
    return "\n".join(tables)


def put_in(page: str, text: str) -> str | None:
    """The page with this text in place of the matrix; `None` if there is no place for it."""
    found = re.subn(
        f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})",
        lambda _: f"\n{text}\n",
        page,
        flags=re.S,
    )
    return found[0] if found[1] == 1 else None


def _runs_all(config: pytest.Config) -> bool:
    chosen = config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    return not chosen and not any(config.getoption(name, None) for name in NARROWING)


def _note(item: pytest.Item, claim: Claim) -> None:
    item.user_properties.append((PROPERTY, [*claim]))


def _claim_of_suite(kind: Any) -> Claim | None:
    """What a test of a shipped suite proves."""
    if kind is None:
        return None
    # Here, so that a run without them does not import them.
    from unisock.testing.conformance.base import AdapterTests
    from unisock.testing.protocols import ProtocolTests

    if issubclass(kind, ProtocolTests):
        return Claim(kind.protocol, SUITES[1], kind.make_host().name, "")
    if issubclass(kind, AdapterTests):
        adapter = kind.make_adapter()
        protocol = (*adapter.capabilities.sessions, "websocket")[0]
        return Claim(protocol, SUITES[0], adapter.name, "")
    return None


def _rows(claims: Iterable[Claim]) -> list[tuple[str, str]]:
    return sorted({claim[:2] for claim in claims}, key=_place)


def _place(row: tuple[str, str]) -> tuple[int, str, bool, str]:
    """Where it stands: protocols in their order, and the suites before the clients."""
    protocol, client = row
    known = protocol in PROTOCOLS
    number = PROTOCOLS.index(protocol) if known else len(PROTOCOLS)
    return number, protocol, client not in SUITES, client.casefold()


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |\n" for cells in (head, *rows)]
    return "".join([lines[0], f"|{'---|' * len(head)}\n", *lines[1:]])
