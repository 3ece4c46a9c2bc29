"""The classes of sockjs-tornado that this adapter builds on; their types are in ``library.pyi``."""
# pyright: basic

import warnings

with warnings.catch_warnings():
    # The library is of 2020: it uses a decorator that it calls deprecated, and odd escapes.
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", SyntaxWarning)
    from sockjs.tornado import SockJSConnection, SockJSRouter
    from sockjs.tornado.basehandler import BaseHandler, PreflightHandler
    from sockjs.tornado.session import BaseSession, Session
    from sockjs.tornado.static import (
        IFRAME_TEXT,
        ChunkingTestHandler,
        GreetingsHandler,
        IFrameHandler,
        InfoHandler,
    )
    from sockjs.tornado.transports import (
        EventSourceTransport,
        HtmlFileTransport,
        JSONPSendHandler,
        JSONPTransport,
        RawWebSocketTransport,
        WebSocketTransport,
        XhrPollingTransport,
        XhrSendHandler,
        XhrStreamingTransport,
    )
    from sockjs.tornado.transports.htmlfile import HTMLFILE_HEAD
    from sockjs.tornado.transports.pollingbase import PollingTransportBase
    from sockjs.tornado.transports.rawwebsocket import RawSession
    from sockjs.tornado.transports.streamingbase import StreamingTransportBase
    from sockjs.tornado.websocket import SockJSWebSocketHandler

__all__ = [
    "HTMLFILE_HEAD",
    "IFRAME_TEXT",
    "BaseHandler",
    "BaseSession",
    "ChunkingTestHandler",
    "EventSourceTransport",
    "GreetingsHandler",
    "HtmlFileTransport",
    "IFrameHandler",
    "InfoHandler",
    "JSONPSendHandler",
    "JSONPTransport",
    "PollingTransportBase",
    "PreflightHandler",
    "RawSession",
    "RawWebSocketTransport",
    "Session",
    "SockJSConnection",
    "SockJSRouter",
    "SockJSWebSocketHandler",
    "StreamingTransportBase",
    "WebSocketTransport",
    "XhrPollingTransport",
    "XhrSendHandler",
    "XhrStreamingTransport",
]
