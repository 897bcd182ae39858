"""What happens around a good archive: links and swaps in the destination, changes of the source, a failing machine."""

from __future__ import annotations

import errno
import io
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent import linux
from edge_sim.agent.archives import ArchiveError, Limits, UnpackError, unpack
from edge_sim.agent.archives.limits import Budget
from tests.archive_build import GOOD, OURS, directory, entry, tgz


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    made = tmp_path / "model.tar.gz"
    made.write_bytes(GOOD)
    return made


def run(archive: Path, destination: Path | int, **more: Any) -> None:
    unpack(archive, destination, file_name="model.tar.gz", modes=OURS, **more)


def test_a_destination_that_is_a_link(archive: Path, destination: Path, tmp_path: Path) -> None:
    """B27: refused before the archive is opened (there is none)."""
    (tmp_path / "link").symlink_to(destination)
    (destination / "below").mkdir()
    for place in (tmp_path / "link", tmp_path / "link/below"):
        with pytest.raises(ArchiveError, match="cannot unpack to this directory") as refused:
            run(tmp_path / "missing.tar.gz", place)
        assert refused.value.code == "DESTINATION"


def test_a_destination_that_is_not_empty_or_not_there(archive: Path, destination: Path) -> None:
    (destination / "foreign").write_text("precious")
    for place in (destination, destination / "foreign", destination / "missing"):
        with pytest.raises(ArchiveError):
            run(archive, place)
    assert (destination / "foreign").read_text() == "precious"


def test_a_descriptor_as_destination(archive: Path, destination: Path) -> None:
    descriptor = os.open(destination, os.O_RDONLY | os.O_DIRECTORY)
    try:
        run(archive, descriptor)
    finally:
        os.close(descriptor)
    assert (destination / "d/e/two").read_bytes() == b"2" * 5000


class Swapping(io.FileIO):
    """A source that lets the test do something when it is read for the n-th time."""

    def __init__(self, path: Path, at: int, action: Callable[[], None]) -> None:
        super().__init__(path)
        self._left = at
        self._action = action

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if self._left == 0:
            self._action()
        return super().read(min(size or 0, 600) if size and size > 0 else size)


def big(tmp_path: Path) -> Path:
    """An archive that is read in many small pieces: d/ is made early, written to late."""
    made = tmp_path / "big.tar.gz"
    made.write_bytes(tgz(directory("d/"), entry("first", os.urandom(20_000)), entry("d/late", b"secret")))
    return made


