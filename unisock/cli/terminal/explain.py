"""Why there is no connection, and what to type instead."""

from __future__ import annotations

import os
import re
import ssl

from ...errors import ConnectionRejected, HandshakeRejected, Redirected, Unreachable
from ...messages import printable

__all__ = ["explain"]

_ADVICE = {
    401: "say who you are with --auth USER:PASSWORD or --token TOKEN",
    403: "a server that looks at the page wants --origin",
    404: "look at the path of the URL",
    407: "the proxy wants --proxy http://USER:PASSWORD@HOST:PORT",
}

_NO_TLS = "is it wss:// and not ws://?"


def explain(error: BaseException, *, redirects: int = 0) -> str:
    """An error of `connect` in one line.

    :param redirects: how many were to be followed
    """
    if isinstance(error, Unreachable | ConnectionRejected) and error.__cause__ is not None:
        return explain(error.__cause__, redirects=redirects)
    match error:
        case HandshakeRejected():
            advice = _ADVICE.get(error.status)
            text = f"the server refuses with {error.status}: {printable(error.reason, 300)}"
            return f"{text}; {advice}" if advice else text
        case Redirected():
            advice = f"over --max-redirects {redirects}" if redirects else "type -L to follow"
            return f"{printable(str(error), 300)}; {advice}"
        case ssl.SSLCertVerificationError():
            return (
                f"the server's certificate is not in order: {error.verify_message}; --ca FILE "
                "trusts its authority, --host NAME is whom to expect, --no-check trusts anybody"
            )
        case ssl.SSLError():
            reason = (error.reason or str(error)).replace("_", " ").lower()
            return f"TLS failed: {reason}; {_NO_TLS}"
        case _:
            text = printable(_plain(str(error)) or type(error).__name__, 300)
            return f"{text}; {_NO_TLS}" if "TLS handshake" in text else text


def _plain(text: str) -> str:
    """Without what only programmers want to know of an address that cannot be reached."""
    found = re.match(r"(cannot connect to .+?): .*?\[Errno (\d+)\]", text)
    if found:
        return f"{found[1]}: {os.strerror(int(found[2])).lower()}"
    return re.sub(r"\[Errno -?\d+\] ", "", text)
