"""The suite for adapters whose WebSockets are built on `unisock.frame_connection`, or promise the
same: faults told to the byte, replies gathered, nothing lost while reading is paused.

Run it beside `unisock.testing.adapters.AdapterSuite`::

    from unisock.testing.frames import FrameSuite


    class TestFrames(FrameSuite):
        adapter = "tornado"
"""

from __future__ import annotations

from .conformance.flow import FramePressureTests
from .conformance.frames import FrameClosingTests

__all__ = ["FrameSuite"]


class FrameSuite(FrameClosingTests, FramePressureTests):
    """Derive a test class from it; see `AdapterTests` for what can be set."""
