"""What ordinary programs pack is unpacked whole, with the owner and modes of the definition, not of the archive."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from edge_sim.agent.archives import ArchiveError, unpack
from edge_sim.greengrass.plan import Content, Modes
from tests import needs
from tests.archive_build import Zipped, directory, entry, tgz, zipped

RO = Modes(uid=-1, gid=-1, file=0o440, executable=0o550, directory=0o550)
RW = Modes(uid=-1, gid=-1, file=0o660, executable=0o770, directory=0o2770)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    top = tmp_path / "model"
    (top / "sub").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "weights.bin").write_bytes(os.urandom(300_000))
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    (top / "sub" / ("long-" * 30 + ".txt")).write_text("x" * 5000)
    return top


def assert_same(model: Path, unpacked: Path) -> None:
    wanted = {p.relative_to(model): p.read_bytes() if p.is_file() else None for p in model.rglob("*")}
    assert {p.relative_to(unpacked): p.read_bytes() if p.is_file() else None for p in unpacked.rglob("*")} == wanted


@pytest.mark.process
@pytest.mark.parametrize("kind", ["gnu", "pax", "ustar"])
@pytest.mark.parametrize("dot", [True, False])
def test_gnu_tar(model: Path, destination: Path, tmp_path: Path, kind: str, dot: bool) -> None:
    archive = tmp_path / "a.tar.gz"
    if kind == "ustar":  # has no room for a name of 150 bytes
        next((model / "sub").iterdir()).rename(model / "sub/short")
    where = ["-C", str(model), "."] if dot else ["-C", str(tmp_path), "model"]
    subprocess.run(["tar", f"--format={kind}", "-czf", archive, *where], check=True, timeout=60)
    unpack(archive, destination, file_name="a.tar.gz", modes=RO)
    assert_same(model, destination if dot else destination / "model")


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_pythons_tarfile(model: Path, destination: Path, tmp_path: Path, kind: int) -> None:
    (model / "größe").write_text("umlaut")
    with tarfile.open(tmp_path / "a.tgz", "w:gz", format=kind) as made:
        made.add(model, "model")
    unpack(tmp_path / "a.tgz", destination, file_name="a.tgz", modes=RW)
    assert_same(model, destination / "model")


def test_pythons_zipfile(model: Path, destination: Path, tmp_path: Path) -> None:
    (model / "größe").write_text("umlaut")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for path in model.rglob("*"):
            made.write(path, path.relative_to(model))
    unpack(tmp_path / "a.zip", destination, file_name="a.zip", modes=RO)
    assert_same(model, destination)


def test_a_streamed_zip(destination: Path, tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        held = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.held += bytes(data)  # type: ignore[call-overload]
            return len(data)  # type: ignore[arg-type]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("x/y", "data")
        with made.open("large", "w", force_zip64=True) as member:
            member.write(b"hello" * 100)
    (tmp_path / "a.zip").write_bytes(pipe.held)
    unpack(tmp_path / "a.zip", destination, file_name="a.zip", modes=RO)
    assert (destination / "large").read_bytes() == b"hello" * 100


@pytest.mark.process
@needs.program("zip")
@pytest.mark.parametrize("options", ["-qr", "-qrD", "-qr0", "-qrX"])
def test_info_zip(model: Path, destination: Path, tmp_path: Path, options: str) -> None:
    subprocess.run(["zip", options, tmp_path / "a.zip", "."], cwd=model, check=True, timeout=60)
    unpack(tmp_path / "a.zip", destination, file_name="a.zip", modes=RO)
    if "D" in options:
        (model / "empty").rmdir()
    assert_same(model, destination)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.process
def test_modes_of_ro_and_rw(model: Path, tmp_path: Path) -> None:
    """C16: nothing for others, no group write for ro, whatever the archive and the umask say."""
    archive = tmp_path / "a.tar.gz"
    (model / "run.sh").chmod(0o777)
    subprocess.run(["tar", "-C", model, "-czf", archive, "."], check=True, timeout=60)
    for name, modes, wanted in (("ro", RO, (0o550, 0o440, 0o550)), ("rw", RW, (0o2770, 0o660, 0o770))):
        top = tmp_path / name
        top.mkdir()
        before = os.umask(0o077)
        try:
            unpack(archive, top, file_name="a.tar.gz", modes=modes)
        finally:
            os.umask(before)
        assert (mode(top), mode(top / "weights.bin"), mode(top / "run.sh")) == wanted
        assert mode(top / "sub") == mode(top / "empty") == wanted[0]


def test_the_contents_are_listed_parents_first(destination: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(tgz(directory("d/"), entry("d/x"), entry("d/run", mode=0o755)))
    contents = unpack(tmp_path / "a", destination, file_name="a.tar.gz", modes=RO)
    assert contents == (
        Content(path="d", type="directory"),
        Content(path="d/x", type="file"),
        Content(path="d/run", type="file", executable=True),
    )


def test_a_flat_tar_unpacks(destination: Path, tmp_path: Path) -> None:
    """Inferred: V1's error came from a missing directory, and here there is none to miss."""
    (tmp_path / "a").write_bytes(tgz(entry("x"), entry("y")))
    assert len(unpack(tmp_path / "a", destination, file_name="a.tar.gz", modes=RO)) == 2


@pytest.mark.parametrize(
    "blocks",
    [
        (entry("net/params"),),
        (entry("net/params"), directory("net/")),
        (directory("a/"), entry("a/b/params")),
        (directory("a/b/"), entry("a/b/params")),
    ],
)
def test_v1_refused_a_nested_file_without_its_directory(
    destination: Path, tmp_path: Path, blocks: tuple[bytes, ...]
) -> None:
    (tmp_path / "a").write_bytes(tgz(*blocks))
    with pytest.raises(ArchiveError, match=r"open .*: no such file or directory") as refused:
        unpack(tmp_path / "a", destination, file_name="a.tar.gz", modes=RO)
    assert refused.value.code == "NO_PARENT"
    assert "tar -zcvf model.tar.gz ./model" in str(refused.value.hint)
    assert list(destination.iterdir()) == []


def test_a_zip_may_leave_its_directories_out(destination: Path, tmp_path: Path) -> None:
    data = zipped(Zipped(name=b"a/b/x"), Zipped(name=b"a/", data=b"", mode=0o040755), Zipped(name=b"a/y"))
    (tmp_path / "a").write_bytes(data)
    contents = unpack(tmp_path / "a", destination, file_name="A.ZIP", modes=RO)
    assert [c.path for c in contents] == ["a", "a/b", "a/b/x", "a/y"]
    assert mode(destination / "a") == 0o550


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.zip", "its name says zip, but its content is gzip"),
        ("model.tar", "a package must be a .tar.gz or a .zip"),
        ("model\x1b[0m.tar", r"model\x1b[0m.tar: a package must"),
    ],
)
def test_name_and_content_must_agree(destination: Path, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "a").write_bytes(tgz(entry("x")))
    with pytest.raises(ArchiveError) as refused:
        unpack(tmp_path / "a", destination, file_name=name, modes=RO)
    assert words in refused.value.brief
    assert refused.value.exit_status == 3


@pytest.mark.process
def test_links_come_with_a_way_out(destination: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/latest").symlink_to("weights")
    subprocess.run(["tar", "-C", tmp_path, "-czf", tmp_path / "a.tar.gz", "model"], check=True, timeout=60)
    with pytest.raises(ArchiveError, match="model/latest is a symbolic link") as refused:
        unpack(tmp_path / "a.tar.gz", destination, file_name="a.tar.gz", modes=RO)
    assert "-czhf" in str(refused.value.hint)
