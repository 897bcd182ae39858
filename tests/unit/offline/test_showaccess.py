"""What ``edge-sim access`` prints."""

from __future__ import annotations

from tests.small_group import edge

EXAMPLE = "examples/no-container-ml"


def test_reasons_stand_below_a_path_where_there_is_one() -> None:
    text = edge("access", EXAMPLE, "--profile", "raspberry-pi-3", "--function", "meter-log").output
    lines = [line.strip() for line in text.splitlines()]
    assert "/models/digits" in lines
    assert "the core gives a secret out only to functions that it is attached to" in lines
    assert "None" not in lines
    assert "writing is not asked about: what a function in a container writes there stays in its own overlay" in lines
