"""A machine at its limits under every command that writes: status 6, what is full, and nothing half-written.

The disks are real ones: a tmpfs in a mount namespace of the test's own, full or read-only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edge_sim.agent import linux
from tests import needs
from tests.root.functions_board import private_mounts
from tests.small_group import group_of, make_root

pytestmark = [needs.mounts, pytest.mark.root, pytest.mark.process]
EXAMPLE = Path(__file__).parents[2] / "examples/no-container-ml"
BOARDS = ("--from-profile", "raspberry-pi-3", "--to-profile", "raspberry-pi-4", "--target", "classic")
BUILD = ("--for", "raspbian/armv7l", "--version", "1.11.6")
FULL, READ_ONLY = "No space left on device", "Read-only file system"
COMMANDS = {
    "init": ("init", "GROUP/core.json", "GROUP/functions.json", "GROUP/resources.json", "-o", "DISK/out"),
    "import": ("import", "GROUP", "-o", "DISK/out.yaml"),
    "validate": ("validate", "GROUP", "-o", "DISK/out.txt"),
    "migrate": ("migrate", "GROUP", *BOARDS, "-o", "DISK/out"),
    "rescue": ("rescue", "--root", "ROOT", "-o", "DISK/out"),
    "ota build": (
        "ota",
        "build",
        "--simulated",
        "good",
        "--for",
        "raspbian/armv7l",
        "--version",
        "1.11.6",
        "-o",
        "DISK/b",
    ),
    "apply": ("apply", "GROUP", "--root", "DISK/board"),
}


@contextmanager
def disk(place: Path, size: str, *, board: bool) -> Iterator[None]:
    """A disk of its own, which may hold a board."""
    place.mkdir()
    with private_mounts(place):
        linux.mount("none", place, kind="tmpfs", data=f"size={size},mode=0755")
        if board:
            make_root(place / "board")
        yield


def fill(folder: Path) -> None:
    """Write until there is no room, not for a name either."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    with suppress(OSError):
        for number in range(100_000):
            (folder / f"filler-{number}").touch()


def ended(argv: tuple[str, ...], **environment: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "edge_sim", *argv]
    return subprocess.run(
        whole, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", [FULL, READ_ONLY])
def test_a_command_that_cannot_write_says_that_the_machine_is_at_fault(
    command: str, fault: str, tmp_path: Path
) -> None:
    group, root, place = group_of(tmp_path / "group", "m1"), make_root(tmp_path / "root"), tmp_path / "disk"
    assert ended(("apply", str(group), "--root", str(root))).returncode == 0
    names = {"GROUP": group, "ROOT": root, "DISK": place}
    with disk(place, "1m,nr_inodes=200", board=command == "apply"):
        if fault == FULL:
            fill(place)
        else:
            linux.mount("none", place, flags=linux.MS_REMOUNT | linux.MS_RDONLY)
        before = sorted(place.rglob("*"))
        done = ended(tuple(_filled(word, names) for word in COMMANDS[command]))
        assert (done.returncode, fault in done.stderr) == (6, True), done
        assert "Traceback" not in done.stderr
        assert sorted(place.rglob("*")) == before


def _filled(word: str, names: dict[str, Path]) -> str:
    for name, path in names.items():
        word = word.replace(name, str(path))
    return word


@pytest.mark.slow
def test_a_run_on_a_disk_of_any_size_calls_no_definition_invalid(tmp_path: Path) -> None:
    """A full disk in a deployment had status 3, and one right at the board's start a traceback."""
    statuses = {}
    place = tmp_path / "disk"
    with disk(place, "64k", board=False):
        for size in (80, 92, 112, 136, 160, 176, 224, 240, 256, 272):
            linux.mount("none", place, kind="tmpfs", flags=linux.MS_REMOUNT, data=f"size={size}k")
            argv = ("run", str(EXAMPLE), "--profile", "raspberry-pi-3", "--format", "json")
            done = ended(argv, TMPDIR=str(place))
            report = json.loads(done.stdout)
            problems = [problem for board in report["boards"] for problem in board["problems"]]
            statuses[size] = done.returncode, problems
    assert all(found == (6, []) for found in statuses.values()), statuses
