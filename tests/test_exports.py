"""What ``import unisock`` gives, and what it leaves alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import unisock

PACKAGE = Path(unisock.__file__).parent
PUBLIC = [path.stem for path in sorted(PACKAGE.glob("*.py")) if not path.stem.startswith("__")]


def test_all_is_sorted_and_complete() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    imported = [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    ]
    assert sorted(unisock.__all__) == sorted([*imported, "__version__"])
    # Constants, classes, functions: the order of ruff's RUF022.
    assert unisock.__all__ == sorted(
        unisock.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )


@pytest.mark.parametrize("name", unisock.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(unisock, name) is not None


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


def test_an_import_loads_only_what_a_server_needs() -> None:
    code = "import sys, unisock; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(run.stdout.split())
    assert "unisock.server" in loaded
    for unwanted in ("trio", "pytest", "click", "rich", "websockets", "tornado", "unisock.memory"):
        assert unwanted not in loaded
    assert not loaded & {"unisock.cli", "unisock.testing"}
    assert not [name for name in loaded if name.startswith("unisock_")]
