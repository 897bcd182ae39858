"""The certificates of real boards of four architectures: what QEMU hides is said, what it cannot hide as well."""

from __future__ import annotations

import contextlib
import platform

import pytest

from edge_sim.cli.run import ONE_OF_EACH
from edge_sim.emulation import bases, engine
from edge_sim.emulation.doctor import certificate
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.profiles import load_profile

pytestmark = pytest.mark.emulated


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_board_says_what_about_it_is_true(name: str) -> None:
    profile = load_profile(name)
    native = profile.architecture == platform.machine()
    _require(profile.architecture)
    rows = {row["fact"]: row for row in certificate("docker", profile, print)}
    assert rows["uname -m"]["found"] == profile.architecture
    assert rows["uname -m"]["verdict"] == ("true" if native else "emulated")
    assert native or "qemu" in rows["uname -m"]["reason"]
    for fact in ("ELF machine", "libc", "groups", "users", "umask"):
        assert rows[fact]["verdict"] == "true", rows[fact]
    for fact in ("kernel", "user land", "set-id bits"):
        assert rows[fact]["verdict"] == "not faithful", rows[fact]
    assert rows["memory"]["verdict"] == "emulated", rows["memory"]
    floats = {"armv6l": "not faithful", "armv7l": "true"}
    assert rows.get("float ABI", {}).get("verdict") == floats.get(profile.architecture)


def _require(architecture: str) -> None:
    try:
        with contextlib.closing(engine.connect()) as client:
            engine.require(architecture, client)
    except UnsupportedEnvironmentError as error:
        pytest.skip(f"no board of {architecture} was run: {error.brief}; {error.hint}")
    if bases.cached(architecture) is None:
        pytest.skip(f"no board of {architecture} was run: it has no base; make base-images")
