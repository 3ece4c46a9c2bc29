"""``unisock primus-client``"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec

from unisock import ConfigError, Endpoint, Server, UnisockError
from unisock.abc import Gate
from unisock.options import read_options

from .library import Plan, build, plan_for
from .options import Options

__all__ = ["primus_client"]


def primus_client(load: Callable[[str | None], Server]) -> click.Command:
    """Writes the browser library of a Primus endpoint.

    :param load: the server in ``MODULE:SERVER``, or in the configuration of this folder
    """

    @click.command(
        "primus-client",
        epilog="""\b
Examples:
  npm install primus ws primus-emitter
  unisock primus-client app:server -o static/primus.js
  unisock primus-client app:server --endpoint /kiosk --plugin primus-analytics
""",
    )
    @click.argument("target", metavar="[MODULE:SERVER]", required=False)
    @click.option("--endpoint", "path", metavar="PATH", help="The endpoint, if there are several.")
    @click.option(
        "-o",
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The file to write; by default the endpoint's option `client`, or primus.js.",
    )
    @click.option(
        "--plugin",
        "plugins",
        metavar="PACKAGE",
        multiple=True,
        help="A further plugin of Primus', by its npm package.",
    )
    @click.option(
        "--modules",
        metavar="FOLDER",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(),
        help="Where npm has installed primus: the folder with node_modules in it.",
    )
    def command(
        target: str | None,
        path: str | None,
        output: Path | None,
        plugins: Sequence[str],
        modules: Path,
    ) -> None:
        """Write primus.js, the browser library of a Primus endpoint.

        It is built by npm's primus, which has to be installed, with the endpoint's path, protocol,
        codec, heartbeat and plugins. Without MODULE:SERVER it looks at the configuration of this
        folder alone.
        """
        server = load(target)
        endpoint = _choose(server, path)
        options = _options(endpoint)
        plan = plan_for(_gate(server, endpoint.path), options, plugins)
        _write(plan, output or Path(options.client or "primus.js"), modules)

    return command


def _write(plan: Plan, file: Path, modules: Path) -> None:
    text = build(plan, modules)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnisockError(f"{file} cannot be written: {error.strerror}") from error
    having = f" with {', '.join(plan.plugins)}" if plan.plugins else ""
    spec = plan.spec
    click.echo(f"{file}: {spec.transformer} and {spec.parser} at {spec.pathname}{having}")


def _choose(server: Server, path: str | None) -> Endpoint:
    endpoints = {
        endpoint.path: endpoint
        for endpoint in server.settings.endpoints
        if endpoint.dialect == "primus"
    }
    if path is None and len(endpoints) == 1:
        (path,) = endpoints
    if path in endpoints:
        return endpoints[path]
    if not endpoints:
        problem = 'no endpoint speaks Primus; one does with dialect = "primus"'
    elif path is None:
        problem = f"there are several; add --endpoint {' or --endpoint '.join(endpoints)}"
    else:
        problem = f"{path} does not speak Primus; there is: {', '.join(endpoints)}"
    raise ConfigError(problem, key="endpoint")


def _options(endpoint: Endpoint) -> Options:
    """What is for the dialect, of the options that it shares with the protocol."""
    known = Options.__struct_fields__
    own = {name: value for name, value in endpoint.options.items() if name in known}
    (options,) = read_options(f"endpoint {endpoint.path}: options", own, Options)
    assert isinstance(options, Options)
    return options


def _gate(server: Server, path: str) -> Gate:
    """The endpoint as the server builds it, whose own library need not be there yet."""
    without: list[dict[str, object]] = [
        {"path": endpoint.path, "options": {"client": ""}}
        for endpoint in server.settings.endpoints
        if endpoint.options.get("client") and endpoint.dialect == "primus"
    ]
    if without:
        server.override("primus-client", {"endpoints": msgspec.to_builtins(without)})
    (gate,) = [gate for gate in server.check().gates if gate.endpoint.path == path]
    return gate
