"""The certificates of real boards of four architectures: what QEMU hides is said, what it cannot hide as well."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from edge_sim.cli.board import ONE_OF_EACH
from edge_sim.emulation.containers import boards
from edge_sim.emulation.containers.board import DockerBoard
from edge_sim.emulation.doctor import certificate, running_certificate
from edge_sim.profiles import load_profile, profile_path
from tests.emulated.containers import edge_sim, ready

pytestmark = pytest.mark.emulated


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_board_says_what_about_it_is_true(client: Any, name: str) -> None:
    profile = load_profile(name)
    native = profile.architecture == platform.machine()
    ready(client, name)
    found, notes = certificate("docker", profile, print)
    rows = {row.fact: row for row in found}
    assert any(note.startswith("capabilities: ") for note in notes)
    assert rows["uname -m"].actual == profile.architecture
    assert rows["uname -m"].verdict == ("true" if native else "emulated")
    assert native or "qemu" in rows["uname -m"].reason
    for fact in ("ELF machine", "libc", "groups", "users", "umask"):
        assert rows[fact].verdict == "true", rows[fact]
    for fact in ("kernel", "user land", "set-id bits"):
        assert rows[fact].verdict == "not faithful", rows[fact]
    assert rows["memory"].verdict == "emulated", rows["memory"]
    # sysconf is cut off to 32 bits under qemu-arm.
    assert f"shows {psutil.virtual_memory().total // 2**20} MiB" in rows["memory"].reason
    floats = {"armv6l": "not faithful", "armv7l": "true"}
    assert (rows["float ABI"].verdict if "float ABI" in rows else None) == floats.get(profile.architecture)


def test_a_boards_umask_is_its_own_whatever_it_is_judged_by(board_of: Callable[..., DockerBoard]) -> None:
    board = board_of("generic-x86_64")
    name = board.container.removeprefix(boards.PREFIX)
    _, rows = running_certificate(name, replace(load_profile("generic-x86_64"), umask=0o002))
    (row,) = [row for row in rows if row.fact == "umask"]
    assert (row.actual, row.verdict) == ("0022", "not faithful")


def test_what_is_started_on_a_board_has_its_umask(client: Any, cloud: dict[str, str], tmp_path: Path) -> None:
    ready(client, "generic-x86_64")
    text = profile_path("generic-x86_64").read_text(encoding="utf-8")
    strict = tmp_path / "strict.yaml"
    strict.write_text(text.replace('umask: "0022"', 'umask: "0027"'), encoding="utf-8")
    name = f"test-{os.getpid()}-umask"
    try:
        edge_sim("board", "up", "--profile", str(strict), "--name", name, "--mqtt", cloud["mqtt"])
        assert edge_sim("board", "exec", name, "--", "sh", "-c", "umask").stdout == "0027\n"
        assert edge_sim("board", "shell", name, given="umask\n").stdout == "0027\n"
    finally:
        edge_sim("board", "down", name)
