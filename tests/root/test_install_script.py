"""install.sh where nothing can be written: a read-only /opt, a full disk. Real mounts, in a namespace of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import needs
from tests.unit.test_bundle import SHELLS, board, texts

__all__ = ["board"]
pytestmark = [pytest.mark.root, needs.mounts]
INSTALL = '$1 "$2" --thing core --broker mqtt://127.0.0.1:1'
CANNOT = "opt/edge-sim cannot be written: the agent needs up to 45 MB on a writable file system"
LISTING = 'find "$DESTDIR/opt" -type f | sort | xargs -r sha256sum'


def in_namespace(shell: list[str], board: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script whose mounts end with it; ``$1 "$2"`` is install.sh with a shell."""
    (board / "opt").mkdir()
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", " ".join(shell), str(board.parent / "edge-sim/install.sh")]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DESTDIR": str(board)}
    return subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("mount", "why"), [("ro", "ead-only file system"), ("size=64k", "o space left on device")])
def test_a_place_that_cannot_be_written_is_one_sentence_and_stays_as_it_was(
    shell: list[str], board: Path, mount: str, why: str
) -> None:
    (board.parent / "edge-sim/large").write_bytes(bytes(100_000))
    before = texts(board)
    done = in_namespace(
        shell, board, f'mount -t tmpfs -o {mount} tmpfs "$DESTDIR/opt"; {INSTALL}; echo $?; find "$DESTDIR/opt"'
    )
    assert done.stdout.split() == ["6", f"{board}/opt"]
    first, *_, last = done.stderr.splitlines()
    assert why in first
    assert last == f"install.sh: {board}/{CANNOT}"
    assert texts(board) == before


@pytest.mark.parametrize("shell", SHELLS)
def test_a_disk_that_is_full_at_an_upgrade_leaves_the_old_version_whole(shell: list[str], board: Path) -> None:
    script = f"""mount -t tmpfs -o size=200k tmpfs "$DESTDIR/opt"
{INSTALL} >/dev/null && {LISTING}
head -c 300000 /dev/zero >"${{2%/*}}/large"
{INSTALL}; echo $?
{LISTING}"""
    done = in_namespace(shell, board, script)
    before, _, after = done.stdout.partition("6\n")
    assert CANNOT in done.stderr
    assert before == after
    assert "opt/edge-sim/agent.json" in before
