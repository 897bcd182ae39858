"""The computed access answer against the kernel's: random trees, random identities, real processes that try paths."""

from __future__ import annotations

import errno
import os
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from edge_sim.agent.rooted import ACL, node_at
from edge_sim.facts import Node, NodeType
from edge_sim.greengrass.access import RIGHTS, compute_access
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.process import FunctionProcess, Identity
from tests import sweeps
from tests.forked import result_of

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users' files and ids")]

SEED = 20261123
NO_ID = 2**32 - 1
TREES = int(os.environ.get("EDGE_SIM_TREES", sweeps.size(whole=1000, sample=150)))
IDENTITIES, PATHS = 10, 10
"""The variable is for slow places: an emulated board tries fewer."""
IDS = (0, 7, 8, 9)
KINDS: tuple[NodeType, ...] = ("directory", "directory", "file", "link")
MODES = (0o755, 0o750, 0o700, 0o1777, 0o2770, 0o555, 0o440, 0o711)
PROTECTED = Path("/proc/sys/fs/protected_symlinks").read_text().strip() != "0"


def tree(dice: random.Random, top: Path) -> dict[str, Node]:
    """Make random paths below ``top`` and return them as the answer is to see them; ``/`` is ``top``."""
    top.mkdir()
    top.chmod(0o755)
    nodes = {"/": Node(type="directory", uid=0, gid=0, mode=0o755)}
    directories = [top]
    for number in range(PATHS):
        parent = dice.choice(directories)
        path = parent / f"n{number}"
        kind = dice.choice(KINDS)
        target = None
        if kind == "directory":
            path.mkdir()
            directories.append(path)
        elif kind == "file":
            path.touch()
        else:
            target = link(dice, nodes)
            path.symlink_to(target)
        uid, gid = dice.choice(IDS), dice.choice(IDS)
        mode = dice.choice(MODES) if dice.random() < 0.5 else dice.randrange(0o10000)
        os.chown(path, uid, gid, follow_symlinks=False)
        if kind != "link":
            path.chmod(mode)
        nodes[f"/{path.relative_to(top)}"] = Node(type=kind, uid=uid, gid=gid, mode=mode, target=target)
    return nodes


def with_acls(dice: random.Random, top: Path, nodes: dict[str, Node]) -> dict[str, Node]:
    """Give some of the paths an ACL; return all nodes as they are looked at then."""
    for path, node in nodes.items():
        if path != "/" and node.type in ("file", "directory") and dice.random() < 0.5:
            os.setxattr(top / path[1:], ACL, acl(dice))
    found = {path: node_at(top / path[1:]) for path in nodes}
    return {path: node for path, node in found.items() if node is not None}


def acl(dice: random.Random) -> bytes:
    """As linux/posix_acl_xattr.h has it: the owner, users, the owning group, groups, the mask, others."""
    users, groups = (dice.sample(IDS[1:], dice.randrange(3)) for _ in "ug")
    entries = [(0x01, NO_ID), *((0x02, uid) for uid in sorted(users)), (0x04, NO_ID)]
    entries += [*((0x08, gid) for gid in sorted(groups)), (0x10, NO_ID), (0x20, NO_ID)]
    packed = (struct.pack("<HHI", tag, dice.choice((0, 1, 4, 5, 6, 7, 7)), number) for tag, number in entries)
    return struct.pack("<I", 2) + b"".join(packed)


def link(dice: random.Random, nodes: dict[str, Node]) -> str:
    """A target: near, above, absolute, through what is there and back, or with a slash at the end."""
    near = f"n{dice.randrange(PATHS)}"
    there = dice.choice(list(nodes))
    return dice.choice((near, f"../{near}", f"/{near}", there, f"{there}/../{near}", f"../..{there}", f"./{near}/."))


def asked(nodes: dict[str, Node], dice: random.Random) -> list[str]:
    """The tree's own paths, one through whatever is there and one that need not be there."""
    known = list(nodes)
    return [*known, f"{dice.choice(known)}/n{dice.randrange(PATHS)}", f"{dice.choice(known)}/../n0"]


