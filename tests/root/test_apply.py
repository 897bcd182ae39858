"""``edge-sim apply``: all of it or none, whatever fails and wherever it is killed; what is not its own stays."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent import linux
from edge_sim.agent.crashpoints import armed
from edge_sim.agent.deployment import changeover
from edge_sim.agent.events import LogFile
from edge_sim.agent.functions.deployed import DeployedFunctions
from edge_sim.agent.rooted import ACL, ACL_TO_COME
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError
from edge_sim.facts import HostFacts
from edge_sim.offline import target
from edge_sim.offline.apply import Applied, apply
from edge_sim.offline.inputs import read_inputs
from edge_sim.offline.packages import packed_group
from tests import sweeps
from tests.deployments import picture
from tests.forked import become, result_of
from tests.root.functions_board import private_mounts
from tests.small_group import FUNCTION, TOP, WEIGHTS, answer, edge, group_of, make_root, ml, write_group
from tests.unit.greengrass.build import function

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users' files")]
OTHER_CODE = {"main.py": "other = True\n"}
OTHER = {"net/other.bin": "o" * 10}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "group"


def laid(group: Path, root: Path, **more: Any) -> Applied:
    read = read_inputs(group)
    with packed_group(read, listed=False) as packed:
        return apply(packed, root, target.of_root(root, read.group), **more)


def below(root: Path) -> dict[str, tuple[object, ...]]:
    """The board without the places of files in time: what ``cp -a`` would keep."""
    return picture(root)


def test_a_plan_is_empty_once_it_is_applied(folder: Path, root: Path) -> None:
    group = group_of(folder, "m1", "m2")
    before = answer("plan", group, "--root", root)
    assert before["changes"] == {"create": len(before["entries"]), "change": 0, "remove": 0}
    done = answer("apply", group, "--root", root)
    assert done["changed"] is True
    assert [e["path"] for e in done["entries"]] == [e["path"] for e in before["entries"]]
    after = answer("plan", group, "--root", root)
    assert after["changes"] == NOTHING
    assert [e["path"] for e in after["entries"]] == [e["path"] for e in before["entries"]]
    assert edge("drift", group, "--root", root).output.endswith("no difference\n")


def test_a_second_apply_changes_nothing_and_says_so(folder: Path, root: Path) -> None:
    group = group_of(folder, "m1", "m2")
    edge("apply", group, "--root", root)
    before = below(root)
    assert answer("apply", group, "--root", root) == {"changed": False, "entries": [], "notes": []}
    assert "nothing to change" in edge("apply", group, "--root", root).output
    assert below(root) == before, "not even the time of a file"


def test_a_package_past_its_limits_is_refused_and_nothing_is_made(folder: Path, root: Path) -> None:
    group = group_of(folder, "m1", more={"packages": {"file_bytes": 2999}})
    before = below(root)
    error = edge("apply", group, "--root", root, status=3).exception
    assert isinstance(error, EdgeSimError)
    assert "net/weights.bin is larger than 2,999 bytes" in error.brief
    assert below(root) == before
    edge("apply", group, "--root", root, "--limit", "file_bytes=3000")
    assert edge("drift", group, "--root", root, "--limit", "file_bytes=3000").output.endswith("no difference\n")
    error = edge("apply", group, "--root", root, status=3).exception
    assert isinstance(error, EdgeSimError)
    assert error.brief == "resource m1: net/weights.bin is larger than 2,999 bytes", "it lies there, and is read first"


def test_what_the_definition_no_longer_has_goes(folder: Path, root: Path) -> None:
    edge("apply", group_of(folder, "m1", "m2"), "--root", root)
    gone = {path for path in below(root) if "/models/m2" in path or path.endswith("mlmodel_public")}
    group = group_of(folder, "m1")
    planned = answer("plan", group, "--root", root)
    removed = [e["path"] for e in planned["entries"] if (e["change"] or {}).get("kind") == "remove"]
    assert f"{TOP}/workdir/predict/models/m2" in removed
    assert len(removed) == 5, "the link, the model's directory and what is in it"
    done = answer("apply", group, "--root", root)
    assert [e["path"] for e in done["entries"] if e["change"]["kind"] == "remove"] == removed
    assert gone - below(root).keys() == {f"{TOP[1:]}/workdir/predict/models/m2"}
    assert not any((root / path[1:]).exists() or (root / path[1:]).is_symlink() for path in removed)
    edge("apply", write_group(folder, [], []), "--root", root)
    left = {path.name for path in (root / TOP[1:]).rglob("*")}
    assert left == {"group", "group.json", "lambda", "mlmodel", "mlmodel_public", "workdir"}


ACL_ENTRIES = ((0x01, 7, -1), (0x02, 7, 1234), (0x04, 5, -1), (0x10, 7, -1), (0x20, 5, -1))
"""The owner, user 1234, the owning group, the mask, others (linux/posix_acl_xattr.h)."""
AN_ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in ACL_ENTRIES)


def give_acl(place: Path, name: str = ACL) -> None:
    try:
        os.setxattr(place, name, AN_ACL)
    except OSError as error:
        pytest.skip(f"no ACLs on this file system: {error}")


def test_no_acl_is_taken_over_from_a_directory_above(folder: Path, root: Path) -> None:
    """Else whom it names could read the models, whatever the plan says."""
    give_acl(root / "greengrass/ggc", ACL_TO_COME)
    group = group_of(folder, "m1", "m2")
    edge("apply", group, "--root", root)
    made = [root / TOP[1:], *(root / TOP[1:]).rglob("*")]
    assert len(made) > 10
    assert [place for place in made if not place.is_symlink() and os.listxattr(place)] == []
    assert answer("plan", group, "--root", root)["changes"] == NOTHING


def test_an_acl_is_a_difference_that_apply_takes_away(folder: Path, root: Path) -> None:
    group = group_of(folder, "m1")
    edge("apply", group, "--root", root)
    model = root / os.readlink(root / TOP[1:] / "workdir/predict/models/m1")[1:]  # noqa: PTH115
    places = [root / TOP[1:] / "mlmodel", root / TOP[1:] / "workdir/predict/models", model / "net/weights.bin"]
    modes = [place.stat().st_mode for place in places]
    for place in places:
        give_acl(place)
        place.chmod(modes[places.index(place)])
    found = answer("drift", group, "--root", root, status=7)["differences"]
    paths = sorted(f"/{place.relative_to(root)}" for place in places)
    assert [(one["path"], one["words"]) for one in found] == [(path, ["ACL some → none"]) for path in paths]
    before = [os.listxattr(place) for place in places]

    def stop(point: str) -> None:
        if point == "synced":
            raise UnsupportedEnvironmentError("pulled the plug")

    with pytest.raises(UnsupportedEnvironmentError, match="pulled"), armed(stop):
        laid(group, root)
    assert [os.listxattr(place) for place in places] == before, "taken back with all the rest"
    edge("apply", group, "--root", root)
    assert [os.listxattr(place) for place in places] == [[], [], []]
    assert [place.stat().st_mode for place in places] == modes
    assert edge("drift", group, "--root", root).output.endswith("no difference\n")


def test_what_is_not_ours_is_never_touched(folder: Path, root: Path) -> None:
    """Files beside, inside packages that go, inside code that is replaced, inside a directory of links."""
    edge("apply", group_of(folder, "m1", "m2"), "--root", root)
    top = root / TOP[1:]
    m2 = Path(os.readlink(top / "workdir/predict/models/m2"))  # noqa: PTH115
    foreign = {
        top / "mlmodel_public/by-hand/notes.txt": 0o600,
        root / str(m2)[1:] / "net/calibration.json": 0o640,
        root / str(m2)[1:] / "of/its/own.txt": 0o644,
        top / f"lambda/{FUNCTION}/trace.log": 0o604,
        top / "workdir/predict/models/scratch": 0o755,
    }
    for place, mode in foreign.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(place.name)
        os.chown(place, 1234, 4321)
        place.chmod(mode)
    before = {path: seen for path, seen in below(root).items() if root / path in foreign}
    assert answer("plan", group_of(folder, "m1", "m2"), "--root", root)["changes"]["remove"] == 0
    edge("apply", group_of(folder, "m1", code={"main.py": "other = True\n"}), "--root", root)
    assert not answer("plan", group_of(folder, "m1"), "--root", root)["notes"], "nothing of it is in the way"
    assert {path: below(root)[path] for path in before} == before
    assert (top / f"lambda/{FUNCTION}/main.py").read_text() == "other = True\n"
    assert not (root / str(m2)[1:] / "net/weights.bin").exists()
    assert answer("plan", group_of(folder, "m1", code={"main.py": "other = True\n"}), "--root", root)["changes"] == {
        "create": 0,
        "change": 0,
        "remove": 0,
    }


@pytest.mark.parametrize("models", [("m1",), ("m1", "m2")], ids=["m2 goes", "its code is replaced"])
def test_what_somebody_makes_meanwhile_is_not_lost(folder: Path, root: Path, models: tuple[str, ...]) -> None:
    """A function that may write into its model runs on while the next deployment is prepared."""
    edge("apply", group_of(folder, "m1", "m2"), "--root", root)
    m2 = root / os.readlink(root / TOP[1:] / "workdir/predict/models/m2")[1:]  # noqa: PTH115
    place = (m2 / "net" if models == ("m1",) else root / TOP[1:] / f"lambda/{FUNCTION}") / "learned.txt"
    group = group_of(folder, *models, code=OTHER_CODE)

    def meanwhile(point: str) -> None:
        if point == "journal":
            place.write_text("something")

    before = below(root)
    late = r"learned.txt: was created while this deployment was being prepared"
    with pytest.raises(UnsupportedEnvironmentError, match=late), armed(meanwhile):
        laid(group, root)
    assert place.read_text() == "something"
    place.unlink()
    assert below(root) == before
    place.write_text("something")
    laid(group, root)
    assert place.read_text() == "something"


@pytest.mark.parametrize("place", [f"lambda/{FUNCTION}", "workdir/predict", "workdir", "group"])
def test_what_is_in_the_way_is_said_and_left(folder: Path, root: Path, place: str) -> None:
    there = root / TOP[1:] / place
    there.parent.mkdir(parents=True)
    there.write_text("somebody's")
    before = below(root)
    warned = [note for note in answer("plan", group_of(folder, "m1"), "--root", root)["notes"] if "in the way" in note]
    assert [note.partition(": ")[0] for note in warned] == [f"{TOP}/{place}"]
    done = edge("apply", group_of(folder, "m1"), "--root", root, status=6)
    assert place.rpartition("/")[2] in str(done.exception)
    assert below(root) == before


def test_a_link_on_the_way_is_not_followed_out_of_the_board(folder: Path, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "greengrass/ggc/deployment").symlink_to(outside)
    edge("apply", group_of(folder, "m1"), "--root", root, status=6)
    assert list(outside.iterdir()) == []


def test_a_busy_directory_fails_the_whole(folder: Path, root: Path, tmp_path: Path) -> None:
    """Something is mounted on a directory that must go: nothing else goes either."""
    edge("apply", group_of(folder, "m1", "m2"), "--root", root)
    place = root / str(os.readlink(root / TOP[1:] / "workdir/predict/models/m2"))[1:]  # noqa: PTH115
    (tmp_path / "other").mkdir()
    before = below(root)
    with private_mounts(root):
        linux.bind(tmp_path / "other", place)
        done = edge("apply", group_of(folder, "m1", code=OTHER_CODE), "--root", root, status=None)
    assert isinstance(done.exception, EdgeSimError)
    assert "busy" in str(done.exception)
    assert below(root) == before


def test_owner_and_mode_of_a_directory_are_put_right_and_taken_back(folder: Path, root: Path) -> None:
    group = group_of(folder, "m1")
    edge("apply", group, "--root", root)
    top = root / TOP[1:]
    (top / "mlmodel_public").chmod(0o700)
    os.chown(top / "lambda", 7, 8)
    before = below(root)
    done = answer("plan", group, "--root", root)
    changes = {e["path"]: e["change"]["words"] for e in done["entries"] if e["change"]}
    assert changes == {f"{TOP}/lambda": ["uid 7 → 0", "gid 8 → 0"], f"{TOP}/mlmodel_public": ["mode 0700 → 0755"]}
    with pytest.raises(RuntimeError), armed(_stop_at("synced")):
        laid(group, root)
    assert below(root) == before
    laid(group, root)
    assert (top / "lambda").stat().st_uid == 0
    assert (top / "mlmodel_public").stat().st_mode & 0o7777 == 0o755


def _stop_at(name: str) -> Callable[[str], None]:
    def passed(point: str) -> None:
        if point == name:
            raise RuntimeError(point)

    return passed


def prepared(folder: Path, root: Path) -> Path:
    """A board with a deployment, foreign files and a crooked directory; the next group changes some of everything."""
    edge("apply", group_of(folder, "m1", "m2"), "--root", root)
    top = root / TOP[1:]
    (top / "mlmodel_public").chmod(0o711)
    (top / "mlmodel").rmdir()
    (top / f"lambda/{FUNCTION}/notes").mkdir()
    (top / f"lambda/{FUNCTION}/notes/mine.txt").write_text("mine")
    resources = [ml("m2", "video", "rw"), ml("m3", None)]
    functions = [function("predict", ("m2", None)), function("boxed", ("m3", "ro"), isolation="GreengrassContainer")]
    models = {"m2": OTHER, "m3": WEIGHTS}
    return write_group(folder, resources, functions, models=models, code={"main.py": "other = True\n"})


NOTHING = {"create": 0, "change": 0, "remove": 0}
NAMES = [
    "mkdir",
    "rmdir",
    "rename",
    "replace",
    "unlink",
    "symlink",
    "chmod",
    "fchmod",
    "chown",
    "fchown",
    "fsync",
    "open",
    "write",
]
NEVER = -1
CALLS: tuple[tuple[Any, str], ...] = (*((os, name) for name in NAMES), (linux, "syncfs"))


@contextmanager
def failing(number: int, error: int = errno.EIO) -> Iterator[list[str]]:
    """Have the ``number``-th of the calls that change a disk fail, once; the list tells what was called until then."""
    called: list[str] = []

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            reads = name == "open" and not (args[1] if len(args) > 1 else 0) & (os.O_WRONLY | os.O_RDWR)
            if not reads:
                called.append(name)
                if len(called) == number:
                    raise OSError(error, os.strerror(error), str(args[0]))
            return real(*args, **more)

        return call

    with ExitStack() as stack:
        for module, name in CALLS:
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, wrapped(name, getattr(module, name)))
        yield called


def copied(root: Path, to: Path) -> Path:
    subprocess.run(["cp", "-a", root, to], check=True, timeout=60)
    return to


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize(("error", "first"), [(errno.EIO, 0), (errno.ENOSPC, 3)], ids=["EIO", "ENOSPC"])
def test_a_failure_at_any_step_leaves_the_board_old_or_new(
    folder: Path,
    root: Path,
    tmp_path: Path,
    error: int,
    first: int,
    record_property: Callable[[str, object], None],
) -> None:
    group = prepared(folder, root)
    before = below(root)
    read = read_inputs(group)
    stood = 0
    with packed_group(read, listed=False) as packed:
        here = copied(root, tmp_path / "whole")
        with failing(NEVER, error) as steps:
            apply(packed, here, target.of_root(here, read.group))
        sample = sweeps.points(range(1, len(steps) + 1), every=6, first=first)
        for number in sample:
            here = copied(root, tmp_path / f"root{number}")
            board = target.of_root(here, read.group)
            done = None
            with failing(number, error) as called:
                try:
                    done = apply(packed, here, board)
                except EdgeSimError:
                    assert below(here) == before, (number, called[-20:])
            assert called[:number] == steps[:number], "what comes before the failure is what comes without it"
            if done is not None:
                stood += 1
                assert any(os.strerror(error) in note for note in done.notes), "what failed after the switch is said"
                laid(group, here)
                assert answer("plan", group, "--root", here)["changes"] == NOTHING
            shutil.rmtree(here)
    hit = Counter(steps[number - 1] for number in sample)
    points = f"{len(sample)} of {len(steps)} steps failed with {errno.errorcode[error]}"
    record_property("summary", f"apply: {points}, {stood} of them after the switch: {dict(hit)}")
    assert {"fsync", "fchown", "write", "unlink"} <= set(steps)
    if sys.version_info >= (3, 11):  # before, pathlib has references of its own to os's functions
        assert {"mkdir", "rename", "symlink"} <= set(steps)
        assert len(steps) > 100
    assert stood


def killed_at(group: Path, root: Path, number: int) -> str | None:
    """Apply in a child that kills itself at the ``number``-th point; return the point's name, None when it ended."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            passed = 0
            tempfile.tempdir = str(root.parent / "temporary")

            def at(point: str) -> None:
                nonlocal passed
                passed += 1
                if passed == number:
                    os.write(write_end, point.encode())
                    os.kill(os.getpid(), signal.SIGKILL)

            with armed(at):
                laid(group, root)
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        point = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return point if os.WIFSIGNALED(status) else None


