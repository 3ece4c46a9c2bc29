"""The shape of the code: which module may import which, and how long things may get.

`FLOORS` is the core's plan, lowest first. A module imports only from floors below its own; a new
module gets a place here. Adapters and plugins know the core's public names, and nothing of each
other.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from unisock.connection import BufferedConnection
from unisock.frame_connection import FrameConnection, StreamConnection

ROOT = Path(__file__).resolve().parents[1]

FLOORS = """
    errors | limits | timers | turn | capabilities | pauses
    messages
    handshake | framing | codecs | url
    exchange | config | options | frames
    assets
    abc | registry | sockets | bytestream | envelope | worker
    workers
    connection | pipeline | lane | plain_channels | websocket | runtime | launch
    recipient | frame_connection | memory | plain | handlers | reconnecting | dialing | http_client
    fanout
    audience
    spark
    hub | stage
    hookspecs
    plugins
    sparks
    gateway
    assembly
    redial | memory_client | client_gate
    client_options
    server | client
    __init__
    testing | cli
    __main__
"""
FLOOR = {
    name.strip(): height
    for height, line in enumerate(FLOORS.strip().splitlines())
    for name in line.split("|")
}
NOT_FOR_MEMBERS = {"cli", "testing", "__main__"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

MEMBERS = sorted(
    path
    for kind in ("adapters", "plugins")
    for path in ROOT.glob(f"{kind}/*/unisock_*")
    if path.is_dir()
)


@dataclass(frozen=True)
class Source:
    """One file of ours: its dotted name, whether it is a package's `__init__`, its text."""

    name: str
    is_package: bool
    text: str

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def imports(self) -> Iterator[tuple[str, str]]:
        """Each import, wherever it stands, as (dotted module, name taken from it or "")."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = node.module or ""
                if node.level:
                    here = self.name.split(".")
                    up = node.level - 1 if self.is_package else node.level
                    base = here[: len(here) - up]
                    module = ".".join([*base, module] if module else base)
                yield from ((module, alias.name) for alias in node.names)


def read(folder: Path) -> Iterator[Source]:
    for path in sorted(folder.rglob("*.py")):
        parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        yield Source(name, is_package, path.read_text(encoding="utf-8"))


CORE = list(read(ROOT / "unisock"))
OUTSIDE = [source for folder in MEMBERS for source in read(folder)]


def core_unit(module: str, name: str = "") -> str:
    """The module of the core, or folder of modules, that has a floor."""
    _, _, rest = module.partition(".")
    if rest:
        return rest.partition(".")[0]
    return name if name in FLOOR else "__init__"


# The rules: each takes a source and yields what is wrong with it.


def core_imports_downwards(source: Source) -> Iterator[str]:
    if source.package != "unisock":
        return
    own = core_unit(source.name)
    if own not in FLOOR:
        yield f"{own} has no floor: give it one in FLOORS"
        return
    for module, name in source.imports():
        if module.partition(".")[0] != "unisock" or (unit := core_unit(module, name)) == own:
            continue
        if unit not in FLOOR:
            yield f"imports {unit}, which has no floor"
        elif FLOOR[unit] == FLOOR[own]:
            yield f"imports {unit}, which is on the same floor"
        elif FLOOR[unit] > FLOOR[own]:
            yield f"imports {unit}, which is on a higher floor"


def core_names_no_member(source: Source) -> Iterator[str]:
    if source.package != "unisock":
        return
    names = {path.name.replace("_", "[-_]") for path in MEMBERS}
    member = re.compile(rf"\b({'|'.join(sorted(names))})\b")
    tree = source.tree
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in documentation and member.search(text):
            yield f"names an adapter or plugin in {text!r}"
    for module, _ in source.imports():
        if module.startswith("unisock_"):
            yield f"imports {module}"


def members_know_only_the_public_core(source: Source) -> Iterator[str]:
    if source.package == "unisock":
        return
    for module, name in source.imports():
        package = module.partition(".")[0]
        if package.startswith("unisock_") and package != source.package:
            yield f"imports its sibling {package}"
        if package != "unisock":
            continue
        if any(re.match(r"_(?!_)", part) for part in [*module.split("."), name]):
            yield f"imports the private {module}.{name}".rstrip(".")
        if core_unit(module, name) in NOT_FOR_MEMBERS:
            yield f"imports {module}, which is for tests and commands"


OUR_CONNECTIONS = {
    kind.__name__: {
        name
        for one in kind.__mro__
        for name in (*vars(one), *getattr(one, "__slots__", ()))
        if re.match(r"_(?!_|abc_)", name)
    }
    for kind in (BufferedConnection, FrameConnection, StreamConnection)
}
"""What is private to the connections of the core that others derive from."""


def members_override_nothing_private(source: Source) -> Iterator[str]:
    """A method of the same name would be called in place of the core's, and nobody would notice."""
    if source.package == "unisock":
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        private = set[str]().union(*[OUR_CONNECTIONS.get(base, set()) for base in bases])
        for name in sorted(private.intersection(defined_in(node))):
            yield f"overrides the private {name} in {node.name}"


