"""What of Autobahn's report is a fault: a green run must not be one that went wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from .report import Case, ReportError, explained, faults, read

PAGE = Path(__file__).parents[2] / "docs/reference/autobahn.md"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a report as ``wstest`` does, and reads it."""

    def write(**outcomes: tuple[str, str]) -> list[Case]:
        index: dict[str, Any] = {}
        for name, (behavior, close) in outcomes.items():
            number = name.strip("_").replace("_", ".")
            file = f"us_case{name}.json"
            index[number] = {
                "behavior": behavior,
                "behaviorClose": close,
                "duration": 1500,
                "remoteCloseCode": 1000,
                "reportfile": file,
            }
            details = {
                "result": "a result",
                "resultClose": "a close",
                "received": "\ud800",
                "remoteCloseCode": 1009,
                "remoteCloseReason": "too large",
            }
            (tmp_path / file).write_text(json.dumps(details))
        (tmp_path / "index.json").write_text(json.dumps({"us": index}))
        return read(tmp_path, "us")

    return write


def test_cases_are_read_in_order(write: Any) -> None:
    cases = write(_9_1=("OK", "OK"), _10_1_1=("OK", "OK"), _9_1_2=("OK", "OK"), _2_10=("OK", "OK"))
    assert [case.id for case in cases] == ["2.10", "9.1", "9.1.2", "10.1.1"]
    assert [case.group for case in cases] == [2, 9, 9, 10]
    assert cases[0].seconds == 1.5
    assert cases[0].page.name == "us_case_2_10.html"


@pytest.mark.parametrize(
    ("behavior", "close", "worse", "why"),
    [
        ("OK", "OK", "OK", "a result"),
        ("OK", "INFORMATIONAL", "INFORMATIONAL", "a close"),
        ("NON-STRICT", "OK", "NON-STRICT", "a result"),
        ("FAILED", "OK", "FAILED", "a result"),
        ("OK", "UNCLEAN", "UNCLEAN", "a close"),
        ("NON-STRICT", "WRONG CODE", "WRONG CODE", "a close"),
        ("INFORMATIONAL", "FAILED BY CLIENT", "FAILED BY CLIENT", "a close"),
    ],
)
def test_the_worse_half_of_a_case_counts(
    write: Any, behavior: str, close: str, worse: str, why: str
) -> None:
    (case,) = write(_1_1=(behavior, close))
    assert case.behavior == worse
    assert case.why == f"{why} (closed with 1009: too large)"


def found(cases: list[Case], *allowed: str) -> list[str]:
    return [*faults(cases, [case.id for case in cases], allowed)]


def test_a_good_run_has_no_faults(write: Any) -> None:
    cases = write(
        _1_1_1=("OK", "OK"),
        _7_1_6=("INFORMATIONAL", "INFORMATIONAL"),
        _6_4_3=("NON-STRICT", "OK"),
    )
    assert found(cases, "6.4.3") == []


@pytest.mark.parametrize("close", ["FAILED", "UNCLEAN", "WRONG CODE", "FAILED BY CLIENT", "NEW"])
def test_a_failed_case_is_a_fault_whatever_is_allowed(write: Any, close: str) -> None:
    cases = write(_6_4_3=("NON-STRICT", close), _1_1=("OK", "OK"))
    (fault,) = found(cases, "6.4.3")
    assert fault.startswith(f"6.4.3 is {close}: a close (closed with 1009: too large); see ")


def test_a_non_strict_case_has_to_be_explained(write: Any) -> None:
    cases = write(_6_4_3=("NON-STRICT", "OK"), _6_4_4=("NON-STRICT", "OK"))
    (fault,) = found(cases, "6.4.3")
    assert fault.startswith("6.4.4 is NON-STRICT, and the documentation does not explain it")


def test_an_explanation_that_is_no_longer_true_is_a_fault(write: Any) -> None:
    cases = write(_6_4_3=("OK", "OK"))
    assert found(cases, "6.4.3") == ["6.4.3 is OK; the documentation still says NON-STRICT"]
    assert found(cases, "6.4.4") == [], "that one was not run"


def test_a_case_without_a_result_is_a_fault(write: Any) -> None:
    cases = write(_1_1=("OK", "OK"))
    assert [*faults(cases, ["1.1", "1.2", "9.1"], [])] == ["no result for 1.2, 9.1"]


def test_a_report_that_is_not_there_is_an_error(tmp_path: Path, write: Any) -> None:
    with pytest.raises(ReportError, match=r"index\.json cannot be read"):
        read(tmp_path, "us")
    write(_1_1=("OK", "OK"))
    with pytest.raises(ReportError, match="does not name them"):
        read(tmp_path, "them")
    (tmp_path / "us_case_1_1.json").write_text("{")
    with pytest.raises(ReportError, match=r"us_case_1_1\.json cannot be read"):
        read(tmp_path, "us")
    (tmp_path / "index.json").write_text('{"us": {"1.1": {"behavior": "OK"}}}')
    with pytest.raises(ReportError, match="behaviorClose"):
        read(tmp_path, "us")


def test_the_documentation_says_what_may_be_non_strict() -> None:
    page = PAGE.read_text()
    assert explained(page, "websockets") == {"6.4.3", "6.4.4"}
    assert explained(page, "tornado") == set()
    both = (
        "| 1.2.3 | `websockets`, `tornado` | NON-STRICT | so |\n| 7.1 | all | INFORMATIONAL | x |"
    )
    assert explained(both, "tornado") == explained(both, "websockets") == {"1.2.3"}
