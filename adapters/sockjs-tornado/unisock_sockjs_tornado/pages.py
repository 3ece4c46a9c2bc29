"""What an endpoint says outside of sessions: the greeting, the info, the page for iframes."""

from __future__ import annotations

from .guard import Guarded, Plain
from .library import GreetingsHandler, IFrameHandler, InfoHandler

__all__ = ["Greeting", "IFrame", "Info"]


class Greeting(Plain, GreetingsHandler):
    """``GET …/``"""

    async def check(self) -> None:
        """For everybody."""


class Info(Plain, InfoHandler):
    """``GET …/info``: what the server offers; with it sockjs-client begins."""


class IFrame(Plain, IFrameHandler):
    """``GET …/iframe*.html``: only pages of the allowed origins may embed it."""

    embeds = True

    async def check(self) -> None:
        ancestors = " ".join(["'self'", *sorted(self.gate.origins)])
        self.set_header("Content-Security-Policy", f"frame-ancestors {ancestors}")
        await Guarded.check(self)
