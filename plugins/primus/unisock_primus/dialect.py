"""The dialect: what Primus 8, its parsers and its plugins put into messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, cast

from unisock import ConfigError, EncodeError
from unisock.abc import Connection, Dialect, Gate, Receiver, Stage
from unisock.assets import Asset
from unisock.codecs import Codec
from unisock.messages import Close, Data, Packet, Wire
from unisock.plain import PlainDialect

from . import words
from .conversation import Conversation, Speech
from .envelopes import OF_CLIENTS, OF_SERVERS, Envelopes
from .options import ClientOptions, Options
from .spec import Spec, SpecPage
from .substreams import SubstreamEncoder

__all__ = ["PrimusDialect"]

_Options: TypeAlias = Options  # the class below has attributes of these names
_ClientOptions: TypeAlias = ClientOptions


class PrimusDialect(Dialect):
    """For the clients of Primus 8, over the protocols ``websocket``, ``sockjs`` and ``engineio``;
    and for clients of its servers.
    """

    name = "primus"
    Options = Options
    ClientOptions = ClientOptions
    path = "/primus"
    refusal = 401

    def __init__(self, codec: Codec, options: Any = None) -> None:
        super().__init__(codec, options)
        told = cast("_ClientOptions", self.options)
        self._serves = isinstance(told, _Options)
        envelopes = Envelopes(told, OF_CLIENTS if self._serves else OF_SERVERS)
        substreams = told.channels == "substream"
        self._speech = Speech(
            encoder=self,
            inner=SubstreamEncoder(codec) if substreams else PlainDialect(codec),
            envelopes=envelopes,
            options=told,
        )

    def install(self, gate: Gate) -> Mapping[str, Asset]:
        if gate.endpoint.refusal == "close":
            raise ConfigError(
                f'endpoint {gate.endpoint.path}: refusal = "close" would let Primus clients come '
                "back for ever, who do not go by close codes; leave it out",
                key=f"endpoint {gate.endpoint.path}: refusal",
            )
        self._speech = replace(self._speech, heartbeat=gate.heartbeat)
        documents: dict[str, Asset] = {"/spec": SpecPage(Spec.of(gate), gate)}
        options = self._speech.options
        if isinstance(options, _Options) and options.client:
            documents["/primus.js"] = _library(options.client, gate.endpoint.path)
        return documents

    def converse(self, connection: Connection, stage: Stage) -> Receiver:
        return Conversation(connection, stage, self._speech)

    def encode_data(self, payload: object) -> Wire:
        if isinstance(payload, str) and payload.startswith(words.PREFIX):
            # Else whoever can have a text sent on could throw all others out.
            raise EncodeError(f"text that begins with {words.PREFIX} is for Primus itself")
        return self.codec.encode(payload)

    def encode(self, packet: Packet) -> Wire:
        if isinstance(packet, Data):
            return self.encode_data(packet.payload)
        return self.codec.encode(self._speech.envelopes.seal(packet))

    def farewell(self, close: Close) -> Wire | None:
        if not self._serves or close.come_back:
            return None
        return self.codec.encode(words.CLOSE)


def _library(file: str, path: str) -> Asset:
    try:
        body = Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"endpoint {path}: options.client: {file} cannot be read: {error.strerror}; to write "
            f"it, type: unisock primus-client MODULE:SERVER --endpoint {path}",
            key=f"endpoint {path}: options.client",
        ) from error
    return Asset(body, "text/javascript; charset=utf-8")
