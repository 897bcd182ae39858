"""edge-sim as people install it: a wheel, in a folder that is not this environment's."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edge_sim.profiles import list_profiles

CHECKOUT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--isolated"]
OFFLINE = ["--no-index", "--no-deps"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", *OFFLINE, "--no-build-isolation", "-w", folder, CHECKOUT], check=True)
    (built,) = folder.iterdir()
    return built


@pytest.mark.parametrize("option", ["--target", "--prefix"])
def test_the_profiles_come_with_the_package(wheel: Path, tmp_path: Path, option: str) -> None:
    subprocess.run([*PIP, "install", *OFFLINE, "--ignore-installed", option, tmp_path, wheel], check=True)
    (package,) = tmp_path.rglob("edge_sim")
    listed = subprocess.run(
        [sys.executable, "-c", "from edge_sim.cli.main import main; main()", "profiles", "list"],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(list_profiles())


def test_what_images_are_built_from_comes_with_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    recipes = [".dockerignore", *(path.name for path in CHECKOUT.glob("Dockerfile.[ax]*"))]
    assert len(recipes) == 5
    assert names.issuperset(f"edge_sim/dockerfiles/{name}" for name in recipes)
