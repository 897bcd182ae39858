"""Versions of the kernel and the libraries around a core, as numbers that compare."""

from __future__ import annotations

import pytest

from edge_sim import versions


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("5.10.63-v7+", (5, 10, 63)),
        ("6.1.0-rc7", (6, 1, 0)),
        ("2.36", (2, 36)),
        ("7", (7,)),
        ("unknown", ()),
        ("", ()),
        ("v1.2", ()),
        ("٣.1", ()),
    ],
)
def test_a_version_begins_with_its_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert versions.numbers(text) == numbers