@pytest.mark.slow
@pytest.mark.sweep
def test_killed_anywhere_the_board_is_old_or_new(
    folder: Path, root: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    group = prepared(folder, root)
    before = below(root)
    (temporary := tmp_path / "temporary").mkdir()
    points: list[str] = []
    with armed(points.append):
        laid(group, copied(root, tmp_path / "whole"))
    points = points[: points.index("committed") + 1]
    sample = sweeps.points(range(1, len(points) + 1), every=4)
    for number in sample:
        point = killed_at(group, root, number)
        assert point == points[number - 1]
        changeover.recover(root / "greengrass")
        if point == "committed":
            assert answer("plan", group, "--root", root)["changes"] == NOTHING
        else:
            assert below(root) == before, point
    passed = f"{len(sample)} of {len(points)} points, from {points[0]} to {points[-1]}"
    record_property("summary", f"apply: killed at {passed}")
    assert points[0] == "journal"
    assert not list(temporary.iterdir()), "what was packed goes with the process"
    kinds = {point.partition(" ")[2] for point in points}
    assert {"aside", "in place", "made", "settled", "carried"} <= kinds


def test_what_runs_functions_makes_a_killed_deployment_whole_first(
    folder: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that starts again may not hear of a deployment for long: what it starts must lie there as a whole."""
    group = prepared(folder, root)
    before = below(root)
    (tmp_path / "temporary").mkdir()
    seen = []
    monkeypatch.setattr(DeployedFunctions, "_start", lambda *_: seen.append(below(root)))
    facts = HostFacts(architecture="", operating_system="")
    functions = DeployedFunctions(root, "/greengrass", lambda _: facts, LogFile(tmp_path / "agent.log"))
    assert killed_at(group, root, 5) is not None
    half = below(root)
    with changeover.exclusive(root / "greengrass"), pytest.raises(UnsupportedEnvironmentError, match="is running here"):
        functions.start()
    assert (below(root), seen) == (half, []), "somebody still works on it"
    functions.start()
    assert (below(root), seen) == (before, [before])


def test_a_full_board_is_not_called_an_unreadable_package(folder: Path, root: Path) -> None:
    weights = {"net/weights.bin": os.urandom(300_000).hex()}
    group = group_of(folder, "m1", models={"m1": weights})
    with private_mounts(root):
        linux.mount("none", root / "greengrass", kind="tmpfs", data="size=100k,mode=0755")
        with pytest.raises(UnsupportedEnvironmentError, match="cannot be put in place: No space left"):
            laid(group, root)


def test_a_plain_user_is_told_before_anything_is_made(folder: Path, tmp_path: Path) -> None:
    group = group_of(folder, "m1")
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == 0 and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
    root = make_root(tmp_path / "root")
    for place in (root, *root.rglob("*")):
        os.chown(place, 1000, 1000)
    before = below(root)

    def work() -> int:
        become(1000, 1000)
        with pytest.raises(EdgeSimError, match="may not set the user") as refused:
            laid(group, root)
        return refused.value.exit_status

    assert result_of(work) == 6
    assert below(root) == before
