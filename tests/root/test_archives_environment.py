"""A good archive on a disk in a bad state: full, without inodes, read-only, breaking, or somebody else's."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_sim.agent.archives import ArchiveError, UnpackError, unpack
from edge_sim.agent.deployment.deployer import deploy, group_of
from edge_sim.agent.host import LinuxHost
from edge_sim.errors import EdgeSimError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.plan import Modes
from edge_sim.greengrass.tree import BELOW
from tests import forked, needs
from tests.archive_build import directory, entry, tgz
from tests.deployments import MODEL, Artifacts, board, document, owner, picture
from tests.root.functions_board import private_mounts
from tests.waiting import until

pytestmark = [
    pytest.mark.root,
    needs.mounts,
]
OURS = Modes(uid=0, gid=44, file=0o440, executable=0o550, directory=0o550)
PAGE = 4096
NOISE = random.Random(1).randbytes(30_000)
GOOD = tgz(directory("d/"), *(entry(f"d/{n}", NOISE[n * 3000 : n * 3000 + 3000]) for n in range(10)))


@pytest.fixture(autouse=True)
def own_mounts(tmp_path: Path) -> Iterator[None]:
    """Mounts, and loop devices with them, go with this process, also where it is killed."""
    with private_mounts(tmp_path):
        yield


@contextmanager
def mounted(place: Path, *how: str) -> Iterator[Path]:
    """Mount something, and take it away again."""
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *how, str(place)], capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"this root may not mount: {done.stderr.strip()}")
    try:
        yield place
    finally:
        for _ in range(100):  # busy for a moment: a loop device lets its file go late
            if subprocess.run(["umount", str(place)], capture_output=True, timeout=60).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", str(place)], check=True, timeout=60)


@contextmanager
def ext4(place: Path, image: Path, size: int, *options: str) -> Iterator[Path]:
    """An ext4 file system of ``size`` bytes in a file."""
    image.touch()
    os.truncate(image, size)
    subprocess.run(["mkfs.ext4", "-q", "-F", *options, str(image)], check=True, timeout=60)
    with mounted(place, "-o", "loop", str(image)):
        yield place


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True, timeout=60)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    made = tmp_path / "model.tar.gz"
    made.write_bytes(GOOD)
    return made


def failure(work: Callable[[], object]) -> EdgeSimError | None:
    """Return how ``work`` failed, or None."""
    try:
        work()
    except EdgeSimError as error:
        return error
    return None


def unpacking(archive: Path, destination: Path) -> UnpackError | ArchiveError | None:
    """Unpack; whatever failed, nothing is left. Return how it failed, or None."""
    destination.mkdir(exist_ok=True)
    failed = failure(lambda: unpack(archive, destination, file_name="model.tar.gz", modes=OURS))
    if failed is None:
        return None
    assert isinstance(failed, UnpackError | ArchiveError)
    assert list(destination.iterdir()) == []
    return failed


@pytest.mark.parametrize("what", ["size", "nr_inodes"])
def test_a_tmpfs_that_grows_until_it_fits(archive: Path, tmp_path: Path, what: str) -> None:
    """G01, G05: out of pages or inodes at every possible write; the code says so, and with room it succeeds."""
    step, start = (PAGE, 2 * PAGE) if what == "size" else (1, 3)
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", f"{what}={start}", "none") as disk:
        failures = 0
        while (failed := unpacking(archive, disk / "model")) is not None:
            assert failed.code == "NO_SPACE"
            assert "Free some space" in str(failed.hint)
            failures += 1
            assert failures < 60
            remount(disk, f"{what}={start + failures * step}")
        assert failures >= 8
        assert (disk / "model/d/9").read_bytes() == NOISE[27_000:]


@needs.loop_devices
def test_an_ext4_without_inodes(archive: Path, tmp_path: Path) -> None:
    """G05: 16 inodes, of which ext4 keeps eleven for itself."""
    with ext4(tmp_path / "disk", tmp_path / "image", 1 << 20, "-N", "16") as disk:
        failed = unpacking(archive, disk / "model")
        assert failed is not None
        assert failed.code == "NO_SPACE"
        archive.write_bytes(tgz(entry("one")))
        assert unpacking(archive, disk / "model") is None


@needs.loop_devices
def test_a_killed_test_leaves_no_loop_device(tmp_path: Path) -> None:
    image = tmp_path / "image"
    child = os.fork()
    if child == 0:
        with private_mounts(tmp_path), ext4(tmp_path / "disk", image, 1 << 20, "-N", "16"):
            os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    until(lambda: not subprocess.run(["losetup", "-j", image], capture_output=True, check=True).stdout)


@needs.loop_devices
def test_a_full_ext4(tmp_path: Path) -> None:
    """G01: the blocks end while a large file is written, or when delayed ones are brought to the disk."""
    (tmp_path / "model.tar.gz").write_bytes(tgz(entry("large", random.Random(2).randbytes(4 << 20))))
    with ext4(tmp_path / "disk", tmp_path / "image", 3 << 20) as disk:
        failed = unpacking(tmp_path / "model.tar.gz", disk / "model")
        assert failed is not None
        assert failed.code == "NO_SPACE"
        (tmp_path / "model.tar.gz").write_bytes(GOOD)
        assert unpacking(tmp_path / "model.tar.gz", disk / "model") is None


def test_a_read_only_disk(archive: Path, tmp_path: Path) -> None:
    """G03, EROFS."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "none") as disk:
        (disk / "model").mkdir()
        remount(disk, "ro")
        failed = unpacking(archive, disk / "model")
        assert failed is not None
        assert failed.code == "EROFS"
        remount(disk, "rw")
        assert unpacking(archive, disk / "model") is None


