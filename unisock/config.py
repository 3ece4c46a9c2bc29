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
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import msgspec

from .errors import ConfigError
from .handshake import TrustedProxies
from .limits import Heartbeat, Limits, Overflow

__all__ = ["Endpoint", "Listen", "Settings", "Source", "Tls", "load", "read_sources"]

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
    """Options of the protocol and the dialect."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"/[^?#\s]*", self.path):
            raise ValueError(f"a path begins with / and has no ?, # or space; not {self.path!r}")


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
    limits: Limits = Limits()
    heartbeat: Heartbeat = Heartbeat()
    options: dict[str, dict[str, Any]] = {}
    """``[options.NAME]``: options of the adapter or plugin with that name."""

    def __post_init__(self) -> None:
        TrustedProxies(self.trusted_proxies)
        for origin in self.origins:
            if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#\s]+", origin):
                raise ValueError(
                    f"origins: {origin!r} is no origin; write it like https://example.com"
                )
        paths = [endpoint.path for endpoint in self.endpoints]
        for path in paths:
            if paths.count(path) > 1:
                raise ValueError(f"endpoints: {path} is there twice")


def load(sources: Sequence[Source]) -> Settings:
    """Merge sources, given in rising order, and validate the result.

    :param sources: each a name for errors (``unisock.toml``) and its table
    :raises ConfigError: a key is unknown or a value is of the wrong kind; names key and source
    """
    merged: dict[str, Any] = {}
    for _, table in sources:
        _merge(merged, table)
    try:
        return _validate("settings", merged)
    except ConfigError:
        # Something is wrong: add one source after the other to find out whose fault it is.
        so_far: dict[str, Any] = {}
        for source, table in sources:
            _merge(so_far, table)
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
        tool: Mapping[str, Any] = _read_toml(project).get("tool", {})
        if "unisock" in tool:
            sources.append(("pyproject.toml [tool.unisock]", tool["unisock"]))
    sources.extend(_read_environment(os.environ if environ is None else environ))
    return sources


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path.name}: {error}", source=path.name) from error


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
        path = names[name]
        value: Any = text
        if text[:1] in ("[", "{"):
            try:
                value = msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                raise ConfigError(f"{name}: {error}", key=name, source="environment") from error
        elif path in (("plugins",), ("origins",), ("trusted_proxies",)):
            value = [item.strip() for item in text.split(",") if item.strip()]
        for key in reversed(path):
            value = {key: value}
        yield name, value


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


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if key == "endpoints":
            below[key] = _merge_endpoints(below.get(key, []), value)
        elif isinstance(value, Mapping) and isinstance(below.get(key), dict):
            _merge(below[key], cast("Mapping[str, Any]", value))
        elif isinstance(value, Mapping):
            below[key] = {}
            _merge(below[key], cast("Mapping[str, Any]", value))
        else:
            below[key] = value


def _merge_endpoints(
    below: Sequence[Mapping[str, Any]], above: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    merged: dict[Any, dict[str, Any]] = {}
    for endpoint in (*below, *above):
        _merge(merged.setdefault(endpoint.get("path"), {}), endpoint)
    return list(merged.values())


def _validate(source: str, table: Mapping[str, Any]) -> Settings:
    try:
        # Lax: the environment and the command line have only text.
        return msgspec.convert(table, Settings, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        path = path.rstrip("`").lstrip(".")
        unknown = re.search(r"unknown field `(.+)`", message)
        if unknown:
            hint = _did_you_mean(unknown[1], _fields_at(path))
            path = f"{path}.{unknown[1]}".lstrip(".")
            message = f"no such setting{hint}"
        where = f"{path}: " if path else ""
        raise ConfigError(f"{source}: {where}{message}", key=path, source=source) from error


def _fields_at(path: str) -> list[str]:
    """The names that are known where an unknown one was found."""
    table: type[msgspec.Struct] | None = Settings
    for part in path.split("."):
        name = part.partition("[")[0]
        if not name or table is None:
            continue
        annotation = {f.name: f.type for f in msgspec.structs.fields(table)}.get(name)
        table = Endpoint if name == "endpoints" else _struct_of(annotation)
    return list(table.__struct_fields__) if table is not None else []


def _did_you_mean(name: str, known: object) -> str:
    close = difflib.get_close_matches(name, list(cast("Sequence[str]", known)), n=1)
    return f"; did you mean {close[0]}?" if close else ""
