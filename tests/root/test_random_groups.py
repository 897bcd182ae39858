"""Random groups on random boards: apply makes what is planned, drift finds what was altered, probes bear access out."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.deployment.layout import walk
from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import Node
from edge_sim.greengrass.rows import AccessRow
from edge_sim.offline import access, target
from edge_sim.offline.apply import apply
from edge_sim.offline.drift import drift
from edge_sim.offline.inputs import read_inputs
from edge_sim.offline.packages import packed_group
from edge_sim.offline.plan import OfflinePlan, make_plan
from tests.small_group import TOP, C, Files, make_root, ml, write_group
from tests.unit.greengrass.build import device, function, volume

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users' files")]
SEED = 20261127
GROUPS = int(os.environ.get("EDGE_SIM_GROUPS", "8"))
PATHS = 10
NAMES = ("a", "x y", "new\nline", "café", "n\udcff", "-rf", "*", "l" * 200)
IDS = (0, 998, 997, 1001, 20, 44, 5150)
MODES = (0o755, 0o750, 0o700, 0o2770, 0o1777, 0o3777, 0o644, 0o600, 0o666, 0o111, 0o070, 0o007, 0o000, 0o4755)
PLACES: tuple[str, ...] = (
    "/models/a",
    "/models/b",
    "/models/a/sub",
    "/data",
    "/data/in",
    "/srv/in",
    "/srv",
    "/opt/x/y",
    "/lambda/x",
)
PLACES += ("/mnt", "/link/in", "/dev/shm/x", "/etc/conf", "/proc/x", "/sys/y", "/runtime/z", "/greengrass/m")
Seen = dict[str, tuple[Node, bytes]]


@pytest.fixture
def board(tmp_path: Path) -> Path:
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == os.geteuid() and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
    return tmp_path


def made_board(dice: random.Random, root: Path) -> list[str]:
    """Make a board and return paths for volumes: files, directories, FIFOs and links with all kinds of owners."""
    make_root(root)
    for name in ("dev", "proc", "sys", "tmp", "models"):
        (root / name).mkdir()
    os.mknod(root / "dev/ttyS0", 0o020660, os.makedev(1, 3))
    os.chown(root / "dev/ttyS0", 0, 20)
    (root / "dev/serial0").symlink_to("ttyS0")
    (root / "link").symlink_to(dice.choice(("/srv", "srv", "/nowhere", "/greengrass/ggc")))
    directories = [root / "srv"]
    directories[0].mkdir()
    for number in range(PATHS):
        place = dice.choice(directories) / f"{dice.choice(NAMES)}{number}"
        kind = dice.choice("dddfflp")
        if kind == "d":
            place.mkdir()
            directories.append(place)
        elif kind == "f":
            place.write_bytes(b"x")
        elif kind == "p":
            os.mkfifo(place)
        else:
            place.symlink_to(dice.choice(("/srv", "..", "/etc/passwd", "/dev/ttyS0", "nowhere")))
        os.chown(place, dice.choice(IDS), dice.choice(IDS), follow_symlinks=False)
        if kind != "l":
            place.chmod(dice.choice(MODES))
    found = [f"/{place.relative_to(root)}" for place in (root / "srv").rglob("*")]
    return ["/srv", "/etc/passwd", *(path for path in found if path.isprintable())]


def package(dice: random.Random) -> Files:
    names = (f"{dice.choice(('net/', 'net/sub/', '', 'é/'))}{dice.choice(('w.bin', 'z z'))}{n}" for n in range(4))
    return {name: "".join(dice.choices("ab\n", k=dice.randrange(200))) for name in names}


def written(dice: random.Random, folder: Path, paths: Sequence[str]) -> Path:
    """Write a random group; the core may refuse it."""
    resources, models = [], {}
    for number in range(dice.randrange(4)):
        made = ml(f"m{number}", dice.choice((None, "ml", "video", 5150, "997", 1234)), dice.choice(("ro", "rw")))
        made["ResourceDataContainer"]["S3MachineLearningModelResourceData"]["DestinationPath"] = dice.choice(PLACES)
        resources.append(made)
        models[made["Id"]] = package(dice)
    for number in range(dice.randrange(3)):
        setting = dice.choice(({}, {"AutoAddGroupOwner": True}, {"GroupOwner": "video"}))
        resources.append(volume(f"v{number}", dice.choice(paths), dice.choice(PLACES), **setting))
    resources.append(device("d", dice.choice(("/dev/ttyS0", "/dev/serial0")), AutoAddGroupOwner=dice.random() < 0.5))
    functions = [_function(dice, number, resources) for number in range(dice.randrange(1, 4))]
    code = {"main.py": "def handler(event, context):\n    return event\n", **dict(list(package(dice).items())[:2])}
    return write_group(folder, resources, functions, models=models, code=code)


def _function(dice: random.Random, number: int, resources: Sequence[dict[str, Any]]) -> dict[str, Any]:
    isolation = dice.choice(("NoContainer", C, None))
    policies = []
    for resource in resources:
        model = "S3MachineLearningModelResourceData" in resource["ResourceDataContainer"]
        if dice.random() < 0.6 and (model or isolation != "NoContainer"):
            policies.append((resource["Id"], None if isolation == "NoContainer" else dice.choice(("ro", "rw", None))))
    identity = dice.choice(({}, {}, {"Uid": 1001}, {"Gid": 44}, {"Uid": 998, "Gid": 1001}))
    return function(f"f{number}", *policies, isolation=isolation, run_as=identity)


def on(group: Path, root: Path, work: Callable[..., Any]) -> Any:
    read = read_inputs(group)
    with packed_group(read) as packed:
        return work(packed, target.of_root(root, read.group))


def accepted(dice: random.Random, folder: Path, root: Path, paths: Sequence[str]) -> tuple[Path, OfflinePlan]:
    """Return the next random group that this board's core takes; what it refuses must leave nothing."""
    while True:
        group = written(dice, folder, paths)
        try:
            return group, on(group, root, make_plan)
        except InvalidDefinitionError:
            before = seen(root, "/greengrass")
            with pytest.raises(InvalidDefinitionError):
                on(group, root, lambda packed, board: apply(packed, root, board))
            assert seen(root, "/greengrass") == before


