"""What a message costs in the core alone must not grow: the least of many repeats, in process."""

import pytest

from tests.benchmarks.core_costs import COSTS, judged


@pytest.mark.parametrize("name", COSTS)
def test_the_core_is_cheap(name: str) -> None:
    seconds, good = judged(name)
    assert good, f"{seconds * 1e6:.2f} µs"
