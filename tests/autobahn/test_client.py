"""Which cases are run."""

import pytest

from .client import ClientError, choose

CASES = ["1.1.1", "1.1.2", "1.10.1", "2.1", "10.1.1"]


def test_a_pattern_chooses_by_the_whole_id() -> None:
    assert choose(["1.*"], CASES) == ["1.1.1", "1.1.2", "1.10.1"]
    assert choose(["1.1.*"], CASES) == ["1.1.1", "1.1.2"]
    assert choose(["1.1"], [*CASES, "1.1"]) == ["1.1"]


def test_a_case_is_run_once() -> None:
    assert choose(["1.1.2", "1.1.*", "2.1"], CASES) == ["1.1.2", "1.1.1", "2.1"]


@pytest.mark.parametrize("pattern", ["6.4.3", "1", "3.*", "[", ""])
def test_a_case_that_is_not_there_is_an_error(pattern: str) -> None:
    with pytest.raises(ClientError, match=r"try 6\.4\.3, or 6\.\*"):
        choose(["1.*", pattern], CASES)
