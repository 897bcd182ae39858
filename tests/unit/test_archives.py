"""Every hostile or damaged archive of the catalogue is refused (or accepted) as it says, and leaves nothing behind."""

from __future__ import annotations

import ast
import os
import random
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge_sim.agent.archives import ArchiveError, inflate, unpack
from tests.archive_build import END, OURS, entry, gz_member
from tests.archive_cases import ALL_IDS, Case, cases
from tests.archive_run import SMALL

CASES = cases()

ELSEWHERE = {
    "B24": ("unit/test_archives_safety.py", "test_racing_swaps_never_escape"),
    "B27": ("unit/test_archives_safety.py", "test_a_destination_that_is_a_link"),
    "C15": ("unit/test_deployer.py", "test_a_refusal_leaves_the_board_as_it_was"),
    "C16": ("unit/test_archives_unpack.py", "test_modes_of_ro_and_rw"),
    "E12": ("unit/test_archives_safety.py", "test_a_source_that_changes"),
}
"""Cases that are no archive, and the tests that hold them."""

ENVIRONMENT = {
    "G01": ("root/test_archives_environment.py", "test_a_tmpfs_that_grows_until_it_fits"),
    "G02": ("root/test_archives_environment.py", "test_a_board_that_is_full"),
    "G03": ("unit/test_archives_safety.py", "test_a_machine_that_fails"),
    "G04": ("root/test_archives_environment.py", "test_a_disk_that_breaks_when_it_is_brought_to_it"),
    "G05": ("root/test_archives_environment.py", "test_an_ext4_without_inodes"),
    "G06": ("unit/test_archives_environment.py", "test_killed_anywhere"),
    "G07": ("unit/test_archives_environment.py", "test_two_at_once_do_not_mix"),
    "G08": ("root/test_archives_environment.py", "test_a_model_directory_that_somebody_mounted_on"),
    "G09": ("root/test_archives_environment.py", "test_a_deployment_directory_on_another_disk"),
    "G10": ("unit/test_archives_safety.py", "test_a_clock_that_jumps_back_has_no_effect"),
    "G11": ("unit/test_archives_environment.py", "test_four_gib_in_little_memory"),
}
"""The faults of the machine, and the tests that hold them."""


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
    told("hostile archives", ALL_IDS, {case.id for case in CASES} | set(ELSEWHERE))
    told("faults of the machine", [f"G{number:02d}" for number in range(1, 12)], set(ENVIRONMENT))


def told(what: str, wanted: Sequence[str], covered: set[str]) -> None:
    """Say how many are covered; fail when one is not."""
    missing = [case_id for case_id in wanted if case_id not in covered]
    print(f"{what}: {len(covered)} of {len(wanted)} ids covered, missing: {missing or 'none'}")
    assert covered <= set(wanted)
    assert not missing


@pytest.mark.parametrize("case_id", [*ELSEWHERE, *ENVIRONMENT])
def test_the_tests_that_hold_the_others_are_there(case_id: str) -> None:
    """A test that was renamed or removed uncovers its case."""
    place, name = {**ELSEWHERE, **ENVIRONMENT}[case_id]
    text = (Path(__file__).parents[1] / place).read_text(encoding="utf-8")
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(found) == 1
    assert case_id in (ast.get_docstring(found[0]) or "") or case_id[0] in "BCE"


@pytest.mark.parametrize("bits", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_damaged_data_is_the_same_with_either_engine(tmp_path: Path, engine: str, bits: int) -> None:
    """E06: bits turned anywhere in a deflate stream; only what both refuse, or inflate alike, may come out."""
    chance = random.Random(6)
    body = entry("x", chance.randbytes(3000) + b"text " * 800) + END
    good = gz_member(body)
    for _ in range(bits):
        bad = bytearray(good)
        bad[chance.randrange(10, len(good))] ^= 1 << chance.randrange(8)
        archive, destination = tmp_path / "a.tar.gz", tmp_path / "dest"
        archive.write_bytes(bad)
        destination.mkdir()
        with pytest.raises(ArchiveError):
            unpack(archive, destination, file_name="a.tar.gz", modes=OURS)
        assert not list(destination.iterdir())
        destination.rmdir()
