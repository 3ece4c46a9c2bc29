"""The shipped suites find what is wrong: adapters and plugins with one fault each."""

import textwrap
from typing import NamedTuple

import pytest

# Imported once, not in each of the runs below.
import unisock.testing.adapters
import unisock.testing.plugins  # noqa: F401

pytest_plugins = ["pytester"]


class Fault(NamedTuple):
    """What is wrong with an adapter, the test that must fail for it, and what that must say."""

    peer: str = ""
    suite: str = ""
    test: str = ""
    says: str = ""


FAULTS = {
    "Reorders": Fault(
        peer="""
            _held = None

            def deliver(self, message):
                if self._held is None:
                    self._held = message
                    return False
                held, self._held = self._held, None
                return super().deliver(message) or super().deliver(held)
            """,
        test="test_a_thousand_messages_keep_their_order",
        says="assert ['1', '0'",
    ),
    "LosesMessages": Fault(
        peer="""
            def deliver(self, message):
                return False if message == "500" else super().deliver(message)
            """,
        test="test_a_thousand_messages_keep_their_order",
        says="TimeoutError",
    ),
    "LosesItsCloseCode": Fault(
        peer="""
            def finish(self, close):
                super().finish(Close(1000, "", origin=close.origin))
            """,
        test="test_the_servers_close_reaches_the_client",
        says="assert (1000, '') == (3000, 'app')",
    ),
    "LosesTheClientsCloseCode": Fault(
        peer="""
            async def close(self, code=1000, reason=""):
                await super().close(1000, "")
            """,
        test="test_the_clients_close_reaches_the_server",
        says="assert (1000, '', <O",
    ),
    "TakesALossForAClose": Fault(
        peer="""
            def drop(self):
                self._connection.ended(Close(1000, "", origin=Origin.PEER))
            """,
        test="test_a_sudden_loss_is_seen_once_as_1006",
        says="assert (1000, <Origin.PEER",
    ),
    "TurnsTextIntoBytes": Fault(
        peer="""
            def deliver(self, message):
                return super().deliver(message.encode() if isinstance(message, str) else message)
            """,
        test="test_text_comes_back",
        says="assert b'hello' == 'hello'",
    ),
    "BuffersWithoutEnd": Fault(
        peer="""
            def deliver(self, message):
                super().deliver(message)
                return False
            """,
        test="test_drop_newest_keeps_what_it_took",
        says="the driver's buffer has no end",
    ),
    "IgnoresPausing": Fault(
        peer="""
            async def send(self, message):
                await anyio.lowlevel.checkpoint()
                self._connection.paused = None
                await super().send(message)
            """,
        test="test_a_busy_handler_stops_the_client",
        says="the server takes more than its handler can follow",
    ),
    "ForgetsToLeave": Fault(
        peer="""
            async def close(self, code=1000, reason=""):
                await anyio.lowlevel.checkpoint()
                self.finish(Close(code, reason))
            """,
        test="test_two_hundred_clients_leave_nothing_behind",
        says="TimeoutError",
    ),
    "LeavesATask": Fault(
        peer="""
            def finish(self, close):
                super().finish(close)
                self._connection.gate.runtime.spawn(anyio.sleep_forever)
            """,
        test="test_two_hundred_clients_leave_nothing_behind",
        says="TimeoutError",
    ),
    "IsDeafToSilence": Fault(
        peer="""
            answers_pings = property(lambda self: True, lambda self, value: None)
            """,
        test="test_a_client_that_answers_no_ping_is_let_go",
        says="TimeoutError",
    ),
    "IgnoresMessageBytes": Fault(
        suite="ignored = {'message_bytes'}",
        test="test_one_byte_over_the_limit_closes_with_1009",
        says="TimeoutError",
    ),
    "IgnoresConnections": Fault(
        suite="ignored = {'connections'}",
        test="test_over_the_cap_on_connections_is_503",
        says="DID NOT RAISE",
    ),
    "IgnoresConnectionsPerAddress": Fault(
        suite="ignored = {'connections_per_address'}",
        test="test_over_the_cap_per_address_is_503",
        says="DID NOT RAISE",
    ),
    "IgnoresTheOutbox": Fault(
        suite="ignored = {'outbox_messages', 'outbox_bytes'}",
        test="test_drop_oldest_keeps_the_latest",
        says="assert ",
    ),
    "IgnoresAuthorizeSeconds": Fault(
        suite="ignored = {'authorize_seconds'}",
        test="test_an_authorize_that_takes_too_long_is_503",
        says="TimeoutError",
    ),
}

