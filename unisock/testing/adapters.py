"""The conformance suite for adapters.

A test file of ten lines runs it::

    from unisock.testing.adapters import AdapterSuite


    class TestConformance(AdapterSuite):
        adapter = "websockets"

It tests what the adapter's `Capabilities` claim, on every backend that they name, over TCP, TLS and
Unix sockets, with raw clients. What they do not claim is skipped, and only that.
"""

from __future__ import annotations

from .conformance.admission import AdmissionTests, ListeningTests
from .conformance.answers import AnswerTests
from .conformance.closing import ClosingTests, ViolationTests
from .conformance.exchanges import ExchangeTests
from .conformance.lifecycle import HttpTests, LifecycleTests
from .conformance.messages import MessageTests
from .conformance.pressure import HeartbeatTests, PressureTests

__all__ = ["AdapterSuite"]


class AdapterSuite(
    MessageTests,
    ClosingTests,
    ViolationTests,
    AdmissionTests,
    ListeningTests,
    PressureTests,
    HeartbeatTests,
    HttpTests,
    ExchangeTests,
    AnswerTests,
    LifecycleTests,
):
    """Derive a test class from it; see `AdapterTests` for what can be set."""