def tried(top: Path, identities: Sequence[Identity], paths: Sequence[str]) -> list[dict[str, list[bool]]]:
    """Fork, chroot to the tree and try every path with each identity; the saved uid is the way back to root."""

    def work() -> list[dict[str, list[bool]]]:
        os.chroot(top)
        answers = []
        for who in identities:
            os.setgroups(who.groups)
            os.setresgid(who.gid, who.gid, who.gid)
            os.setresuid(who.uid, who.uid, 0)
            answers.append({path: [tries(attempt, path) for attempt in ATTEMPTS] for path in paths})
            os.setresuid(0, 0, 0)
        return answers

    answers: list[dict[str, list[bool]]] = result_of(work)
    return answers


def tries(attempt: Callable[[str], None], path: str) -> bool:
    os.chdir("/")
    try:
        attempt(path)
    except OSError:
        return False
    return True


def reads(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


def writes(path: str) -> None:
    if not os.path.isdir(path):  # noqa: PTH112 - after a chroot, plain calls only
        os.close(os.open(path, os.O_WRONLY))
        return
    probe = f"{path}/.probe"
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(probe)  # noqa: PTH108


def lists(path: str) -> None:
    os.listdir(path)  # noqa: PTH208


def executes(path: str) -> None:
    """Enter a directory; execute a file for real: it is empty, so that the kernel takes it, and finds no program."""
    if os.path.isdir(path):  # noqa: PTH112
        os.chdir(path)
        return
    try:
        os.execve(path, [path], {})
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            assert not os.access(path, os.X_OK), path
            raise
    assert os.access(path, os.X_OK), path


ATTEMPTS = (reads, writes, lists, executes)


def identities(dice: random.Random) -> Iterator[Identity]:
    for _ in range(IDENTITIES):
        groups = tuple(sorted(dice.sample(IDS[1:], dice.randrange(3))))
        yield Identity(uid=dice.choice(IDS), gid=dice.choice(IDS[1:]), groups=groups)


def process(identity: Identity) -> FunctionProcess:
    return FunctionProcess(
        function=Function(id="f", arn="arn"),
        isolation="NoContainer",
        identity=identity,
        mounts=(),
        masked=(),
        environment={},
        working_directory="/",
        code_directory="/",
        protected_links=PROTECTED,
    )


@pytest.fixture
def takes_acls(tmp_path: Path) -> None:
    try:
        os.setxattr(tmp_path, ACL, acl(random.Random(SEED)))
    except OSError as error:
        pytest.skip(f"no ACLs on this file system: {error}")
    os.removexattr(tmp_path, ACL)


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.usefixtures("takes_acls")
def test_computed_access_with_acls_is_the_kernels(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    dice = random.Random(SEED)
    named = {True: 0, False: 0}
    for number in range(TREES // 4):
        top = tmp_path / f"tree{number}"
        nodes = with_acls(dice, top, tree(dice, top))
        paths, people = asked(nodes, dice), list(identities(dice))
        for identity, real in zip(people, tried(top, people, paths), strict=True):
            for path, rights in real.items():
                answer = compute_access(process(identity), nodes, path)
                assert [answer.grants(right) for right in RIGHTS] == rights, (path, identity, answer, nodes)
                if "its ACL decides" in answer.reasons[-1]:
                    named[answer.read] += 1
    record_property("summary", f"access: {TREES // 4} trees with ACLs, which decided {sum(named.values())} answers")
    assert min(named.values()) > TREES // 4


@pytest.mark.slow
@pytest.mark.sweep
def test_computed_access_is_the_kernels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dice = random.Random(SEED)
    pairs, compared, granted = 0, 0, dict.fromkeys(RIGHTS, 0)
    for number in range(TREES):
        top = tmp_path / f"tree{number}"
        nodes = tree(dice, top)
        paths, people = asked(nodes, dice), list(identities(dice))
        for identity, real in zip(people, tried(top, people, paths), strict=True):
            pairs += 1
            for path, rights in real.items():
                answer = compute_access(process(identity), nodes, path)
                told = (path, identity, answer, nodes)
                assert [answer.grants(right) for right in RIGHTS] == rights, told
                compared += len(RIGHTS)
                for right, had in zip(RIGHTS, rights, strict=True):
                    granted[right] += had
    with capsys.disabled():
        grants = ", ".join(f"{count} {right}" for right, count in granted.items())
        print(f"\naccess: {pairs} trees × identities (seed {SEED}), {compared} answers ({grants}), 0 disagreements")
    assert pairs == TREES * IDENTITIES
    assert min(granted.values()) > TREES
