"""The caps: every one has a sane default and refuses what would switch it off by accident."""

from typing import Any

import msgspec
import pytest

from unisock.limits import Heartbeat, Limits, Overflow


@pytest.mark.parametrize("name", Limits.__struct_fields__)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_limit_is_a_number_above_zero(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})


def test_the_defaults_are_fit_for_the_open_internet() -> None:
    limits = Limits()
    assert limits.message_bytes == 1 << 20
    assert limits.fragments <= 1024
    assert limits.outbox_bytes <= 1 << 20
    assert limits.handshake_seconds <= 10
    assert limits.connections_per_address < limits.connections


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(TypeError, match="mesage_bytes"):
        Limits(mesage_bytes=1)  # pyright: ignore[reportCallIssue]
    with pytest.raises(msgspec.ValidationError, match="mesage_bytes"):
        msgspec.convert({"mesage_bytes": 1}, Limits)


@pytest.mark.parametrize(
    "values",
    [
        {"interval": -1},
        {"interval": float("nan")},
        {"interval": float("inf")},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
    ],
)
def test_a_heartbeat_that_cannot_beat_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Heartbeat(**values)


def test_a_heartbeat_can_be_turned_off() -> None:
    assert Heartbeat(interval=0).interval == 0


def test_overflow_is_spelt_as_in_the_configuration() -> None:
    assert [str(policy) for policy in Overflow] == [
        "wait",
        "drop-oldest",
        "drop-newest",
        "disconnect",
    ]
