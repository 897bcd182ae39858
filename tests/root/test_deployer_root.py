"""What needs root: real owners and real access."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.deployment.deployer import deploy, group_of
from edge_sim.agent.deployment.layout import differences, layout
from edge_sim.agent.host import HostError, LinuxHost
from tests.deployments import FLAT_ZIP, MODEL, Artifacts, board, document, owner
from tests.forked import become, result_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
TOP = "/greengrass/ggc/deployment"


def opens(uid: int, gid: int, groups: list[int], *paths: Path) -> Any:
    """What a process with this identity can do with ``paths``: [read, write] each, True or the refusal."""

    def work() -> list[list[object]]:
        become(uid, gid, groups)
        return [[may(path, os.O_RDONLY), may(path, os.O_WRONLY)] for path in paths]

    return result_of(work)


def may(path: Path, flags: int) -> object:
    try:
        os.close(os.open(path, flags))
    except OSError as error:
        return error.strerror
    return True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for parent in (tmp_path, *tmp_path.parents):  # others must be able to reach what the modes let them
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001 and parent != Path("/"):
            parent.chmod(0o755)
    return tmp_path


def test_owners_modes_and_access_are_the_definitions(root: Path) -> None:
    facts, store = board(root), Artifacts()
    made = document(
        store,
        {
            "ro": (MODEL, "ro.tar.gz", owner("5150")),
            "rw": (FLAT_ZIP, "rw.zip", owner("video", "rw")),
            "bare": (MODEL, "bare.tar.gz", None),
        },
        functions={"predict": ("NoContainer", ("ro", "rw")), "boxed": ("GreengrassContainer", ("bare",))},
    )
    result = deploy(group_of(made), made, root, facts, LinuxHost(root), store.fetch)
    assert result.not_proven == ()
    rows = layout(root, facts, result.group, result.entries)
    assert differences(result.entries, rows, TOP) == []
    by_name = {(row.resource, Path(row.path).name): row.node for row in rows}
    seen = {name: (node.uid, node.gid, oct(node.mode)) for name, node in by_name.items()}
    assert seen["ro", "weights.bin"] == (0, 5150, "0o440")
    assert seen["ro", "run.sh"] == (0, 5150, "0o550")
    assert seen["ro", "net"] == (0, 5150, "0o550")
    assert seen["rw", "labels.txt"] == (0, 44, "0o660")
    assert seen["rw", "deep"] == (0, 44, "0o2770")
    assert seen["bare", "weights.bin"] == (998, 997, "0o644")
    places = {row.resource: root / row.path[1:] for row in rows if Path(row.path).name in ("weights.bin", "labels.txt")}
    paths = [places[name] for name in ("ro", "rw", "bare")]
    denied = "Permission denied"
    assert opens(998, 997, [44, 5150], *paths) == [[True, denied], [True, True], [denied, denied]]
    assert opens(998, 997, [], *paths) == [[denied, denied]] * 3
    assert opens(0, 0, [], *paths) == [[True, True]] * 3


def test_a_changed_owner_is_laid_out_anew(root: Path) -> None:
    facts, store = board(root), Artifacts()
    for permission, mode in (("ro", 0o440), ("rw", 0o660)):
        made = document(store, {"m": (MODEL, "m.tar.gz", owner("ml", permission))})  # type: ignore[arg-type]
        assert deploy(group_of(made), made, root, facts, LinuxHost(root), store.fetch).unpacked == 1
        assert stat.S_IMODE(next(root.rglob("weights.bin")).stat().st_mode) == mode


def test_chown_takes_a_link_itself_and_stays_on_the_board(tmp_path: Path) -> None:
    host = LinuxHost(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").touch()
    (tmp_path / "link").symlink_to("real/file")
    (tmp_path / "data").symlink_to("/real")  # the board's /real, not this machine's
    host.chown("/data/file", 12, 34)
    host.chown("/link", 5, 6)
    assert ((tmp_path / "real/file").stat().st_uid, (tmp_path / "real/file").stat().st_gid) == (12, 34)
    assert (tmp_path / "link").lstat().st_uid == 5


def test_errors_name_path_and_errno(tmp_path: Path) -> None:
    host = LinuxHost(tmp_path)
    with pytest.raises(
        HostError, match=r"^/none: cannot change its owner to 1:1: No such file or directory \(ENOENT\)$"
    ) as failed:
        host.chown("/none", 1, 1)
    assert (failed.value.path, failed.value.errno, failed.value.exit_status) == ("/none", errno.ENOENT, 6)
    host.sync("/")
    with pytest.raises(HostError, match=r"^/none: cannot sync it to disk: .* \(ENOENT\)$"):
        host.sync("/none")
