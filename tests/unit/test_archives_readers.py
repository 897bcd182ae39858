"""What is taken reads the same to every common reader, and what everyday tools make is taken.

Readers that are not installed are named in what the tests print. Where one of them alone is wrong by a bug that is
known, the bug is a line in ``BUGS``, and Go must agree with us.
"""

from __future__ import annotations

import gzip
import random
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edge_sim.agent.archives import ArchiveError, Limits, unpack
from tests import archive_tools
from tests.archive_build import OURS
from tests.archive_cases import cases
from tests.archive_mutations import SEED, damaged_tar, damaged_zip, mutations
from tests.archive_oddities import linked, linked_zip, odd_tar, odd_zip
from tests.archive_readers import Reader, Tree, UnreadableError, below, differences, followers, readers
from tests.archive_run import SMALL

pytestmark = pytest.mark.process

_FAT_HOSTS = (0, 10, 11, 14)


@dataclass(frozen=True)
class Bug:
    """A bug of one reader that is not ours to mend: ``applies`` tells whether an archive, or a complaint, meets it."""

    reader: str
    kind: str
    what: str
    applies: Callable[[Path, list[str]], bool]


def _renamed_by_unzip(archive: Path, found: list[str]) -> bool:
    with zipfile.ZipFile(archive) as opened:
        return any(i.create_system in _FAT_HOSTS and not i.filename.isascii() for i in opened.infolist())


def _times_as_prefix(archive: Path, found: list[str]) -> bool:
    tar = gzip.decompress(archive.read_bytes())
    return any(tar[at + 257 : at + 263] == b"ustar " and tar[at + 345] for at in range(0, len(tar) - 511, 512))


def _other_name_in_field(archive: Path, found: list[str]) -> bool:
    with zipfile.ZipFile(archive) as opened:
        return any(b"\x75\x70" in i.extra and not i.flag_bits & 0x800 for i in opened.infolist())


def _owner_out_of_range(archive: Path, found: list[str]) -> bool:
    return "out of " in found[0] and any(what in found[0] for what in ("uid", "gid"))


BUGS = (
    Bug("Info-ZIP", "zip", "Debian's unzip converts UTF-8 names of zips made on FAT hosts", _renamed_by_unzip),
    Bug("Python", "tar.gz", "tarfile puts GNU's times before the name, as a prefix", _times_as_prefix),
    Bug("Python", "zip", "zipfile does not read the field with the UTF-8 name before 3.13", _other_name_in_field),
    Bug("GNU tar", "tar.gz", "tar ends with status 2 over owners of more than 32 bits", _owner_out_of_range),
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_what_is_taken_reads_the_same_everywhere(
    kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    dice = random.Random(SEED)
    odd, damaged = (odd_tar, damaged_tar) if kind == "tar.gz" else (odd_zip, damaged_zip)
    generated = [case.data for case in cases() if case.file_name.endswith(kind)]
    generated += [make(dice) for make in (odd, odd, odd, damaged) for _ in range(mutations() // 4)]
    compared = _Comparison(kind, tmp_path, readers(kind, tmp_path))
    for number, data in enumerate(generated):
        compared.compare(data, str(number))
    record_property("summary", str(compared))
    assert compared.taken > 20
    assert compared.disagreements == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_copy_is_what_the_link_reads(
    kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    dice = random.Random(SEED)
    compared = _Comparison(kind, tmp_path, followers(kind, tmp_path))
    for number in range(mutations()):
        data = linked(dice) if kind == "tar.gz" else linked_zip(dice)
        compared.compare(data, str(number), replace(SMALL, links="copy"))
    record_property("summary", f"links in {compared}")
    assert compared.taken > 5
    assert compared.disagreements == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_what_everyday_tools_make_is_taken(
    kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    compared = _Comparison(kind, tmp_path, readers(kind, tmp_path))
    made = tmp_path / "made"
    made.mkdir()
    archives, missing = archive_tools.archives(made, kind)
    for label, data in archives:
        assert compared.compare(data, label), label
    record_property("summary", f"everyday tools' {compared}; tools missing: {', '.join(missing) or 'none'}")
    assert compared.disagreements == []


class _Comparison:
    """Unpacks archives, has the readers read those that are taken, and counts."""

    def __init__(self, kind: str, scratch: Path, installed: tuple[dict[str, Reader], list[str]]) -> None:
        self._archive = scratch / f"m.{kind}"
        self._kind = kind
        self._destination = scratch / "dest"
        self._readers, self._missing = installed
        self.archives = self.taken = 0
        self.disagreements: list[str] = []
        self._bugs: Counter[str] = Counter()

    def compare(self, data: bytes, label: str, limits: Limits = SMALL) -> bool:
        """Tell whether the archive is taken, having noted who reads something else in it."""
        self.archives += 1
        self._archive.write_bytes(data)
        self._destination.mkdir()
        try:
            unpack(self._archive, self._destination, file_name=self._archive.name, limits=limits, modes=OURS)
            ours = below(self._destination)
        except ArchiveError:
            return False
        finally:
            shutil.rmtree(self._destination)
        self.taken += 1
        found = {name: _difference(ours, reader, self._archive) for name, reader in self._readers.items()}
        for name, lines in found.items():
            if not lines:
                continue
            bug = self._bug(name, lines)
            if bug and not found.get("Go"):
                self._bugs[bug] += 1
            else:
                self.disagreements.append(f"{label}, {name}: {'; '.join(lines)}")
        return True

    def _bug(self, reader: str, lines: list[str]) -> str | None:
        matching = (b for b in BUGS if b.reader == reader and b.kind == self._kind and b.applies(self._archive, lines))
        return next((bug.what for bug in matching), None)

    def __str__(self) -> str:
        known = "; ".join(f"{count} × {what}" for what, count in self._bugs.items())
        return (
            f"{self._kind}: {self.archives} archives, {self.taken} taken, {len(self._readers)} readers"
            f" ({', '.join(self._readers)}; missing: {', '.join(self._missing) or 'none'}),"
            f" {len(self.disagreements)} disagreements, known bugs: {known or 'none met'}"
        )


def _difference(ours: Tree, reader: Reader, archive: Path) -> list[str]:
    try:
        return differences(ours, reader(archive))
    except UnreadableError as error:
        return [str(error)]
