"""The settings, and where they come from.

In rising order: ``unisock.toml``, ``[tool.unisock]`` in ``pyproject.toml``, ``UNISOCK_*`` in the
environment, keyword arguments of `Server`, the command line. Tables are merged key by key,
endpoints by their path; any other value replaces the one below it.
"""

from __future__ import annotations

import difflib
import os
import re
import ssl
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from math import isfinite
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import msgspec

from .errors import ConfigError
from .handshake import TrustedProxies
from .limits import Heartbeat, Limits, Overflow

__all__ = [
    "Endpoint",
    "Listen",
    "Settings",
    "Source",
    "Tls",
    "from_text",
    "load",
    "merge",
    "read_sources",
]

Source: TypeAlias = tuple[str, Mapping[str, Any]]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration."""


class Tls(_Table, frozen=True, kw_only=True):
    """``[listen.tls]``: serve ``https`` and ``wss``."""

    certificate: str
    """The PEM file with the certificate chain."""
    key: str | None = None
    """The PEM file with the private key, if it is not in `certificate`."""
    password: str | None = None
    """The key's password."""
    client_ca: str | None = None
    """A PEM file: demand a certificate that it signed from every client."""

    def context(self) -> ssl.SSLContext:
        """The settings as Python's `ssl` takes them.

        :raises ConfigError: a file is missing or not what it should be
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.certificate, self.key, self.password)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"listen.tls: cannot load {self.certificate}: {error}", key="listen.tls"
            ) from error
        return context


class Listen(_Table, frozen=True, kw_only=True):
    """``[listen]``: where clients connect."""

    host: str = "127.0.0.1"
    """A name or address; every address that it resolves to is bound."""
    port: int = 8000
    """0 takes a free port."""
    unix: str | None = None
    """Listen on this Unix socket instead."""
    backlog: int = 2048
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port: must be from 0 to 65535, not {self.port}")


class Endpoint(_Table, frozen=True, kw_only=True):
    """``[[endpoints]]``: a path, and what is spoken there."""

    path: str
    """Where clients connect, such as ``/ws``."""
    protocol: str | None = None
    """How sessions are carried; by default what the adapter brings itself, else ``websocket``."""
    dialect: str = "plain"
    codec: str = "json"
    subprotocols: tuple[str, ...] = ()
    """Subprotocols that are spoken here, best first."""
    origins: tuple[str, ...] | None = None
    """Replaces the server's `origins`."""
    overflow: Overflow | None = None
    """Replaces the server's `overflow`."""
    limits: dict[str, float] = {}
    """Replaces single limits of the server's."""
    heartbeat: dict[str, float] = {}
    """Replaces single values of the server's."""
    options: dict[str, Any] = {}
    """What its protocol and its dialect alone can be told."""
    refusal: Literal["http", "close"] = "http"
    """How a refused WebSocket learns of it: by the HTTP response, which is cheap, but browsers hide
    it from scripts; or by a close frame with code and reason, once it was accepted for that."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"/[^?#\s]*", self.path):
            raise ValueError(f"a path begins with / and has no ?, # or space; not {self.path!r}")
        if self.path != self.path.rstrip("/") and self.path != "/":
            raise ValueError(
                f"write {self.path.rstrip('/') or '/'}, which also answers for {self.path}"
            )
        for name in self.limits:
            if name in _SERVER_WIDE:
                raise ValueError(f"limits: {name} is for the whole server; set it in [limits]")
        _check_names("limits", self.limits, Limits)
        _check_names("heartbeat", self.heartbeat, Heartbeat)
        _check_origins(self.origins or ())


class Settings(_Table, frozen=True, kw_only=True):
    """All settings of a server."""

    adapter: str = "websockets"
    """Who owns the socket."""
    backend: Literal["asyncio", "trio"] = "asyncio"
    """The event loop."""
    listen: Listen = Listen()
    endpoints: tuple[Endpoint, ...] = ()
    """``/ws`` with all defaults, if there is none."""
    plugins: tuple[str, ...] = ()
    """Plugins by name, besides those given to `Server` as objects."""
    origins: tuple[str, ...] = ()
    """Pages that may connect besides those of the same origin; ``*`` for all."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose ``X-Forwarded-*`` headers are believed; ``unix`` for a socket."""
    overflow: Overflow = Overflow.DISCONNECT
    """What happens to a message for a client whose outbox is full."""
    drain_seconds: float = 10.0
    """How long SIGTERM and SIGINT wait for clients to leave."""
    workers: int | Literal["auto"] = 1
    """Processes that share the address, if unisock starts them; ``auto``: one for each CPU."""
    freeze: bool = False
    """What survived a full garbage collection is spared the next, in processes unisock starts."""
    limits: Limits = Limits()
    heartbeat: Heartbeat = Heartbeat()
    options: dict[str, dict[str, Any]] = {}
    """``[options.NAME]``: options of the adapter or plugin with that name."""

    def __post_init__(self) -> None:
        try:
            TrustedProxies(self.trusted_proxies)
        except ValueError as error:
            raise ValueError(f"trusted_proxies: {error}") from error
        _check_origins(self.origins)
        if not (isfinite(self.drain_seconds) and self.drain_seconds >= 0):
            raise ValueError("drain_seconds: must be a number of seconds, 0 or more")
        if self.workers != "auto" and self.workers < 1:
            raise ValueError('workers: must be 1 or more, or "auto"')
        paths = [endpoint.path for endpoint in self.endpoints]
        for path in paths:
            if paths.count(path) > 1:
                raise ValueError(f"endpoints: {path} is there twice")


