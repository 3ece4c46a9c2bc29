"""What ``import unisock`` gives, and what it leaves alone."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import unisock

PACKAGE = Path(unisock.__file__).parent
PUBLIC = [path.stem for path in sorted(PACKAGE.glob("*.py")) if not path.stem.startswith("__")]
STUB = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
TYPED = [
    (node.module, alias.name)
    for node in STUB.body
    if isinstance(node, ast.ImportFrom) and node.module
    for alias in node.names
]
"""What type checkers are told: modules and names."""


def test_type_checkers_are_told_the_same() -> None:
    (offered,) = (
        ast.literal_eval(node.value)
        for node in STUB.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert sorted(offered) == sorted([*(name for _, name in TYPED), "__version__"])
    assert sorted(unisock.__all__) == sorted(offered)
    # Constants, classes, functions: the order of ruff's RUF022.
    assert offered == sorted(
        offered, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )


@pytest.mark.parametrize(("module", "name"), TYPED)
def test_every_name_is_there(module: str, name: str) -> None:
    assert getattr(unisock, name) is getattr(import_module(f"unisock.{module}"), name)


def test_names_come_in_each_way_of_python() -> None:
    everything: dict[str, object] = {}
    exec("from unisock import *", everything)
    assert everything.keys() >= {*unisock.__all__}
    assert {*unisock.__all__} <= {*dir(unisock)}
    assert not hasattr(unisock, "Sevrer")
    with pytest.raises(ImportError, match="cannot import name 'Sevrer' from 'unisock'"):
        exec("from unisock import Sevrer")


@pytest.mark.parametrize("module", PUBLIC)
def test_every_module_says_what_it_offers(module: str) -> None:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    defined: set[str] = set()
    offered: list[str] = []
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                defined.add(name)
            case ast.AsyncFunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                defined.add(name)
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                offered = ast.literal_eval(value)
            case ast.Assign(targets=[ast.Name(id=name)]):
                defined.add(name)
            case _:
                pass
    assert offered, f"{module} has no __all__"
    assert {*offered} <= defined


def loaded_by(code: str) -> set[str]:
    """The modules that a program loads, beyond those that the interpreter itself does."""
    script = (
        f"import importlib, sys\nearly = {{*sys.modules}}\n{code}\nprint(*{{*sys.modules}} - early)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return {*run.stdout.split()}


def test_an_import_loads_nothing_until_it_is_asked_for() -> None:
    assert loaded_by("import unisock") == {"unisock"}


def test_a_server_loads_no_client_no_commands_and_no_driver() -> None:
    loaded = loaded_by("from unisock import Server, Spark, Close, Endpoint")
    assert "unisock.server" in loaded
    assert not loaded & {"trio", "pytest", "click", "rich", "websockets", "tornado", "http.client"}
    ours = {name.split(".")[1] for name in loaded if name.startswith("unisock.")}
    assert not ours & {"client", "client_gate", "dialing", "redial", "reconnecting"}
    assert not ours & {"cli", "testing", "memory", "memory_client"}
    assert not [name for name in loaded if name.startswith("unisock_")]
