"""The locked environment: requirements/, which ``make lock`` writes, fits pyproject.toml."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).resolve().parents[2] / "requirements"
FILES = {"sim.txt": ["", "sim"], "fleet.txt": ["", "sim", "fleet"], "dev.txt": ["", "sim", "dev"]}
ENTRY = re.compile(
    r"^([a-z0-9.-]+)==(\S+)(?: ;[^\\]*)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.MULTILINE
)


def locked(file: str) -> dict[str, set[str]]:
    """Return the versions of each package: more than one where an older Python needs an older release."""
    versions: dict[str, set[str]] = {}
    for name, version in ENTRY.findall((FOLDER / file).read_text(encoding="utf-8")):
        versions.setdefault(name, set()).add(version)
    return versions


@pytest.mark.parametrize(("file", "extras"), FILES.items())
def test_every_dependency_is_locked_at_a_version_that_is_allowed(file: str, extras: list[str]) -> None:
    versions = locked(file)
    wanted = [Requirement(text) for text in requires("edge-sim") or ()]
    chosen = [one for one in wanted if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in extras)]
    assert len(chosen) >= 14
    for one in chosen:
        assert versions.get(canonicalize_name(one.name)), f"{one.name} is not in {file}: make lock"
        assert all(map(one.specifier.contains, versions[canonicalize_name(one.name)])), f"{one} in {file}: make lock"
    assert {"hatchling", "pip"} <= versions.keys()


@pytest.mark.parametrize("file", FILES)
def test_nothing_is_without_a_hash_and_no_registry_is_named(file: str) -> None:
    text = (FOLDER / file).read_text(encoding="utf-8")
    rest = ENTRY.sub("", text)
    assert [line for line in rest.splitlines() if not line.lstrip().startswith("#")] == []
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize("file", ["sim.txt", "fleet.txt"])
def test_the_demo_and_the_image_run_with_the_versions_that_are_tested(file: str) -> None:
    tested = locked("dev.txt")
    assert {name: tested.get(name) for name in locked(file)} == locked(file)


def test_every_lock_is_checked() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)