_SERVER_WIDE = ("connections", "connections_per_address", "handshake_seconds")
"""Limits that are reached before it is known which endpoint a client wants."""


def _check_origins(origins: Sequence[str]) -> None:
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#\s]+", origin):
            raise ValueError(f"origins: {origin!r} is no origin; write it like https://example.com")


def _check_names(where: str, given: Mapping[str, float], table: type[msgspec.Struct]) -> None:
    for name in given:
        if name not in table.__struct_fields__:
            hint = _did_you_mean(name, table.__struct_fields__)
            raise ValueError(f"{where}.{name}: no such setting{hint}")


def load(sources: Sequence[Source]) -> Settings:
    """Merge sources, given in rising order, and validate the result.

    :param sources: each a name for errors (``unisock.toml``) and its table
    :raises ConfigError: a key is unknown or a value is of the wrong kind; names key and source
    """
    merged: dict[str, Any] = {}
    for source, table in sources:
        if not isinstance(cast("object", table), Mapping):
            raise ConfigError(f"{source}: this must be a table of settings", source=source)
        merge(merged, table)
    try:
        return _validate("settings", merged)
    except ConfigError:
        # Something is wrong: add one source after the other to find out whose fault it is.
        so_far: dict[str, Any] = {}
        for source, table in sources:
            merge(so_far, table)
            _validate(source, so_far)
        raise


def read_sources(folder: Path, environ: Mapping[str, str] | None = None) -> list[Source]:
    """The configuration files of a folder, and the environment, as sources for `load`.

    :raises ConfigError: a file is no TOML, or a ``UNISOCK_*`` variable means nothing
    """
    sources: list[Source] = []
    own, project = folder / "unisock.toml", folder / "pyproject.toml"
    if own.is_file():
        sources.append(("unisock.toml", _read_toml(own)))
    if project.is_file():
        tool = _read_toml(project).get("tool")
        if isinstance(tool, dict) and "unisock" in tool:
            tables = cast("dict[str, Any]", tool)
            sources.append(("pyproject.toml [tool.unisock]", tables["unisock"]))
    sources.extend(_read_environment(os.environ if environ is None else environ))
    return sources


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        quotes = "; text needs quotes" if str(error).startswith("Invalid value") else ""
        raise ConfigError(f"{path.name}: {error}{quotes}", source=path.name) from error


def _read_environment(environ: Mapping[str, str]) -> Iterator[Source]:
    """``UNISOCK_LISTEN_PORT=80`` sets ``listen.port``; tuples are comma-separated or JSON."""
    names = dict(_environment_names(Settings))
    for name, text in environ.items():
        if not name.startswith("UNISOCK_"):
            continue
        if name not in names:
            raise ConfigError(
                f"{name}: no such setting{_did_you_mean(name, names)}",
                key=name,
                source="environment",
            )
        try:
            yield name, from_text(names[name], text)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}", key=name, source="environment") from error


