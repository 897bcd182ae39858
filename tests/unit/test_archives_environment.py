"""A good archive and a machine in a bad state, as far as a plain user can make one (root's part: tests/root)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from edge_sim.agent.archives import ArchiveError, UnpackError, unpack
from edge_sim.agent.deployment import changeover
from edge_sim.agent.deployment.deployer import deploy, group_of
from edge_sim.greengrass.tree import BELOW
from tests.archive_build import GOOD, OURS, zeros_tgz
from tests.deployments import MODEL, Artifacts, board, document, owner, picture
from tests.fakes_host import RecordingHost


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    made = tmp_path / "model.tar.gz"
    made.write_bytes(GOOD)
    return made


def run(archive: Path, destination: Path) -> None:
    unpack(archive, destination, file_name="model.tar.gz", modes=OURS)


def in_a_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process; return its exit status, or minus the signal that killed it."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def failure(work: Callable[[], object]) -> UnpackError | ArchiveError | None:
    """Return how ``work`` failed, or None."""
    try:
        work()
    except (UnpackError, ArchiveError) as error:
        return error
    return None


DESCRIPTORS = """
import resource, sys
from pathlib import Path
from edge_sim.agent.archives import ArchiveError, UnpackError, inflate, unpack
from edge_sim.greengrass.plan import Modes
from edge_sim.greengrass.tree import BELOW
archive, top = Path(sys.argv[1]), Path(sys.argv[2])
modes = Modes(uid=-1, gid=-1, file=0o640, executable=0o750, directory=0o750)
inflate.engine()
for limit in range(3, 20):
    place = top / str(limit)
    place.mkdir()
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, 1024))
    said = ""
    try:
        unpack(archive, place, file_name="a.tar.gz", modes=modes)
    except (ArchiveError, UnpackError) as error:
        said = f"{error.code} {error.brief}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    print(limit, len(list(place.rglob("*"))), said)
    if not said:
        break
"""


@pytest.mark.process
def test_too_many_open_files(archive: Path, destination: Path) -> None:
    """G03, EMFILE: the real limit, from no descriptor left to enough."""
    argv = [sys.executable, "-c", DESCRIPTORS, str(archive), str(destination)]
    told = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    *failed, succeeded = (line.split(" ", 2) for line in told)
    assert len(failed) >= 3
    assert all(said.startswith("EMFILE") or "Too many open files" in said for _, _, said in failed)
    left = [int(limit) for limit, count, _ in failed if count != "0"]
    assert left == [5, 6, 7], "where even the listing of what is to be removed lacks descriptors; the deployer sweeps"
    assert succeeded[1:] == ["5", ""]


def test_no_more_threads(archive: Path, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G03, EAGAIN: what CPython says when the kernel starts no thread."""

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        with pytest.raises(UnpackError) as failed:
            run(archive, destination)
    assert failed.value.code == "EAGAIN"
    assert list(destination.iterdir()) == []
    run(archive, destination)


