"""The contracts: what adapters, protocols and dialects derive from, and what they are given.

Receiving is push. A driver's callback calls `Receiver.on_message`, the dialect calls
`Party.on_data`, the spark calls the handler: plain calls, one inside the other. Nothing in that
chain raises, blocks, or makes a task.

Sending is `Connection.put`, which never blocks, and `Connection.drain`, which waits for room.
"""

from .adapter import Adapter, Answer, Gate, Gateway, Listener, Protocol, Upgrade
from .connection import NOBODY, Connection, Receiver, Runtime
from .connector import Call, Connector
from .dialect import Dialect
from .encoder import Encoder, Opener, Party
from .greeting import Greeting
from .multiplexer import Multiplexer
from .stage import Channel, Stage

__all__ = [
    "NOBODY",
    "Adapter",
    "Answer",
    "Call",
    "Channel",
    "Connection",
    "Connector",
    "Dialect",
    "Encoder",
    "Gate",
    "Gateway",
    "Greeting",
    "Listener",
    "Multiplexer",
    "Opener",
    "Party",
    "Protocol",
    "Receiver",
    "Runtime",
    "Stage",
    "Upgrade",
]
