"""The example of a migration: one handler gives the same predictions on V1 and on the stand-in for both V2 nuclei."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_sim.scenario import load
from tests.root.test_nucleus import open_folder

EXAMPLE = Path(__file__).parents[2] / "examples/migrate-no-container-ml"
pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users' files")]


@pytest.mark.process
@pytest.mark.slow
def test_the_predictions_are_the_same_before_and_after() -> None:
    with open_folder() as folder:
        check_walk(folder / "walk")


def check_walk(folder: Path, *options: str) -> None:
    """Walk the example, and hold every board's predictions to those that its scenario expects."""
    command = [sys.executable, str(EXAMPLE / "walk.py"), str(folder), *options]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True)
    answers = [line.partition(" {") for line in done.stdout.splitlines()]
    boards = ["classic armv7l", "classic x86_64", "lite armv7l", "lite x86_64", "v1"]
    assert [tree.strip() for tree, _, _ in answers] == boards
    expected = load(EXAMPLE).invocations[0].expect
    for _, _, told in answers:
        answer = json.loads("{" + told)
        assert {key: answer[key] for key in expected} == expected
