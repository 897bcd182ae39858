"""The certificates of real boards of four architectures: what QEMU hides is said, what it cannot hide as well."""

from __future__ import annotations

import platform
from typing import Any

import psutil
import pytest

from edge_sim.cli.run import ONE_OF_EACH
from edge_sim.emulation.doctor import certificate
from edge_sim.profiles import load_profile
from tests.emulated.containers import ready

pytestmark = pytest.mark.emulated


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_board_says_what_about_it_is_true(client: Any, name: str) -> None:
    profile = load_profile(name)
    native = profile.architecture == platform.machine()
    ready(client, name)
    rows = {row["fact"]: row for row in certificate("docker", profile, print)}
    assert rows["uname -m"]["found"] == profile.architecture
    assert rows["uname -m"]["verdict"] == ("true" if native else "emulated")
    assert native or "qemu" in rows["uname -m"]["reason"]
    for fact in ("ELF machine", "libc", "groups", "users", "umask"):
        assert rows[fact]["verdict"] == "true", rows[fact]
    for fact in ("kernel", "user land", "set-id bits"):
        assert rows[fact]["verdict"] == "not faithful", rows[fact]
    assert rows["memory"]["verdict"] == "emulated", rows["memory"]
    # sysconf is cut off to 32 bits under qemu-arm.
    assert f"shows {psutil.virtual_memory().total // 2**20} MiB" in rows["memory"]["reason"]
    floats = {"armv6l": "not faithful", "armv7l": "true"}
    assert rows.get("float ABI", {}).get("verdict") == floats.get(profile.architecture)