def test_no_memory(archive: Path, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G03, ENOMEM: Python raises MemoryError then, here in the thread that inflates."""

    def exhausted(*_: object) -> bytes:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("edge_sim.agent.archives.inflate.Inflater._some", exhausted)
        with pytest.raises(UnpackError) as failed:
            run(archive, destination)
    assert failed.value.code == "ENOMEM"
    assert list(destination.iterdir()) == []
    run(archive, destination)


def test_a_disk_that_cannot_be_read(archive: Path, destination: Path) -> None:
    """G03, EIO while reading, from the first read to the last."""

    class Failing:
        def __init__(self, path: Path, at: int) -> None:
            self._file = path.open("rb", buffering=0)
            self.left = at
            self.seek, self.fileno = self._file.seek, self._file.fileno

        def read(self, count: int) -> bytes:
            self.left -= 1
            if self.left == 0:
                raise OSError(5, os.strerror(5))
            return self._file.read(min(count, 600)) or b""

    for number in range(1, 100):
        source: Any = Failing(archive, number)
        failed = failure(lambda: unpack(source, destination, file_name="a.tar.gz", modes=OURS))  # noqa: B023
        if failed is None:
            break
        assert failed.code == "EIO"
        assert list(destination.iterdir()) == []
    assert number >= 3
    assert source.left > 0


def test_interrupting_signals(archive: Path, tmp_path: Path) -> None:
    """G03, EINTR: a signal every 200 µs, whose handler returns."""
    seen = 0

    def count(_: int, __: FrameType | None) -> None:
        nonlocal seen
        seen += 1

    before = signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        for number in range(1000):
            (tmp_path / f"d{number}").mkdir()
            run(archive, tmp_path / f"d{number}")
            if seen > 100:
                break
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen > 100
    assert (tmp_path / f"d{number}/d/e/two").read_bytes() == b"2" * 5000


@pytest.mark.process
def test_a_hostile_process_around_it(archive: Path, destination: Path, tmp_path: Path) -> None:
    """G09: umask, a working directory that is gone, TMPDIR that is nowhere: none of them matters."""

    def work() -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        os.umask(0o777 if os.geteuid() == 0 else 0o077)  # a plain user could not open its own directories
        os.environ["TMPDIR"] = "/nowhere"
        run(archive, destination)

    assert in_a_child(work) == 0
    assert (destination / "d").stat().st_mode & 0o777 == 0o750
    assert (destination / "d/e/two").stat().st_mode & 0o777 == 0o640


def killed_at(number: int) -> None:
    """Have this process killed at its n-th call that changes the disk."""
    calls = 0

    def killing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in ("write", "mkdir", "rename", "replace", "unlink", "rmdir", "fchmod", "chmod"):
        setattr(os, name, killing(getattr(os, name)))


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.skipif(
    os.geteuid() != 0,
    reason="needs root: a plain user must let itself write into a read-only directory to move it, and killed there "
    "leaves it so; run the tests as root too",
)
def test_killed_anywhere(tmp_path: Path) -> None:
    """G06: kill -9 before each call of a deployment: the old board or the new, and the next run sweeps."""
    facts, store, mine = board(tmp_path), Artifacts(), owner(str(os.getgid() or 5150))

    def lay_out(data: bytes) -> None:
        made = document(store, {"m1": (data, "m.tar.gz", mine)})
        deploy(group_of(made), made, tmp_path, facts, RecordingHost(tmp_path), store.fetch)

    def old_again() -> dict[str, tuple[object, ...]]:
        changeover.recover(tmp_path / "greengrass")
        return {name: (what[:3], what[4]) for name, what in picture(tmp_path).items()}

    lay_out(MODEL)
    before = old_again()
    outcomes = []
    for number in range(1, 1000):

        def work(number: int = number) -> None:
            killed_at(number)
            lay_out(GOOD)

        status = in_a_child(work)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        outcomes.append("old" if old_again() == before else "new")
        if outcomes[-1] == "new":
            assert len(list(tmp_path.rglob("e/two"))) == 1
            lay_out(MODEL)
    # Before Python 3.11 pathlib has references of its own to os's functions: fewer points are seen.
    assert outcomes.count("old") >= (20 if sys.version_info >= (3, 11) else 10)
    assert outcomes == sorted(outcomes, reverse=True), "from the switch on it is the new board"
    assert not (tmp_path / "greengrass" / BELOW.staging).exists()
    assert len(list(tmp_path.rglob("e/two"))) == 1


def test_two_at_once_do_not_mix(archive: Path, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G07: while one unpacks, another into the same directory is refused and touches nothing."""
    write, refusals = os.write, []

    def second(descriptor: int, data: bytes) -> int:
        with pytest.raises(ArchiveError, match="another package is being unpacked") as refused:
            run(archive, destination)
        refusals.append(refused.value.code)
        return write(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", second)
        run(archive, destination)
    assert set(refusals) == {"DESTINATION"}
    assert (destination / "d/e/two").read_bytes() == b"2" * 5000


MEMORY = """
import os, sys
from pathlib import Path
from edge_sim.agent.archives import Limits, unpack
from edge_sim.greengrass.plan import Modes
from edge_sim.greengrass.tree import BELOW
from edge_sim.greengrass.tree import BELOW
archive, destination, engine = sys.argv[1:]
if engine == "zlib":
    sys.modules["isal"] = None
written = 0
def counted(descriptor, data):
    global written
    written += len(data)
    return len(data)
os.write = counted  # nothing but the bytes on the disk is left out
limits = Limits(total_bytes=5 << 30, file_bytes=5 << 30, ratio=2000)
unpack(Path(archive), Path(destination), file_name=Path(archive).name, limits=limits,
       modes=Modes(uid=-1, gid=-1, file=0o440, executable=0o550, directory=0o550))
print(written, Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("engine", ["zlib", "isal"])
def test_four_gib_in_little_memory(destination: Path, tmp_path: Path, engine: str) -> None:
    """G11: the resident memory of a whole process stays under 64 MiB."""
    size = 4 << 30
    if engine == "isal":
        pytest.importorskip("isal", reason="the extra [fast] is not installed")
    zeros_tgz(tmp_path / "model.tar.gz", size)
    argv = [sys.executable, "-c", MEMORY, str(tmp_path / "model.tar.gz"), str(destination), engine]
    told = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300).stdout.split()
    written, resident_kib = int(told[0]), int(told[1])
    assert written == size
    assert resident_kib < 64 * 1024
