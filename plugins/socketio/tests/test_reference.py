"""The page of reference says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from unisock_socketio.options import ClientOptions, Options, Recovery

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "socketio.md"


@pytest.mark.parametrize(
    ("kind", "head"),
    [(Options, "option"), (Recovery, "`recovery.`"), (ClientOptions, "argument")],
)
def test_the_options_are_documented(kind: type[msgspec.Struct], head: str) -> None:
    table = re.search(rf"^\| {head} .*\n\|[-| ]+\|\n((?:\|.*\n)+)", PAGE.read_text(), re.MULTILINE)
    assert table is not None
    cells = [
        [cell.strip(" `") for cell in row.strip("|").split("|")] for row in table[1].splitlines()
    ]
    shown = {name: value for name, value, *_ in cells}
    fields = msgspec.structs.fields(kind)
    assert [*shown] == [field.name for field in fields]
    for field in fields:
        default = "None" if field.default is None else json.dumps(field.default)
        assert shown[field.name] == default, field.name
