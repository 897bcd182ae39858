"""The computed access answer against the kernel's: random trees, random identities, real processes that open paths."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sim.facts import Node, NodeType
from edge_sim.greengrass.access import computed
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.process import FunctionProcess, Identity

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users' files and ids")]

SEED = 20261123
TREES, IDENTITIES = 50, 20
IDS = (0, 7, 8, 9)
KINDS: tuple[NodeType, ...] = ("directory", "directory", "file", "link")


def tree(dice: random.Random, top: Path) -> dict[str, Node]:
    """Make ten random paths below ``top`` and return them as the answer is to see them; ``/`` is ``top``."""
    top.mkdir()
    top.chmod(0o755)
    nodes = {"/": Node(type="directory", uid=0, gid=0, mode=0o755)}
    directories = [top]
    for number in range(10):
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
            target = dice.choice((f"n{dice.randrange(10)}", f"../n{dice.randrange(10)}", f"/n{dice.randrange(10)}"))
            path.symlink_to(target)
        uid, gid, mode = dice.choice(IDS), dice.choice(IDS), dice.randrange(0o1000)
        os.chown(path, uid, gid, follow_symlinks=False)
        if kind != "link":
            path.chmod(mode)
        nodes[f"/{path.relative_to(top)}"] = Node(type=kind, uid=uid, gid=gid, mode=mode, target=target)
    return nodes


def opened(top: Path, identity: Identity, paths: list[str]) -> dict[str, list[bool]]:
    """Fork, chroot to the tree, become ``identity``, and really open every path for reading and for writing."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.chroot(top)
            os.chdir("/")
            os.setgroups(identity.groups)
            os.setresgid(identity.gid, identity.gid, identity.gid)
            os.setresuid(identity.uid, identity.uid, identity.uid)
            answer = {path: [reads(path), writes(path)] for path in paths}
            os.write(write_end, json.dumps(answer).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        told = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    found: dict[str, list[bool]] = json.loads(told)
    return found


def reads(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def writes(path: str) -> bool:
    probe = f"{path}/.probe"
    try:
        if os.path.isdir(path):  # noqa: PTH112 - after a chroot, plain calls only
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            os.unlink(probe)  # noqa: PTH108
        else:
            os.close(os.open(path, os.O_WRONLY))
    except OSError:
        return False
    return True


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
    )


def test_computed_access_is_the_kernels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dice = random.Random(SEED)
    compared, granted = 0, 0
    for number in range(TREES):
        top = tmp_path / f"tree{number}"
        nodes = tree(dice, top)
        for identity in identities(dice):
            real = opened(top, identity, list(nodes))
            for path, (read, write) in real.items():
                answer = computed(process(identity), nodes, path)
                told = (path, identity, answer.reasons, nodes)
                assert (answer.read, answer.write) == (read, write), told
                compared += 1
                granted += read + write
    with capsys.disabled():
        print(f"\naccess: {compared} paths × identities (seed {SEED}), {granted} grants, 0 disagreements")
    assert compared >= 10_000
