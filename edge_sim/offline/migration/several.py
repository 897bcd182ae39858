"""The files for several boards in one folder: what is alike for all of them once, the rest below ``boards/NAME``."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Sequence
from pathlib import Path

from edge_sim.v2.steps import BOARDS, SEVERAL


def gather(folder: Path, boards: Sequence[str]) -> None:
    """Move what lies below every one of the ``boards``' folders with the same content up to the folder's top."""
    tops = [folder / BOARDS / name for name in boards]
    first, *others = tops
    for file in sorted(path for path in first.rglob("*") if path.is_file()):
        name = file.relative_to(first)
        copies = [top / name for top in others]
        if all(copy.is_file() and filecmp.cmp(file, copy, shallow=False) for copy in copies):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            file.replace(folder / name)
            for copy in copies:
                copy.unlink()
    for top in tops:
        for place in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            if not any(place.iterdir()):
                place.rmdir()
        if not any(top.iterdir()):
            top.rmdir()
    if not any((folder / BOARDS).iterdir()):
        (folder / BOARDS).rmdir()
    steps = folder / "README.md"
    if not steps.is_file():
        listed = "".join(f"* [{name}]({BOARDS}/{name}/README.md)\n" for name in boards)
        steps.write_text(
            f"# From Greengrass V1 to V2\n\n{SEVERAL}\nThe steps of each board:\n\n{listed}", encoding="utf-8"
        )


def lay_over(folder: Path, board: str) -> None:
    """Make a copy of a folder for several boards the folder of one: its own files take the place of the others'."""
    own = folder / BOARDS / board
    if own.is_dir():
        shutil.copytree(own, folder, dirs_exist_ok=True)
