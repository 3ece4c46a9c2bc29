"""The conformance suite for protocols: how a session lives on HTTP exchanges and WebSockets.

A test file of ten lines runs it, on one host::

    from unisock.testing.protocols import ProtocolSuite, Way


    class TestOnTornado(ProtocolSuite):
        protocol = "sockjs"
        host = "tornado"
        scheme = "sockjs+http"
        ways = {
            "websocket": Way(options={"transports": ["websocket"]}),
            "xhr-streaming": Way(options={"transports": ["xhr-streaming"]}, close_to_server=False),
        }

A real server listens, and `unisock.connect` speaks to it by the protocol's own connector, over each
way. What the `Protocol`, the `Way` and the host's `Capabilities` say can be done is tested; what
they do not say is skipped, and only that.
"""

from __future__ import annotations

from .admission import AdmissionTests, OptionTests
from .base import ProtocolTests, Way
from .closing import ClosingTests
from .lifecycle import HeartbeatTests, LifecycleTests
from .messages import MessageTests
from .pressure import PressureTests

__all__ = ["ProtocolSuite", "ProtocolTests", "Way"]


class ProtocolSuite(
    MessageTests,
    AdmissionTests,
    OptionTests,
    ClosingTests,
    PressureTests,
    HeartbeatTests,
    LifecycleTests,
):
    """Derive a test class from it; see `ProtocolTests` for what can be set."""