def defined_in(node: ast.ClassDef) -> Iterator[str]:
    """The methods and slots of a class."""
    for part in node.body:
        match part:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
                yield from ast.literal_eval(value)
            case _:
                pass


def no_imports_for_types_only(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        match node:
            case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                yield f"uses TYPE_CHECKING in line {node.lineno}"
            case _:
                pass


def files_and_functions_are_short(source: Source) -> Iterator[str]:
    if (lines := len(source.text.splitlines())) > MAX_FILE_LINES:
        yield f"has {lines} lines, more than {MAX_FILE_LINES}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{node.name} has {length} lines, more than {MAX_FUNCTION_LINES}"


RULES: list[Callable[[Source], Iterator[str]]] = [
    core_imports_downwards,
    core_names_no_member,
    members_know_only_the_public_core,
    members_override_nothing_private,
    no_imports_for_types_only,
    files_and_functions_are_short,
]


def cycle(sources: list[Source]) -> list[str]:
    """The names of modules that import each other in a circle, or nothing."""
    known = {source.name for source in sources}
    graph: dict[str, set[str]] = {}
    for source in sources:
        targets = {
            f"{module}.{name}" if f"{module}.{name}" in known else module
            for module, name in source.imports()
        }
        graph[source.name] = targets & known - {source.name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Callable[[Source], Iterator[str]]) -> None:
    faults = [f"{source.name} {fault}" for source in CORE + OUTSIDE for fault in rule(source)]
    assert not faults, "\n".join(faults)


def test_no_circle_of_imports() -> None:
    assert cycle(CORE + OUTSIDE) == []


def test_every_place_is_taken() -> None:
    empty = set(FLOOR) - {core_unit(source.name) for source in CORE}
    assert not empty, f"FLOORS names modules that do not exist: {sorted(empty)}"


MEMBER = "class A(BufferedConnection):\n    {}"
LONG_FUNCTION = "def f():\n" + "    pass\n" * MAX_FUNCTION_LINES


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("unisock.spark", "from unisock.hub import Hub", core_imports_downwards),
        ("unisock.spark", "from unisock import hub", core_imports_downwards),
        ("unisock.spark", "from . import hub", core_imports_downwards),
        ("unisock.spark", "from .hub import Hub", core_imports_downwards),
        ("unisock.spark", "def f():\n    import unisock.server", core_imports_downwards),
        ("unisock.errors", "from unisock.limits import Limits", core_imports_downwards),
        ("unisock.server", "from unisock import Spark", core_imports_downwards),
        ("unisock.cli.serve", "from ..testing import x", core_imports_downwards),
        ("unisock.attic", "", core_imports_downwards),
        ("unisock.spark", "from unisock.attic import x", core_imports_downwards),
        ("unisock.registry", "import unisock_rooms.members", core_names_no_member),
        ("unisock.registry", "load('unisock_rooms')", core_names_no_member),
        ("unisock.registry", "hint = f'{pip} unisock-rooms'", core_names_no_member),
        ("unisock_rooms", "import unisock_tornado", members_know_only_the_public_core),
        ("unisock_rooms", "from unisock._wire import x", members_know_only_the_public_core),
        ("unisock_rooms", "from unisock.hub import _x", members_know_only_the_public_core),
        ("unisock_rooms", "from unisock import testing", members_know_only_the_public_core),
        ("unisock_x", MEMBER.format("def _wake(self): ..."), members_override_nothing_private),
        (
            "unisock_x",
            MEMBER.format("__slots__ = ('_pulse', 'x')"),
            members_override_nothing_private,
        ),
        ("unisock.hub", "import typing\nif typing.TYPE_CHECKING: pass", no_imports_for_types_only),
        ("unisock.hub", "if TYPE_CHECKING: pass", no_imports_for_types_only),
        ("unisock.hub", "x = 1\n" * (MAX_FILE_LINES + 1), files_and_functions_are_short),
        ("unisock.hub", LONG_FUNCTION, files_and_functions_are_short),
    ],
)
def test_rule_sees_a_fault(name: str, text: str, rule: Callable[[Source], Iterator[str]]) -> None:
    assert len(list(rule(Source(name, is_package=False, text=text)))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("unisock.hub", "from .spark import Spark\nfrom unisock import errors"),
        ("unisock.cli.serve", "from unisock import Server\nfrom unisock.cli.output import table"),
        ("unisock.server", '"""`from unisock_rooms import Rooms` makes rooms."""'),
        ("unisock_x", MEMBER.format("def _stir(self): ...")),
        ("unisock_rooms.members", "from unisock import Spark, __version__\nfrom . import names"),
    ],
)
def test_rules_leave_good_code_alone(name: str, text: str) -> None:
    source = Source(name, is_package=False, text=text)
    assert [fault for rule in RULES for fault in rule(source)] == []


def test_a_circle_is_seen() -> None:
    texts = {"x.a": "from x import b", "x.b": "import x.c", "x.c": "from .a import f"}
    assert set(cycle([Source(name, False, text) for name, text in texts.items()])) == set(texts)
