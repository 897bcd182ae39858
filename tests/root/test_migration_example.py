"""The example of a migration: one handler gives the same predictions on a V1 tree and on those of both V2 nuclei."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edge_sim.scenario import load

EXAMPLE = Path(__file__).parents[2] / "examples/migrate-no-container-ml"
pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users' files")]


@pytest.mark.process
@pytest.mark.slow
def test_the_predictions_are_the_same_on_all_three_trees(tmp_path: Path) -> None:
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == os.geteuid() and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
    done = subprocess.run(
        [sys.executable, EXAMPLE / "walk.py", tmp_path / "walk"], text=True, stdout=subprocess.PIPE, check=True
    )
    answers = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [tree for tree, _ in answers] == ["classic", "lite", "v1"]
    expected = load(EXAMPLE).invocations[0].expect
    for _, told in answers:
        answer = yaml.safe_load(told)
        assert {key: answer[key] for key in expected} == expected, json.dumps(answer)