@pytest.mark.parametrize("how", ["link", "directory"])
def test_a_swapped_directory_is_not_written_to(
    destination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """B24, made certain: while a file is written, somebody replaces a directory made before."""
    outside = tmp_path / "outside"
    outside.mkdir()
    write = os.write

    def swapping(descriptor: int, data: bytes) -> int:
        monkeypatch.undo()
        (destination / "d").rename(tmp_path / "away")
        if how == "link":
            (destination / "d").symlink_to(outside)
        else:
            (destination / "d").mkdir()
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", swapping)
    with pytest.raises((ArchiveError, UnpackError)):
        unpack(big(tmp_path), destination, file_name="a.tar.gz", modes=OURS)
    assert list(outside.iterdir()) == []
    assert list((tmp_path / "away").iterdir()) == []
    assert list(destination.iterdir()) == []


SWAPPER = """
import os, sys
here, outside = sys.argv[1:]
d, away = here + "/d", here + "/away"
for _ in range(25_000):
    for call, one, other in (
        (os.rename, d, away),
        (os.symlink, outside, d),
        (os.rename, d, here + "/link"),
        (os.rename, away, d),
    ):
        try:
            call(one, other)
        except OSError:
            pass
"""


@pytest.mark.slow
@pytest.mark.process
def test_racing_swaps_never_escape(destination: Path, tmp_path: Path) -> None:
    """B24, by chance: another process swaps d and a link, in a hundred thousand calls, while it is filled."""
    outside, archive = tmp_path / "outside", tmp_path / "a.tar.gz"
    outside.mkdir()
    d_again_and_again = (entry(f"{place}{n}") for n in range(40) for place in ("d/", "z"))
    archive.write_bytes(tgz(directory("d/"), *d_again_and_again))
    unpacked = refused = 0
    with subprocess.Popen([sys.executable, "-c", SWAPPER, str(destination), str(outside)]) as swapper:
        try:
            while swapper.poll() is None:
                try:
                    run(archive, destination)
                    unpacked += 1
                except (ArchiveError, UnpackError):
                    refused += 1
                assert list(outside.iterdir()) == []
                shutil.rmtree(destination, ignore_errors=True)
                destination.mkdir(exist_ok=True)
        finally:
            swapper.kill()
    print(f"unpacked {unpacked} times, refused {refused} times")
    assert unpacked + refused


@pytest.mark.parametrize("change", ["grow", "shrink", "touch"])
def test_a_source_that_changes(destination: Path, tmp_path: Path, change: str) -> None:
    """E12."""
    path = big(tmp_path)

    def alter() -> None:
        if change == "grow":
            with path.open("ab") as file:
                file.write(b"x")
        elif change == "shrink":
            os.truncate(path, 7000)
        else:
            os.utime(path, ns=(1, 1))

    with Swapping(path, 6, alter) as source, pytest.raises(ArchiveError) as refused:
        unpack(source, destination, file_name="a.tar.gz", modes=OURS)
    assert refused.value.code in ("CHANGED", "TRAILING", "TRUNCATED")
    assert list(destination.iterdir()) == []


CALLS = {
    "write": (os, "write"),
    "mkdir": (os, "mkdir"),
    "fsync": (os, "fsync"),
    "fchmod": (os, "fchmod"),
    "fchown": (os, "fchown"),
    "open": (os, "open"),
    "fstat": (os, "fstat"),
    "syncfs": (linux, "syncfs"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENOMEM, errno.EACCES]
)
def test_a_machine_that_fails(
    archive: Path, destination: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """G01, G02, G03, G04: at every call of every kind; the code says which, nothing is left, the next try succeeds."""
    if call == "fsync":  # what a kernel before 5.8 needs
        monkeypatch.setattr(linux, "SYNCFS_TELLS_ERRORS", False)
    place, name = CALLS[call]
    failures = 0
    while (failed := failing(archive, destination, monkeypatch, (place, name, failures + 1), number)) is not None:
        failures += 1
        wanted = "NO_SPACE" if number == errno.ENOSPC else errno.errorcode[number]
        assert failed.code == wanted or (call == "open" and failed.code == "DESTINATION")
        assert list(destination.iterdir()) == []
    assert failures >= (1 if call == "syncfs" else 2)
    assert (destination / "z").exists()


def failing(
    archive: Path, destination: Path, monkeypatch: pytest.MonkeyPatch, which: tuple[Any, str, int], number: int
) -> ArchiveError | UnpackError | None:
    """Unpack with the n-th call of one function failing, once; return how that ended."""
    place, name, at = which
    real, calls = getattr(place, name), 0

    def sometimes(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(number, os.strerror(number))
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(place, name, sometimes)
        try:
            run(archive, destination)
        except (ArchiveError, UnpackError) as error:
            return error
    return None


def test_a_real_write_limit(archive: Path, destination: Path) -> None:
    """The kernel's own refusal (EFBIG), not a pretended one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(UnpackError) as failed:
            run(archive, destination)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failed.value.code == "EFBIG"
    assert list(destination.iterdir()) == []


def test_ctrl_c_leaves_nothing(destination: Path, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with Swapping(big(tmp_path), 12, interrupt) as source, pytest.raises(KeyboardInterrupt):
        unpack(source, destination, file_name="a.tar.gz", modes=OURS)
    assert list(destination.iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(entries=2), "LIMIT_ENTRIES"),
        (Limits(file_bytes=4999), "LIMIT_SIZE"),
        (Limits(total_bytes=6000), "LIMIT_SIZE"),
        (Limits(ratio=2, ratio_from_bytes=1000), "LIMIT_RATIO"),
        (Limits(seconds=0), "LIMIT_TIME"),
        (Limits(depth=2), "NAME"),
    ],
)
def test_limits(archive: Path, destination: Path, limits: Limits, code: str) -> None:
    with pytest.raises(ArchiveError) as refused:
        run(archive, destination, limits=limits)
    assert refused.value.code == code
    assert list(destination.iterdir()) == []


def test_a_clock_that_jumps_back_has_no_effect() -> None:
    """G10."""
    clock = iter([100.0, 50.0, 99.0])
    budget = Budget(Limits(seconds=10), 10, now=lambda: next(clock))
    budget.produced(1)
    budget.produced(1)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_open(archive: Path, destination: Path, tmp_path: Path) -> None:
    before = open_files()
    run(archive, destination)
    other = tmp_path / "other"
    other.mkdir()
    archive.write_bytes(GOOD[:-5])
    with pytest.raises(ArchiveError):
        run(archive, other)
    assert open_files() == before
