"""The contracts: what adapters, protocols and dialects derive from, and what they are given.

Receiving is push. A driver's callback calls `Receiver.on_message`, the dialect calls
`Party.on_data`, the spark calls the handler: plain calls, one inside the other. Nothing in that
chain raises, blocks, or makes a task.

Sending is `Connection.put`, which never blocks, and `Connection.drain`, which waits for room.
"""

from .adapter import Adapter, Gate, Gateway, Listener, Protocol, Upgrade
from .connection import NOBODY, Connection, Receiver, Runtime
from .dialect import Dialect, Encoder, Party, Stage

__all__ = [
    "NOBODY",
    "Adapter",
    "Connection",
    "Dialect",
    "Encoder",
    "Gate",
    "Gateway",
    "Listener",
    "Party",
    "Protocol",
    "Receiver",
    "Runtime",
    "Stage",
    "Upgrade",
]