HEAD = """
import anyio
from unisock import Address, Close, Handshake, Origin
from unisock.exchange import Request, Response
from unisock.memory import MemoryAdapter, MemoryPeer, Refused
from unisock.testing.adapters import AdapterSuite


class WrongAdapter(MemoryAdapter):
    peer = MemoryPeer

    async def connect(self, target="/ws", *, headers=(), peer=Address("127.0.0.1", 1)):
        request = Request(Handshake(target=target, headers=headers, peer=peer), upgrade=True)
        answer = await self._ask(request)
        if isinstance(answer, Response):
            raise Refused(answer)
        return self.peer(answer)


class WrongSuite(AdapterSuite):
    backends = ("asyncio",)
    ignored = frozenset()

    def server(self, **settings):
        limits = settings.pop("limits", {})
        kept = {name: value for name, value in limits.items() if name not in self.ignored}
        return super().server(limits=kept, **settings)

"""
ONE = """
class Peer{name}(MemoryPeer):
{peer}

class Adapter{name}(WrongAdapter):
    peer = Peer{name}

class Test{name}(WrongSuite):
    adapter = Adapter{name}
    patience = {patience}
    {suite}

"""


def source(faults: dict[str, Fault]) -> str:
    """A test file with the suite on an adapter for each fault."""
    parts = [HEAD]
    for name, fault in faults.items():
        peer = textwrap.indent(textwrap.dedent(fault.peer or "pass"), "    ")
        patience = 1.0 if fault.says == "TimeoutError" else 20.0
        parts.append(ONE.format(name=name, peer=peer, suite=fault.suite, patience=patience))
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


def test_each_fault_of_an_adapter_fails_its_test(pytester: pytest.Pytester) -> None:
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


def test_what_an_adapter_cannot_do_is_skipped_by_capability(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_right=source({"Right": Fault()}))
    chosen = [
        f"test_right.py::TestRight::{test}"
        for test in (
            "test_tls",
            "test_a_unix_socket",
            "test_too_many_fragments_close_the_connection",
        )
    ]
    reports = outcomes(pytester, *chosen)["TestRight"]
    reasons = [str(report.longrepr[2]) for report in reports if isinstance(report.longrepr, tuple)]
    assert [reason.removeprefix("Skipped: capability: ") for reason in reasons] == [
        "tls",
        "unix",
        "fragments",
    ]


PLUGIN_FAULTS = {
    "Keeps": ("counts = True", "test_sparks_that_went_are_forgotten"),
    "KeepsUncounted": ("", "test_sparks_that_went_are_forgotten"),
    "Shares": ("counts = True", "test_two_servers_share_nothing"),
    "ForgetsTheMark": (
        "def unisock_open(self, spark): pass",
        "test_every_hook_is_known_and_marked",
    ),
    "InventsAHook": (
        "@hookimpl\ndef unisock_opened(self): pass",
        "test_every_hook_is_known_and_marked",
    ),
    "TrustsPayloads": (
        """
        @hookimpl
        def unisock_configure(self, register):
            register.incoming(self.read)

        def read(self, spark, payload):
            return payload if payload == "ping" else payload["room"]
        """,
        "test_hostile_messages_harm_nobody",
    ),
}
PLUGIN = """
from unisock import hookimpl
from unisock.testing.plugins import PluginSuite

class Plugin{name}:
    counts = False
    seats = []

{body}

class Test{name}(PluginSuite):
    plugin = Plugin{name}

    async def use(self, plugin, spark):
        plugin.seats.append(spark)

    def kept(self, plugin):
        return len(plugin.seats) if plugin.counts else None

"""


def test_each_fault_of_a_plugin_fails_its_test(pytester: pytest.Pytester) -> None:
    parts: list[str] = []
    for name, (body, _) in PLUGIN_FAULTS.items():
        parts.append(PLUGIN.format(name=name, body=textwrap.indent(textwrap.dedent(body), "    ")))
    pytester.makepyfile(test_wrong="".join(parts))
    chosen = [f"test_wrong.py::Test{name}::{test}" for name, (_, test) in PLUGIN_FAULTS.items()]
    reports = outcomes(pytester, *chosen)
    for name in PLUGIN_FAULTS:
        assert reports[f"Test{name}"], name
        assert [report.nodeid for report in reports[f"Test{name}"] if not report.failed] == []