def from_text(path: Sequence[str], text: str) -> dict[str, Any]:
    """One setting as a table, its value given as text, by the environment or the command line.

    Lists and tables are written as JSON; lists of words also with commas. Options of adapters and
    plugins, whose kinds are not known here, are JSON if they can be, and text otherwise.

    :raises ConfigError: it begins like JSON and is not
    """
    value: Any = text
    if (text[:1] in ("[", "{") and not _is_text(path)) or path[0] == "options":
        try:
            value = msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:
            if text[:1] in ("[", "{"):
                raise ConfigError(f"not JSON: {error}", key=".".join(path)) from error
    elif tuple(path) in (("plugins",), ("origins",), ("trusted_proxies",)):
        value = [item.strip() for item in text.split(",") if item.strip()]
    table: Any = value
    for key in reversed(path):
        table = {key: table}
    return cast("dict[str, Any]", table)


def _is_text(path: Sequence[str]) -> bool:
    """Whether the setting is text, and so whatever is written there: a password, a file."""
    return _kind_at(path) in (str, str | None)


def _environment_names(
    table: type[msgspec.Struct], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for field in msgspec.structs.fields(table):
        here = (*path, field.name)
        yield "UNISOCK_" + "_".join(here).upper(), here
        nested = _struct_of(field.type)
        if nested is not None:
            yield from _environment_names(nested, here)


def _struct_of(annotation: object) -> type[msgspec.Struct] | None:
    """The table in ``Table`` or ``Table | None``."""
    options = (
        typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    )
    for option in options:
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    return None


def merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Put a table of settings above another, which is changed."""
    for key, value in above.items():
        if key == "endpoints":
            below[key] = _merge_endpoints(below.get(key, ()), value)
        elif isinstance(value, Mapping) and isinstance(below.get(key), dict):
            merge(below[key], cast("Mapping[str, Any]", value))
        elif isinstance(value, Mapping):
            below[key] = {}
            merge(below[key], cast("Mapping[str, Any]", value))
        else:
            below[key] = value


def _merge_endpoints(below: object, above: object) -> object:
    """Endpoints merged by their path. What is no list of tables, or has a path twice, is left as it
    is for the validation.
    """
    merged: dict[str, dict[str, Any]] = {}
    for endpoints in (below, above):
        if not isinstance(endpoints, list | tuple):
            return endpoints
        here: set[str] = set()
        for endpoint in cast("Sequence[object]", endpoints):
            path = repr(cast("Any", endpoint).get("path")) if isinstance(endpoint, Mapping) else ""
            if not path or path in here:
                return cast("object", endpoints)
            here.add(path)
            merge(merged.setdefault(path, {}), cast("Mapping[str, Any]", endpoint))
    return list(merged.values())


def _validate(source: str, table: Mapping[str, Any]) -> Settings:
    try:
        # Lax: the environment and the command line have only text.
        return msgspec.convert(table, Settings, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        path = path.rstrip("`").lstrip(".")
        name, colon, rest = message.partition(": ")
        if colon and name.partition(".")[0] in _fields_at(path):
            path, message = f"{path}.{name}".lstrip("."), rest
        unknown = re.search(r"unknown field `(.+)`", message)
        if unknown:
            hint = _did_you_mean(unknown[1], _fields_at(path))
            path = f"{path}.{unknown[1]}".lstrip(".")
            message = f"no such setting{hint}"
        elif message.startswith("Invalid enum value"):
            message += f"; choose {' or '.join(_choices(_kind_at(path.split('.'))))}"
        where = f"{path}: " if path else ""
        raise ConfigError(f"{source}: {where}{message}", key=path, source=source) from error


def _fields_at(path: str) -> list[str]:
    """The names that are known where an unknown one was found."""
    table = _struct_of(_kind_at(path.split(".")))
    return list(table.__struct_fields__) if table is not None else []


def _kind_at(path: Sequence[str]) -> object:
    """The type of the setting at a path such as ``endpoints[0].codec``; `None` if there is none."""
    kind: object = Settings
    for part in path:
        name = part.partition("[")[0]
        table = _struct_of(kind)
        if name and table is not None:
            kind = {field.name: field.type for field in msgspec.structs.fields(table)}.get(name)
            kind = Endpoint if part.startswith("endpoints[") else kind
        elif name:
            kind = None
    return kind


def _choices(kind: object) -> list[str]:
    """The words that a setting may be."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    if isinstance(kind, str) or kind is int:
        return [kind if isinstance(kind, str) else "a number"]
    return [word for option in typing.get_args(kind) for word in _choices(option)]


def _did_you_mean(name: str, known: object) -> str:
    close = difflib.get_close_matches(name, list(cast("Sequence[str]", known)), n=1)
    return f"; did you mean {close[0]}?" if close else ""
