"""ARNs: moved to where another one is."""

from __future__ import annotations

from edge_sim.arns import relocated

THING = "arn:aws-cn:iot:cn-north-1:210987654321:thing/core:1"


def test_an_arn_is_moved_with_its_resource() -> None:
    moved = relocated("arn:aws:iot:eu-west-1:123456789012:cert/a:b", THING)
    assert moved == "arn:aws-cn:iot:cn-north-1:210987654321:cert/a:b"


def test_what_is_no_arn_stays() -> None:
    assert relocated("${Ref:Certificate}", THING) == "${Ref:Certificate}"
