"""WebSockets on aiohttp's streams: faults, closing handshakes, slow clients and busy handlers."""

from unisock.testing.frames import FrameSuite


class TestFrames(FrameSuite):
    adapter = "aiohttp"
