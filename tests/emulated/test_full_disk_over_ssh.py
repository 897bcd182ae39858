"""A board's disk that fills up in the middle of a run over ssh: one sentence, and the board as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_sim.emulation.containers.board import DockerBoard
from tests.emulated.ssh_boards import Ssh, everything, shell
from tests.emulated.test_ssh import debian, pytestmark, quick, ssh

__all__ = ["debian", "pytestmark", "quick", "ssh"]
TAR = """#!/bin/sh
count=$(($(cat /run/count) + 1))
echo $count >/run/count
[ "$count before" != "{moment}" ] || cat /dev/zero >/opt/filler
/bin/tar "$@"
status=$?
[ "$count after" != "{moment}" ] || cat /dev/zero >/opt/filler
exit $status
"""
"""A run calls it twice: with the bundle, and with the core and the scenario's files."""
FULL = "No space left on device"


@pytest.fixture
def small(debian: DockerBoard) -> Iterator[DockerBoard]:
    """The board with a disk of its own for /opt, which has room for a run when it is looked at."""
    shell(debian, "mkdir -p /opt && mount -t tmpfs -o size=150m none /opt && echo 0 >/run/count")
    try:
        yield debian
    finally:
        shell(debian, "umount /opt && rm -f /usr/local/bin/tar /run/count")


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("1 before", "error: ssh://debian: the bundle cannot be unpacked on the board: "),
        ("1 after", "error: ssh://debian: the bundle cannot be kept on the board: "),
        ("2 before", "error: ssh://debian: the core and the scenario's files cannot be copied to the board: "),
        ("2 after", "error while downloading: "),
    ],
    ids=["at the bundle", "after the bundle", "at the core", "at the deployment"],
)
def test_a_disk_that_fills_up_is_one_sentence(ssh: Ssh, small: DockerBoard, quick: str, moment: str, said: str) -> None:
    own = "/usr/local/bin/tar"
    shell(small, f"cat >{own} <<'end'\n{TAR.format(moment=moment)}end\nchmod 755 {own}")
    before = everything(small)
    done = ssh.edge_sim("run", quick, "--board", "ssh://debian", "--yes", status=6)
    sentences = [line for line in (done.stdout + done.stderr).splitlines() if said in line]
    assert sentences
    assert all(FULL in sentence for sentence in sentences), sentences
    assert "Traceback" not in done.stdout + done.stderr
    kept = moment.startswith("2")
    assert ("except for the bundle in /opt/edge-sim/bundle-of-runs." in done.stderr) == (moment == "2 before")
    left = ["edge-sim", "bundle-of-runs"] if kept else []
    assert shell(small, "cd /opt && find . -mindepth 1 -maxdepth 2 -not -name filler -printf '%f\\n'").split() == left
    assert [line for line in everything(small) if "/run/count" not in line] == [
        line for line in before if "/run/count" not in line
    ]


def test_a_full_temporary_folder_stops_no_run(ssh: Ssh, debian: DockerBoard, quick: str) -> None:
    shell(debian, "mount -t tmpfs -o size=4k none /tmp; cat /dev/zero >/tmp/filler || true")
    try:
        ssh.edge_sim("run", quick, "--board", "ssh://debian", "--yes")
        assert shell(debian, "ls -A /tmp") == "filler\n"
    finally:
        shell(debian, "umount /tmp")
