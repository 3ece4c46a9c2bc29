"""What has survived a full collection is not looked at again."""

import gc

from unisock.pauses import sparing_survivors


class Node:
    """Something that can refer to itself."""

    def __init__(self) -> None:
        self.self = self


def test_survivors_are_frozen_and_thawed() -> None:
    thresholds = gc.get_threshold()
    with sparing_survivors():
        frozen = gc.get_freeze_count()
        assert frozen > 0
        later = [Node() for _ in range(100)]
        gc.collect()
        assert gc.get_freeze_count() >= frozen + len(later)
        assert not any(type(one) is Node for one in gc.get_objects())
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == thresholds


def test_young_cycles_still_go() -> None:
    with sparing_survivors():
        for _ in range(10):
            Node()
        assert gc.collect() >= 10
    assert not any(type(one) is Node for one in gc.get_objects())
