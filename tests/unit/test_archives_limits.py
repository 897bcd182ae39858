"""What an archive only implies, and what stands in its headers, counts against its limits as well."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_sim.agent.archives import ArchiveError, Limits, unpack
from edge_sim.agent.archives.check import check
from tests.archive_build import OURS, Zipped, entry, extra_field, longname, tgz, zipped


def refusal(data: bytes, destination: Path, limits: Limits, name: str = "m.zip") -> str | None:
    """Return the code with which an archive is refused, as unpacking and checking agree, None when it is taken."""
    archive = destination.parent / name
    archive.write_bytes(data)
    code = None
    try:
        unpack(archive, destination, file_name=name, limits=limits, modes=OURS)
    except ArchiveError as error:
        code = error.code
        assert list(destination.iterdir()) == []
    faults = check(archive, limits=limits).faults
    assert [fault.code for fault in faults] == ([code] if code else [])
    return code


def empty_files(names: Iterable[bytes]) -> bytes:
    return zipped(*(Zipped(name=name, data=b"", mode=0o40755 if name.endswith(b"/") else 0o100644) for name in names))


@pytest.mark.parametrize(
    ("names", "count"),
    [
        ((b"a/b/f",), 3),
        ((b"a/", b"a/b/", b"a/b/f"), 3),
        ((b"a/b/f", b"a/b/", b"a/"), 3),
        ((b"a/x", b"b/y", b"a/z"), 5),
        ((b"a/b/c/", b"a/b/d/e"), 5),
        ((b"./a/f", b"./a/"), 2),
    ],
)
def test_directories_that_a_zip_implies_are_entries(destination: Path, names: tuple[bytes, ...], count: int) -> None:
    assert refusal(empty_files(names), destination, Limits(entries=count - 1)) == "LIMIT_ENTRIES"
    assert refusal(empty_files(names), destination, Limits(entries=count)) is None
    assert len(list(destination.rglob("*"))) == count


def test_nothing_is_made_before_they_are_counted(destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "mkdir", None)
    names = (b"%d/" % n + b"d/" * 30 + b"f" for n in range(100))
    assert refusal(empty_files(names), destination, Limits(entries=1000)) == "LIMIT_ENTRIES"


def test_names_count_together(destination: Path) -> None:
    made = empty_files(b"m/" + b"n" * 98 + b"%02d" % n for n in range(50))
    assert refusal(made, destination, Limits(names_bytes=5100)) == "LIMIT_SIZE"
    assert refusal(made, destination, Limits(names_bytes=5101)) is None


def test_long_names_of_a_tar_count_together(destination: Path) -> None:
    made = tgz(*(longname(b"n" * 198 + b"%02d\0" % n) + entry(b"n" * 100) for n in range(50)))
    assert refusal(made, destination, Limits(names_bytes=9_999), "m.tar.gz") == "LIMIT_SIZE"
    assert refusal(made, destination, Limits(names_bytes=10_000), "m.tar.gz") is None


_LARGE = extra_field(0xCAFE, bytes(60_000))


@pytest.mark.parametrize(
    "large",
    [
        Zipped(name=b"", data=b"", extra=_LARGE),
        Zipped(name=b"", data=b"", central_extra=_LARGE),
        Zipped(name=b"", data=b"", comment=_LARGE),
    ],
    ids=["extra fields in both headers", "extra fields in the directory", "comments"],
)
def test_a_zips_headers_count_against_the_total(destination: Path, large: Zipped) -> None:
    made = zipped(*(replace(large, name=b"%d" % n) for n in range(20)))
    assert refusal(made, destination, Limits(total_bytes=1_000_000)) == "LIMIT_SIZE"
    assert refusal(made, destination, Limits(total_bytes=4_000_000)) is None


def test_names_that_cannot_be_taken_are_not_held(tmp_path: Path) -> None:
    archive = tmp_path / "m.zip"
    archive.write_bytes(empty_files(b"%03d" % n + b"n" * 65_000 for n in range(200)))
    tracemalloc.start()
    try:
        faults = check(archive, limits=Limits()).faults
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [fault.code for fault in faults] == ["NAME"]
    assert peak < 4 << 20


MEMORY = """
import sys
from pathlib import Path
from edge_sim.agent.archives import ArchiveError, unpack
from edge_sim.greengrass.plan import Modes
archive, destination = map(Path, sys.argv[1:])
try:
    unpack(archive, destination, file_name=archive.name, modes=Modes(uid=-1, gid=-1, file=0, executable=0, directory=0))
except ArchiveError as error:
    print(error.code, Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.process
def test_a_million_implied_directories(destination: Path, tmp_path: Path) -> None:
    """The resident memory of the whole process stays under 64 MiB at the default limits."""
    archive = tmp_path / "m.zip"
    archive.write_bytes(empty_files(b"%x/" % n + b"d/" * 30 + b"f" for n in range(32_300)))
    argv = [sys.executable, "-c", MEMORY, str(archive), str(destination)]
    said = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300).stdout.split()
    assert said[0] == "LIMIT_ENTRIES"
    assert int(said[1]) < 64 * 1024
    assert list(destination.iterdir()) == []
