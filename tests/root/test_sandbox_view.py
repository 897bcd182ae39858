"""The container's file system: with and without an overlay, with mounts below the board's root, never in its tree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_sim.agent import linux
from edge_sim.agent.functions import view
from edge_sim.agent.functions.calls import probe
from edge_sim.facts import HostFacts
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.process import FunctionProcess, Identity, Mount
from edge_sim.greengrass.rows import Probe
from tests import needs
from tests.root.functions_board import FACTS, private_mounts

pytestmark = [pytest.mark.root, needs.mounts]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "root: a,b\\c"  # all that an overlay option must have escaped
    for name in ("etc", "dev", "tmp", "greengrass/ggc/secret", "srv/data", "usr/share", "code", "home/user"):
        (made / name).mkdir(parents=True)
    for path in (*tmp_path.parents[:2], tmp_path, made):
        path.chmod(0o755)
    (made / "srv/data/rows.csv").write_text("1,2\n")
    (made / "etc/issue").write_text("board\n")
    (made / "var").mkdir()
    (made / "var/run").symlink_to("/srv")
    with private_mounts(made):
        yield made


def process(facts: HostFacts = FACTS, **changes: object) -> FunctionProcess:
    made = FunctionProcess(
        function=Function(id="f", arn="arn:aws:lambda:us-east-1:1:function:f:1"),
        isolation="GreengrassContainer",
        identity=Identity(uid=facts.users["ggc_user"].uid, gid=FACTS.groups["ggc_group"]),
        mounts=(),
        masked=("/greengrass",),
        environment={},
        working_directory="/lambda",
        code_directory="/code",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def word(answer: Probe) -> str:
    return ("r" if answer.read else "-") + ("w" if answer.write else "-")


def tree(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*")}


MOUNTS = (
    Mount(source="/srv/data", destination="/mnt/deep/data", read_only=True),
    Mount(source="/var/run/data/rows.csv", destination="/etc/rows.csv", read_only=False),
    Mount(source="/code", destination="/lambda", read_only=True),
)
PATHS = [
    "/etc/issue",
    "/mnt/deep/data",
    "/mnt/deep/data/rows.csv",
    "/etc/rows.csv",
    "/greengrass",
    "/greengrass/ggc/secret",
]
PATHS += ["/dev/null", "/dev/kmsg", "/tmp", "/lambda", "/code"]
SEEN = ["r-", "r-", "r-", "rw", "--", "--", "rw", "--", "rw", "r-", "r-"]


@pytest.fixture(params=["overlay", "binds"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    if request.param == "binds":  # the sandbox is a program of its own: the refusal must reach it there
        site = tmp_path / "site"
        site.mkdir(mode=0o755)
        (site / "sitecustomize.py").write_text(
            "import edge_sim.agent.functions.view as view\n"
            "def refuse(view, merged):\n    raise OSError(1, 'Operation not permitted')\n"
            "view._overlay = refuse\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(site))
    return str(request.param)


def test_what_a_container_sees_and_may_do(root: Path, kind: str) -> None:
    (root / "srv/data/rows.csv").chmod(0o666)
    (root / "tmp").chmod(0o1777)
    before = tree(root)
    answers = probe(process(mounts=MOUNTS), PATHS, root)
    assert dict(zip(PATHS, map(word, answers.values()), strict=True)) == dict(zip(PATHS, SEEN, strict=True))
    assert answers["/greengrass"].errors["read"] == "ENOENT", "hidden, not merely forbidden"
    assert answers["/mnt/deep/data/rows.csv"].errors["write"] == "EROFS"
    as_root = probe(process(mounts=MOUNTS, identity=Identity(uid=0, gid=0)), ["/srv"], root)
    assert word(as_root["/srv"]) == {"overlay": "rw", "binds": "r-"}[kind], "the stand-in for the overlay is read-only"
    assert tree(root) == before, f"{kind}: nothing is made in the board's tree"


def test_mounts_below_a_boards_root_are_seen_and_stay_read_only(root: Path) -> None:
    linux.mount("tmpfs", root / "usr/share", "tmpfs", 0, "mode=777")
    (root / "usr/share/words").write_text("x")
    (root / "usr/share/words").chmod(0o666)
    linux.mount("tmpfs", root / "home", "tmpfs", 0, "mode=755")
    (root / "home/ro").mkdir()
    linux.bind(root / "usr/share", root / "home/ro", read_only=True)
    answers = probe(process(), ["/usr/share/words", "/home/ro/words"], root)
    assert list(map(word, answers.values())) == ["rw", "r-"]


def test_a_link_in_the_board_cannot_lead_a_mount_out_of_it(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "escape").symlink_to(f"../../../../../../..{outside}")
    mount = Mount(source="/srv/data", destination="/escape/here", read_only=True)
    answers = probe(process(mounts=(mount,)), ["/escape/here/rows.csv"], root)
    assert answers["/escape/here/rows.csv"].read is True
    assert not list(outside.iterdir())


def test_root_without_container_is_the_boards_root(root: Path) -> None:
    plain = process(isolation="NoContainer", masked=(), identity=Identity(uid=4711, gid=4711, groups=(4,)))
    (root / "etc/issue").chmod(0o640)
    os.chown(root / "etc/issue", 0, 4)
    answers = probe(plain, ["/etc/issue", "/etc/hostname", "/greengrass/ggc/secret"], root)
    assert list(map(word, answers.values())) == ["r-", "--", "r-"]


def test_landlock_is_asked_only_for_what_is_a_device() -> None:
    mounts = (
        Mount(source="/dev/null", destination="/dev/null", read_only=True),
        Mount(source="/etc", destination="/etc", read_only=True),
        Mount(source="/dev/zero", destination="/dev/zero", read_only=False),
    )
    seen = view.ContainerView(root=Path("/"), scratch=Path("/x"), masked=(), mounts=mounts, sysfs=False)
    assert view.read_only_devices(seen) == [Path("/dev/null")]


def test_the_overlay_has_the_boards_resolv_conf_though_it_lies_on_another_mount(root: Path, tmp_path: Path) -> None:
    """On a board whose root is / the mounts below it are not shown again, and /run is one."""
    (root / "run").mkdir()
    linux.mount("tmpfs", root / "run", "tmpfs")
    (root / "run/stub.conf").write_text("nameserver 192.0.2.53\n")
    (root / "etc/resolv.conf").symlink_to("../run/stub.conf")
    (root / "etc").chmod(0o750)
    scratch = tmp_path / "scratch"
    (scratch / "merged").mkdir(parents=True)
    seen = view.ContainerView(root=root, scratch=scratch, masked=("/greengrass",), mounts=(), sysfs=False)
    linux.mount("tmpfs", scratch, "tmpfs")
    (scratch / "merged").mkdir()
    view._overlay(seen, scratch / "merged")
    assert not (scratch / "merged/run/stub.conf").exists()
    assert (scratch / "merged/etc/resolv.conf").read_text() == "nameserver 192.0.2.53\n"
    assert (scratch / "merged/etc").stat().st_mode & 0o777 == 0o750
    assert (root / "etc/resolv.conf").is_symlink(), "nothing is changed on the board"
