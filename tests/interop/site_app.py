"""An application for the tests of ``unisock check URL``: an endpoint of each protocol."""

from unisock import Handshake, HandshakeRejected, Server, Spark

server = Server(
    folder=None,
    adapter="tornado",
    trusted_proxies=["127.0.0.1"],
    drain_seconds=0,  # sessions that poll outlive their visitor
    endpoints=[
        {"path": "/ws", "codec": "text"},
        {"path": "/sockjs", "protocol": "sockjs", "codec": "text"},
        {"path": "/engine.io", "protocol": "engineio", "codec": "text"},
        {
            "path": "/events",
            "protocol": "eventsource",
            "codec": "text",
            "options": {"post": True},
            "limits": {"message_bytes": 3_000_000},
        },
    ],
)


@server.on_message
def nobody_speaks(spark: Spark, message: str) -> None:
    """A check has nothing to say to the application."""
    raise AssertionError(message)


@server.endpoint("/members").authorize
def members_only(handshake: Handshake) -> str:
    if handshake.headers.get("authorization") != "Bearer sesame":
        raise HandshakeRejected("log in first", status=401)
    return "a member"
