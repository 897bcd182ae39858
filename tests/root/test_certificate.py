"""The certificate of a local board, made by the agent that runs in it."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import replace

import pytest
from click.testing import CliRunner

from edge_sim.certificate import CertificateRow
from edge_sim.cli.doctor import command as doctor
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.doctor import certificate, certificate_for
from edge_sim.emulation.local.board import LocalBoard
from edge_sim.profiles import load_profile
from tests import needs

pytestmark = [pytest.mark.root, needs.whole_board]

ZERO = load_profile("raspberry-pi-zero-w")
ROUTER = load_profile("openwrt-armv7")


class _Wrapped:
    """A local board whose programs are started by another one."""

    agent_command = LocalBoard.agent_command

    def __init__(self, board: LocalBoard, *wrapper: str) -> None:
        self.root = board.root
        self._board, self._wrapper = board, wrapper

    def exec(self, argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        return self._board.exec([*self._wrapper, *argv], timeout)


def rows(profile: DeviceProfile, *changes: Sequence[str]) -> dict[str, CertificateRow]:
    with LocalBoard(BoardSpec(profile=profile)) as board:
        for argv in changes:
            done = board.exec(argv, cwd=str(board.root))
            assert done.returncode == 0, done.stderr
        return {row.fact: row for row in certificate_for(board, profile)}


def test_a_local_board_owns_up_to_this_machines_processor_and_programs() -> None:
    made, notes = certificate("local", ROUTER, print)
    found = {row.fact: row for row in made}
    assert any("pseudo terminal" in note for note in notes)
    assert (found["uname -m"].claimed, found["uname -m"].actual) == ("armv7l", platform.machine())
    for fact in ("uname -m", "kernel", "memory"):
        assert found[fact].verdict == "not faithful", found[fact]
    if platform.libc_ver()[0] == "glibc":
        assert (found["libc"].verdict, found["libc"].reason) == ("not faithful", "glibc instead of musl")
    for fact in ("groups", "users", "umask", "set-id bits"):
        assert found[fact].verdict == "true", found[fact]


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_doctor_tells_what_differs_from_a_real_board(fmt: str) -> None:
    done = CliRunner().invoke(doctor, ["--profile", ROUTER.name, "--format", fmt])
    assert done.exit_code == 0, done.output
    notes = [line for line in done.stdout.splitlines() if line.startswith("• ")]
    notes = json.loads(done.stdout)["notes"] if fmt == "json" else notes
    assert any("pseudo terminal" in note for note in notes)


def test_what_was_changed_on_the_board_is_seen() -> None:
    changed = rows(
        replace(ZERO, umask=0o027),
        ["sh", "-c", "echo extra:x:4711: >>etc/group; sed -i s/pi:x:1000/pi:x:1001/ etc/passwd"],
    )
    assert changed["umask"].actual == "0027"
    assert (changed["groups"].verdict, changed["users"].verdict) == ("not faithful", "not faithful")
    assert "extra" in changed["groups"].actual
    assert "pi" in changed["users"].actual


def test_set_id_bits_are_tried_not_assumed() -> None:
    with LocalBoard(BoardSpec(profile=ZERO)) as board:
        found = certificate_for(_Wrapped(board, "setpriv", "--no-new-privs"), ZERO)
    row = next(row for row in found if row.fact == "set-id bits")
    assert (row.verdict, row.actual) == ("not faithful", "ignored")
    assert "no-new-privileges" in row.reason
