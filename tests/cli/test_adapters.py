"""``unisock adapters``"""

import json
import re
from pathlib import Path

import pytest

from unisock.cli import main
from unisock.registry import installed


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    with pytest.raises(SystemExit) as exit:
        main(["adapters", *arguments])
    return exit.value.code, capsys.readouterr().out


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package whose adapter cannot be imported."""
    information = tmp_path / "unisock_broken-1.2.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: unisock-broken\nVersion: 1.2\n"
    )
    (information / "entry_points.txt").write_text(
        "[unisock.adapters]\nbroken = unisock_broken:Adapter\n"
    )
    (tmp_path / "unisock_broken.py").write_text("raise RuntimeError('wrong\\tdriver\\nversion')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "broken"


def test_a_pipe_gets_a_line_for_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys=capsys)
    assert code == 0
    rows = [line.split("\t") for line in out.splitlines()]
    assert all(len(row) == 6 for row in rows)
    for kind in ("adapter", "protocol", "dialect", "codec", "plugin"):
        names = tuple(row[1] for row in rows if row[0] == kind)
        assert names == installed(kind)
    (memory,) = [row for row in rows if row[:2] == ["adapter", "memory"]]
    assert memory[2:5] == ["unisock", "0.1.0", "ok"]
    assert "backends=asyncio+trio" in memory[5].split(",")
    assert "websocket" in memory[5].split(",")
    assert "tls" not in memory[5].split(",")


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run("--json", capsys=capsys)
    assert code == 0
    parts = {(part["kind"], part["name"]): part for part in json.loads(out)}
    assert parts["adapter", "tornado"]["capabilities"]["websocket"] is True
    assert parts["adapter", "tornado"]["package"] == "unisock-tornado"
    assert parts["plugin", "rooms"]["error"] is None
    assert parts["codec", "json"]["summary"].startswith("JSON (RFC 8259)")


def test_a_broken_part_is_shown_with_its_reason(
    broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys=capsys)
    assert code == 1
    (row,) = [line for line in out.splitlines() if line.startswith(f"adapter\t{broken}\t")]
    assert row.split("\t")[2:4] == ["unisock-broken", "1.2"]
    assert re.search(r"broken: .*RuntimeError: wrong driver version", row)
    code, out = run("--json", capsys=capsys)
    assert code == 1
    (part,) = [part for part in json.loads(out) if part["name"] == broken]
    assert "RuntimeError: wrong\tdriver\nversion" in part["error"]
