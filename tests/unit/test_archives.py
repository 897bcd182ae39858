"""Every hostile or damaged archive of the catalogue is refused (or accepted) as it says, and leaves nothing behind."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edge_sim.agent.archives import ArchiveError, Limits, unpack
from edge_sim.agent.archives.limits import MIB
from edge_sim.greengrass.plan import Modes
from tests.archive_cases import ALL_IDS, Case, cases

OURS = Modes(uid=-1, gid=-1, file=0o640, executable=0o750, directory=0o750)
SMALL = Limits(entries=2000, total_bytes=80 * MIB)
CASES = tuple(cases())

ELSEWHERE = {
    "B24": "test_archives_safety.py: a directory swapped while it is filled",
    "B27": "test_archives_safety.py: the destination is a link",
    "C15": "test_deployer.py: a group that does not exist on the board",
    "C16": "test_archives_unpack.py: modes of ro and rw",
    "E12": "test_archives_safety.py: the file changes while it is read",
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, tmp_path: Path) -> None:
    archive, destination, outside = tmp_path / "archive", tmp_path / "dest", tmp_path / "outside"
    archive.write_bytes(case.data)
    destination.mkdir()
    outside.mkdir()
    if not case.codes:
        unpack(archive, destination, file_name=case.file_name, limits=SMALL, modes=OURS)
        assert_only_plain_files(destination)
    else:
        with pytest.raises(ArchiveError) as refused:
            unpack(archive, destination, file_name=case.file_name, limits=SMALL, modes=OURS)
        assert refused.value.code in case.codes, refused.value.brief
        assert refused.value.brief.isprintable()
        assert refused.value.brief.startswith(case.file_name)
        assert not list(destination.iterdir())
    assert not list(outside.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "dest", "outside"]


def assert_only_plain_files(top: Path) -> None:
    for path in top.rglob("*"):
        status = path.lstat()
        wanted = (0o640, 0o750) if stat.S_ISREG(status.st_mode) else (0o750,)
        assert stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        assert stat.S_IMODE(status.st_mode) in wanted
        assert os.listxattr(path, follow_symlinks=False) == []
        assert abs(status.st_mtime - top.stat().st_mtime) < 3600, "the archive's own time was kept"


def test_how_many_cases_are_covered() -> None:
    covered = {case.id for case in CASES} | set(ELSEWHERE)
    missing = [case_id for case_id in ALL_IDS if case_id not in covered]
    print(f"hostile archives: {len(covered)} of {len(ALL_IDS)} case ids covered, missing: {missing or 'none'}")
    assert covered <= set(ALL_IDS)
    assert not missing
