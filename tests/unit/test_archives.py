"""Every hostile or damaged archive of the catalogue is refused (or accepted) as it says, and leaves nothing behind."""

from __future__ import annotations

import os
import random
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sim.agent.archives import ArchiveError, Limits, inflate, unpack
from edge_sim.agent.archives.limits import MIB
from edge_sim.greengrass.plan import Modes
from tests.archive_build import END, entry, gz_member
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


@pytest.fixture(params=["zlib", "isal.isal_zlib"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Inflate with one module or the other, small streams as well; which one must not matter."""
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal", None)
    else:
        pytest.importorskip("isal", reason="the extra [fast] is not installed")
    monkeypatch.setattr(inflate, "_SMALL", -1)
    inflate.engine.cache_clear()
    yield inflate.engine().__name__
    inflate.engine.cache_clear()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> None:
    assert engine == request.node.callspec.params["engine"]
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


def test_damaged_data_is_the_same_with_either_engine(tmp_path: Path, engine: str) -> None:
    """E06: bits turned anywhere in a deflate stream; only what both refuse, or inflate alike, may come out."""
    chance = random.Random(6)
    body = entry("x", chance.randbytes(3000) + b"text " * 800) + END
    good = gz_member(body)
    for _ in range(300):
        bad = bytearray(good)
        bad[chance.randrange(10, len(good))] ^= 1 << chance.randrange(8)
        archive, destination = tmp_path / "a.tar.gz", tmp_path / "dest"
        archive.write_bytes(bad)
        destination.mkdir()
        with pytest.raises(ArchiveError):
            unpack(archive, destination, file_name="a.tar.gz", modes=OURS)
        assert not list(destination.iterdir())
        destination.rmdir()
