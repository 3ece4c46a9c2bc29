"""What a message costs in the core alone must not grow: the least of many repeats, in process."""

import pytest

from tests.benchmarks.core_costs import COSTS


@pytest.mark.parametrize("name", COSTS)
def test_the_core_is_cheap(name: str) -> None:
    measure, most = COSTS[name]
    costs = []
    for _ in range(5):  # another process may have had the core all the while
        costs.append(measure())
        if costs[-1] <= most:
            break
    assert min(costs) <= most, f"{min(costs) * 1e6:.2f} µs"
