"""AWS's own sentences stay as AWS wrote them, typing errors included (``tests/unit/pinned/aws-texts.json``)."""

from __future__ import annotations

import json
from pathlib import Path

from edge_sim.greengrass.rules import RULES

PINNED = Path(__file__).parents[1] / "pinned/aws-texts.json"


def test_awss_texts_are_pinned_byte_for_byte() -> None:
    pinned = json.loads(PINNED.read_text(encoding="utf-8"))
    assert {rule.id: rule.aws_text for rule in RULES if rule.aws_text} == pinned
    assert "Machine Learnin resource" in pinned["model-no-container-permission"]
