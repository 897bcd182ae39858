"""The example of a migration from a V1 board to V2 boards in containers of their own architecture, on both nuclei."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.emulated.containers import edge_sim, ready
from tests.root.test_migration_example import EXAMPLE, check_walk
from tests.root.test_nucleus import open_folder

pytestmark = pytest.mark.emulated


def test_the_predictions_are_the_same_on_armv7l_and_x86_64_on_classic_and_lite(client: Any) -> None:
    ready(client, "raspberry-pi-3", "generic-x86_64")
    with open_folder() as folder:
        check_walk(folder / "walk", "--driver", "docker")


def test_awss_own_client_runs_in_a_container(client: Any, tmp_path: Path) -> None:
    ready(client, "generic-x86_64")
    for name in ("awsiot", "awscrt"):
        shutil.copytree(Path(str(metadata.distribution("awscrt").locate_file(name))), tmp_path / "packages" / name)
    (library,) = Path(str(metadata.distribution("awscrt").locate_file(""))).glob("_awscrt*")
    shutil.copy(library, tmp_path / "packages")
    boards = ("--from-profile", "raspberry-pi-3", "--to-profile", "generic-x86_64")
    edge_sim("migrate", str(EXAMPLE), *boards, "--target", "lite", "-o", str(tmp_path / "v2"), check=False)
    words = ("--target", "lite", "--profile", "generic-x86_64", "--packages", str(tmp_path / "packages"))
    sends = ("--send", 'images/new={"images": 60}', "--answers", "1", "--format", "json")
    done = edge_sim("nucleus", str(tmp_path / "v2"), *words, *sends)
    outcome = json.loads(done.stdout)
    assert [one["topic"] for one in outcome["sent"]] == ["images/digits"]
    assert not any("stands in for awsiotsdk" in note for note in outcome["notes"])