def test_a_place_of_somebody_else(archive: Path, tmp_path: Path) -> None:
    """G03, EACCES: a process without rights in the destination."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "none") as disk:
        (disk / "model").mkdir(mode=0o755)
        (disk / "model.tar.gz").write_bytes(GOOD)
        inside = os.open(disk / "model", os.O_RDONLY | os.O_DIRECTORY)
        source = (disk / "model.tar.gz").open("rb")

        def nobody() -> None:
            forked.become(65534, 65534)
            with pytest.raises(UnpackError) as failed:
                unpack(source, inside, file_name="model.tar.gz", modes=OURS)
            assert failed.value.code == "EACCES"

        forked.result_of(nobody)
        os.close(inside)
        source.close()
        assert list((disk / "model").iterdir()) == []


@needs.loop_devices
def test_a_disk_that_breaks_when_it_is_brought_to_it(tmp_path: Path) -> None:
    """G04: writing succeeds, syncfs tells EIO (the image has no room behind it); never a success."""
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(tgz(entry("large", random.Random(3).randbytes(6 << 20))))
    with (
        mounted(tmp_path / "under", "-t", "tmpfs", "-o", "size=4m", "none") as under,
        ext4(tmp_path / "disk", under / "image", 32 << 20, "-O", "^has_journal", "-E", "nodiscard") as disk,
    ):
        (disk / "model").mkdir()
        failed = failure(lambda: unpack(archive, disk / "model", file_name="model.tar.gz", modes=OURS))
        assert isinstance(failed, UnpackError)
        assert failed.code == "EIO"


def test_a_mount_point_is_a_destination(archive: Path, tmp_path: Path) -> None:
    """G08: an empty file system is as good as an empty directory; one with something in it is refused."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "none") as disk:
        assert unpacking(archive, disk) is None
        assert (disk / "d/0").stat().st_gid == 44
        with pytest.raises(ArchiveError, match="not empty"):
            unpack(archive, disk, file_name="model.tar.gz", modes=OURS)
        assert (disk / "d/0").exists()


class Deployments:
    """A board of its own, on which the model m1 lies."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.facts: HostFacts = board(root)
        self.store = Artifacts()
        self.lay_out(MODEL)
        self.before = self.picture()

    def lay_out(self, data: bytes) -> None:
        made = document(self.store, {"m1": (data, "m.tar.gz", owner("video"))})
        deploy(group_of(made), made, self.root, self.facts, LinuxHost(self.root), self.store.fetch)

    def picture(self) -> dict[str, tuple[object, ...]]:
        return {name: what for name, what in picture(self.root).items() if BELOW.staging not in name}


def test_a_board_that_is_full(tmp_path: Path) -> None:
    """G01, G02: no room for the package, a directory, a record or the journal; the old version stays as it was."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m", "none") as disk:
        on = Deployments(disk)
        room = os.statvfs(disk)
        used = room.f_blocks - room.f_bfree
        failures = 0
        for pages in range(200):
            remount(disk, f"size={(used + pages) * PAGE}")
            failed = failure(lambda: on.lay_out(GOOD))
            if failed is None:
                break
            failures += 1
            assert failed.exit_status in (3, 6)
            assert on.picture() == on.before, failed.brief
        assert failures >= 10
        assert len(list(disk.rglob("d/9"))) == 1


@pytest.mark.parametrize("where", ["ggc/deployment", "ggc/deployment/mlmodel_public"])
def test_a_deployment_directory_on_another_disk(tmp_path: Path, where: str) -> None:
    """G09, EXDEV: staging and deployment cannot be renamed into one another; said, and nothing is half done."""
    gg = tmp_path / "greengrass"
    facts, store = board(tmp_path), Artifacts()
    made = document(store, {"m1": (GOOD, "m.tar.gz", owner("video"))})
    (gg / where).mkdir(parents=True)
    with mounted(gg / where, "-t", "tmpfs", "none"):
        before = picture(tmp_path)
        failed = failure(lambda: deploy(group_of(made), made, tmp_path, facts, LinuxHost(tmp_path), store.fetch))
        assert failed is not None
        assert "cross-device" in failed.brief
        assert {n: w for n, w in picture(tmp_path).items() if n in before} == before
        assert not list(tmp_path.rglob("d/9"))


def test_a_model_directory_that_somebody_mounted_on(tmp_path: Path) -> None:
    """G08: foreign data at the model's place is neither replaced nor removed."""
    on = Deployments(tmp_path)
    (place,) = (tmp_path / "greengrass/ggc/deployment/mlmodel_public").iterdir()
    with mounted(place, "-t", "tmpfs", "none"):
        (place / "precious").write_text("foreign")
        failed = failure(lambda: on.lay_out(GOOD))
        assert failed is not None
        assert (place / "precious").read_text() == "foreign"
    assert on.picture() == on.before
    on.lay_out(GOOD)
