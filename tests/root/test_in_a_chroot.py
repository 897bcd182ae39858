"""A local board made inside a chroot, as build systems use them: there ``/`` is not a mount point."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import mounts, needs

pytestmark = [pytest.mark.root, needs.mounts]

PROGRAM = """
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.local.board import LocalBoard
from edge_sim.profiles import load_profile

with LocalBoard(BoardSpec(profile=load_profile("raspberry-pi-3"))) as board:
    told = board.exec(["stat", "-c", "%G %a %F", f"{board.root}/dev/ttyUSB0"])
    print(board.mode, board.proves.everything, told.stdout.strip() or told.stderr)
"""


def test_a_board_in_a_chroot_proves_everything(tmp_path: Path) -> None:
    root = tmp_path / "root"
    needed = {Path("/usr"), Path("/proc"), Path("/dev"), Path("/etc"), Path.cwd()}
    needed |= {Path(sys.prefix), Path(sys.base_prefix)}
    links = [path for path in map(Path, ("/bin", "/sbin", "/lib", "/lib64")) if path.is_symlink()]
    (root / "tmp").mkdir(parents=True)
    for link in links:
        (root / link.relative_to("/")).symlink_to(link.readlink())
    # This may be a chroot itself: / is no mount point then, and what it lies on may hand on what is mounted there.
    own = f"mount --bind {tmp_path} {tmp_path}; mount --make-private {tmp_path}"
    script = ["set -e", f"mount --make-rprivate / 2>/dev/null || {{ {own}; }}"]
    for path in sorted(needed):
        inside = root / path.relative_to("/")
        inside.mkdir(parents=True, exist_ok=True)
        script.append(f"mount --rbind {path} {inside}")
    before = sorted((root / "tmp").iterdir())  # where this checkout lies below /tmp
    script.append(f"exec chroot {root} {sys.executable} -c '{PROGRAM}'")
    done = subprocess.run(
        [str(shutil.which("unshare")), "--mount", "--propagation", "unchanged", "sh", "-c", "\n".join(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if mounts.below(tmp_path):
        subprocess.run(["umount", "--recursive", tmp_path], check=True, timeout=60)
        pytest.skip("this chroot lies on a shared mount, which keeps no test's mounts to itself: mount --make-private")
    assert done.stdout.split() == ["root", "True", "dialout", "660", "character", "special", "file"], done.stderr
    assert sorted((root / "tmp").iterdir()) == before
