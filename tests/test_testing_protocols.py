"""The shipped suite for protocols finds what is wrong: protocols with one fault each."""

import textwrap
from typing import NamedTuple

import pytest

import unisock.testing.protocols  # noqa: F401 - imported once, not in the run below

pytest_plugins = ["pytester"]


class Fault(NamedTuple):
    """What is wrong with a protocol, the test that must fail for it, and what that must say."""

    protocol: str = ""
    receiver: str = ""
    test: str = ""
    says: str = ""


FAULTS = {
    "Reorders": Fault(
        receiver="""
            held = None

            def on_message(self, message):
                if self.held is None:
                    self.held = message
                else:
                    self.inner.on_message(message)
                    self.inner.on_message(self.held)
                    self.held = None
            """,
        test="test_many_messages_each_way_keep_their_order",
        says="assert ['1', '0'",
    ),
    "LosesMessages": Fault(
        receiver="""
            def on_message(self, message):
                if message != "500":
                    self.inner.on_message(message)
            """,
        test="test_many_messages_each_way_keep_their_order",
        says="TimeoutError",
    ),
    "TurnsTextIntoBytes": Fault(
        receiver="""
            def on_message(self, message):
                self.inner.on_message(message.encode() if message == "κόσμε" else message)
            """,
        test="test_text_comes_back_as_it_was",
        says="assert ",
    ),
    "LosesTheCloseCode": Fault(
        receiver="""
            def on_close(self, close):
                self.inner.on_close(Close(1000, "", origin=close.origin))
            """,
        test="test_the_clients_close_reaches_the_server",
        says="assert (1000, <Origin.PEER",
    ),
    "NeverTellsOfTheEnd": Fault(
        receiver="""
            def on_close(self, close): ...
            """,
        test="test_a_client_that_vanishes_is_noticed_and_forgotten",
        says="TimeoutError",
    ),
    "AsksNobody": Fault(
        protocol="""
            async def answer(self, request):
                return Upgrade(self.gate, request.handshake, self.open)
            """,
        test="test_pages_come_in_by_their_origin",
        says="DID NOT RAISE",
    ),
    "HidesTheTransport": Fault(
        protocol="""
            def open(self, connection):
                connection.handshake.transport = "pigeon"
                self.gate.open(connection)
            """,
        test="test_the_application_knows_who_came_in",
        says="TimeoutError",
    ),
    "LeavesATask": Fault(
        protocol="""
            def open(self, connection):
                self.gate.runtime.spawn(anyio.sleep_forever)
                self.gate.open(connection)
            """,
        test="test_clients_leave_nothing_behind",
        says="TimeoutError",
    ),
    "LeavesATimer": Fault(
        protocol="""
            def open(self, connection):
                self.gate.runtime.timers.call_later(60, list)
                self.gate.open(connection)
            """,
        test="test_clients_leave_nothing_behind",
        says="TimeoutError",
    ),
    "KeepsWhoWent": Fault(
        protocol="""
            def open(self, connection):
                self.gate.open(connection)
                KEPT.append(connection.receiver)
            """,
        test="test_clients_leave_nothing_behind",
        says="something refers to",
    ),
}

HEAD = """
from inspect import isawaitable

import anyio
from unisock import Close, Origin
from unisock.abc import Receiver, Upgrade
from unisock.registry import offer
from unisock.testing.protocols import ProtocolSuite, Way
from unisock.websocket import WebSocketProtocol

KEPT = []


class Passing(Receiver):
    def __init__(self, inner):
        self.inner = inner

    def on_message(self, message):
        self.inner.on_message(message)

    def on_close(self, close):
        self.inner.on_close(close)


class Wrong(WebSocketProtocol):
    receiver = Passing

    async def answer(self, request):
        answer = super().answer(request)
        if isawaitable(answer):
            answer = await answer
        if isinstance(answer, Upgrade):
            return Upgrade(self.gate, answer.handshake, self.open)
        return answer

    def open(self, connection):
        self.gate.open(connection)
        connection.receiver = self.receiver(connection.receiver)


class WrongSuite(ProtocolSuite):
    host = "websockets"
    scheme = "ws"
    ways = {"websocket": Way()}
    backends = ("asyncio",)
"""
ONE = """

class Receiver{name}(Passing):
{receiver}


class {name}(Wrong):
    name = "wrong-{name}"
    receiver = Receiver{name}
{protocol}


offer("protocol", "wrong-{name}", {name})


class Test{name}(WrongSuite):
    protocol = "wrong-{name}"
    patience = {patience}
"""


def source(faults: dict[str, Fault]) -> str:
    """A test file with the suite on a protocol for each fault."""
    parts = [HEAD]
    for name, fault in faults.items():
        bodies = {
            part: textwrap.indent(textwrap.dedent(getattr(fault, part) or "pass"), "    ")
            for part in ("receiver", "protocol")
        }
        patience = 1.0 if fault.says == "TimeoutError" else 20.0
        parts.append(ONE.format(name=name, patience=patience, **bodies))
    return "".join(parts)


def outcomes(pytester: pytest.Pytester, *arguments: str) -> dict[str, list[pytest.TestReport]]:
    """The reports of the tests themselves, by test class."""
    record = pytester.inline_run("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments)
    reports: dict[str, list[pytest.TestReport]] = {}
    for report in record.getreports("pytest_runtest_logreport"):
        assert isinstance(report, pytest.TestReport)
        if report.when == "call":
            reports.setdefault(report.nodeid.split("::")[1], []).append(report)
    return reports


def test_each_fault_of_a_protocol_fails_its_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_wrong=source(FAULTS))
    chosen = [f"test_wrong.py::Test{name}::{fault.test}" for name, fault in FAULTS.items()]
    reports = outcomes(pytester, *chosen)
    for name, fault in FAULTS.items():
        failed = [report for report in reports[f"Test{name}"] if report.failed]
        assert failed, f"{name} passes {fault.test}"
        assert any(fault.says in report.longreprtext for report in failed), failed[0].longreprtext


def test_without_the_faults_the_same_tests_pass(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_right=source({"Right": Fault()}))
    chosen = {f"test_right.py::TestRight::{fault.test}" for fault in FAULTS.values()}
    reports = outcomes(pytester, *chosen)["TestRight"]
    assert [report.nodeid for report in reports if not report.passed] == []
    assert len(reports) >= len(chosen)
