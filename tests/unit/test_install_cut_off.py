"""install.sh that is cut off: at every command that changes the board, by the power or by a signal."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_bundle import NAMED, SHELLS, board, installed, texts
from tests.unit.test_images import program

__all__ = ["board"]
pytestmark = pytest.mark.process
CHANGES = ("rm", "mkdir", "cp", "cat", "mv", "chmod", "rmdir")
"""What install.sh changes a board with."""
ABOUT = "opt/edge-sim/bundle/about"


def cut_off(shell: list[str], board: Path, signal: str) -> Iterator[subprocess.CompletedProcess[str]]:
    """Install the bundle over what is there, with ``signal`` at its first change, its second, … until the end."""
    stands_in, count, before = (board.parent / name for name in ("stands-in", "count", "before"))
    stands_in.mkdir()
    shutil.copytree(board, before)
    for name in CHANGES:
        half = 'for last; do :; done; find "$last" -type f | head -n 1 | xargs -r /bin/rm' if name == "rm" else ":"
        script = f"""read -r count <"$COUNT"; count=$((count + 1)); echo $count >"$COUNT"
if [ $count = "$AT" ]; then kill -{signal} "$MAIN"; [ {signal} != KILL ] || {{ {half}; exit 1; }}; fi
exec {shutil.which(name)} "$@"
"""
        program(stands_in / name, script)
    argv = ["sh", "-c", 'MAIN=$$ exec "$@"', "sh", *shell, str(board.parent / "edge-sim/install.sh"), *NAMED]
    environment = {"PATH": f"{stands_in}:/usr/bin:/bin", "DESTDIR": str(board), "COUNT": str(count)}
    for at in itertools.count(1):
        shutil.rmtree(board)
        shutil.copytree(before, board)
        count.write_text("0\n", encoding="ascii")
        yield subprocess.run([*argv], capture_output=True, text=True, env={**environment, "AT": str(at)}, check=False)
        if int(count.read_text()) < at:
            return


def newer(board: Path) -> dict[str, str]:
    """Install, have a newer version unpacked, and return what is on the board as soon as that is installed."""
    assert installed(["sh"], board, *NAMED).returncode == 0
    (board.parent / "edge-sim" / "about").write_text("version=0.2.0-def\narchitecture=armv7l\n", encoding="ascii")
    clean = shutil.copytree(board, board.parent / "clean")
    argv = ["sh", str(board.parent / "edge-sim/install.sh"), *NAMED]
    subprocess.run(argv, env={"PATH": "/usr/bin:/bin", "DESTDIR": str(clean)}, check=True, capture_output=True)
    return texts(clean)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_power_cut_leaves_one_whole_bundle_and_what_is_left_besides_goes_with_the_next_call(
    shell: list[str], board: Path
) -> None:
    after = newer(board)
    older = {ABOUT: "version=0.1.0-abc\narchitecture=armv7l\n"}
    without = []
    for number, _ in enumerate(cut_off(shell, board, "KILL"), 1):
        found = {name: text for name, text in texts(board).items() if "/bundle/" in name and "/new/" not in name}
        found = {name: text for name, text in found.items() if "/old/" not in name}
        if not found:
            without.append(number)
        else:
            assert found in [{n: t for n, t in {**after, **about}.items() if "/bundle/" in n} for about in (older, {})]
        done = installed(shell, board, *NAMED)
        assert (done.returncode, done.stderr) == (0, "")
        assert texts(board) == after
    assert number > 8
    assert len(without) <= 1, "between two renames"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("signal", ["HUP", "INT"])
def test_a_signal_changes_nothing_or_comes_too_late(shell: list[str], board: Path, signal: str) -> None:
    after, before = newer(board), texts(board)
    outcomes = []
    for done in cut_off(shell, board, signal):
        outcomes.append(done.returncode)
        if done.returncode == 0:
            assert texts(board) == after
        else:
            assert texts(board) == before
            assert done.stderr == "install.sh: interrupted; what is installed is as it was\n"
    assert set(outcomes) == {0, 130}
    assert sorted(outcomes, reverse=True) == outcomes, "first it can be interrupted, then no more"
