"""Damaged archives by the thousand: one verdict, nothing outside, and what is taken is what others read in it."""

from __future__ import annotations

import random
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from edge_sim.agent.archives import ArchiveError, unpack
from edge_sim.agent.archives.check import check
from tests.archive_build import OURS
from tests.archive_mutations import SEED, damaged_tar, damaged_zip, mutations
from tests.archive_run import SMALL


def below(top: Path) -> dict[str, bytes | None]:
    found = (path for path in top.rglob("*"))
    return {str(path.relative_to(top)): None if path.is_dir() else path.read_bytes() for path in found}


def as_others_read(archive: Path) -> dict[str, bytes | None]:
    """The files, and the directories that are named, as the standard library reads them."""
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as opened:
            return {i.filename.rstrip("/"): None if i.is_dir() else opened.read(i) for i in opened.infolist()}
    with tarfile.open(archive) as tar:
        members = {member.name.removeprefix("./"): tar.extractfile(member) for member in tar}
        return {name: file.read() if file else None for name, file in members.items()}


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_every_mutation_has_one_verdict(kind: str, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    archive, destination = tmp_path / f"m.{kind}", tmp_path / "dest"
    told: Counter[str] = Counter()
    for number in range(mutations()):
        archive.write_bytes(damaged_tar(dice) if kind == "tar.gz" else damaged_zip(dice))
        destination.mkdir()
        code = None
        try:
            contents = unpack(archive, destination, file_name=archive.name, limits=SMALL, modes=OURS)
        except ArchiveError as error:
            code, contents = error.code, ()
        verdict = check(archive, limits=SMALL)
        assert (verdict.faults[0].code if verdict.faults else None) == code, number
        assert verdict.contents == contents or code, number
        found = below(destination)
        assert found.keys() == {content.path for content in contents}, number
        if code is None:
            theirs = as_others_read(archive)
            assert theirs == {name: found.get(name) for name in theirs}, number
            assert {name for name, data in found.items() if data is not None} <= theirs.keys(), number
        told[code or "taken"] += 1
        destination.chmod(0o700)
        unlinked(destination)
        assert sorted(place.name for place in tmp_path.iterdir()) == [archive.name], number
    assert told["taken"] > mutations() // 50
    assert len(told) > 6, told


def unlinked(top: Path) -> None:
    for place in sorted(top.rglob("*"), reverse=True):
        place.rmdir() if place.is_dir() else place.unlink()
    top.rmdir()
