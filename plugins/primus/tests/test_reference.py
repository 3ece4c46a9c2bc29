"""The reference is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from unisock_primus.options import Options

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "primus.md"


def test_every_option_is_documented_with_its_default() -> None:
    text = PAGE.read_text().split("## Options", 1)[1].split("\n## ", 1)[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", text, re.M))
    fields = msgspec.structs.fields(Options)
    assert documented == {field.name: json.dumps(field.default) for field in fields}