def seen(root: Path, top: str = TOP) -> Seen:
    nodes = walk(root, top)
    return {
        path: (node, (root / path[1:]).read_bytes() if node.type == "file" else b"") for path, node in nodes.items()
    }


def laid(group: Path, root: Path) -> None:
    assert on(group, root, lambda packed, board: apply(packed, root, board)).changed
    assert not on(group, root, make_plan).changes
    assert not on(group, root, lambda packed, board: apply(packed, root, board)).changed


def strangers(dice: random.Random, root: Path, directories: Sequence[str]) -> Seen:
    """Put somebody else's files into what was deployed."""
    for number in range(3):
        place = root / dice.choice(directories)[1:] / f"{dice.choice(NAMES)}{number}"
        place.mkdir() if dice.random() < 0.5 else place.write_text("theirs")
        os.chown(place, 1001, 1001)
    return {path: what for path, what in seen(root).items() if what[0].uid == 1001}


def altered(dice: random.Random, root: Path, ours: Seen) -> Iterator[str]:
    """Alter some of the paths, and yield them."""
    for path in dice.sample(sorted(set(ours) - {TOP}), 3):
        place, node = root / path[1:], ours[path][0]
        if dice.random() < 0.4 or (node.type != "file" and dice.random() < 0.5):
            os.chown(place, node.uid + 1, -1, follow_symlinks=False)
        elif node.type == "directory":
            place.chmod(node.mode ^ 1 << dice.randrange(12))
        elif dice.random() < 0.5:
            place.unlink()
        else:
            place.unlink()
            dice.choice((place.mkdir, lambda to=place: to.symlink_to("/x"), lambda to=place: os.mkfifo(to)))()
        yield path


def opened(group: Path, root: Path) -> list[AccessRow]:
    """Return who may open what, computed and probed; the answers without a probe must be the same."""
    plan = on(group, root, make_plan)
    rows = access.probe_rows(plan, root)
    for row, other in zip(rows, access.rows(plan, root), strict=True):
        assert [a.computed for a in row.answers.values()] == [a.computed for a in other.answers.values()], row
    return rows


@pytest.mark.slow
def test_a_plan_is_what_apply_makes_and_drift_finds_what_was_altered(board: Path) -> None:
    dice = random.Random(SEED)
    probed = 0
    for number in range(GROUPS):
        root = board / f"root{number}"
        paths = made_board(dice, root)
        first, plan = accepted(dice, board / "first", root, paths)
        laid(first, root)
        before = seen(root)
        assert {path: node for path, (node, _) in before.items()} == {e.path: e.node for e in plan.entries}
        rows = opened(first, root)
        assert [row for row in rows if row.agree is False] == []
        probed += sum(row.paths for row in rows)
        theirs = {path: what for path, what in seen(root).items() if path not in before}  # mount points in what is rw
        theirs |= strangers(dice, root, [p for p, (node, _) in before.items() if node.type == "directory"])
        second, plan = accepted(dice, board / "second", root, paths)
        laid(second, root)
        after = seen(root)
        assert {path: after.get(path) for path in theirs} == theirs
        kept = {p for p in after if any(t.startswith(f"{p}/") for t in theirs)} - {e.path for e in plan.entries}
        ours = {path: what for path, what in after.items() if path not in theirs and path not in kept}
        assert {path: node for path, (node, _) in ours.items()} == {e.path: e.node for e in plan.entries}
        changes = {kind: {line.path for line in plan.changes if line.kind == kind} for kind in ("create", "change")}
        assert changes["create"] == ours.keys() - before.keys()
        assert changes["change"] == {path for path in ours.keys() & before.keys() if ours[path] != before[path]}
        wanted = {*theirs, *kept, *altered(dice, root, ours)}
        found = {one.path for one in on(second, root, drift).differences}
        assert {path for path in found if path.startswith(TOP)} == wanted
    assert probed > GROUPS * 4
