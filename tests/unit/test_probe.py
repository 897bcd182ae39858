"""Facts found below a root directory, and board paths that stay below it."""

from __future__ import annotations

import errno
import os
import platform
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_sim.agent.functions.sandbox import probe as open_for_real
from edge_sim.agent.functions.view import mount_points
from edge_sim.agent.probe import NodesBelow, StandIn, cgroup_mounts, mount_flags, probe
from edge_sim.agent.rooted import inside
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.facts import PROGRAMS, HostFacts, Node


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("etc", "greengrass/config", "greengrass/ggc/packages/1.10.0", "srv/data", "dev"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text(
        "# a comment\nroot:x:0:0::/root:/bin/sh\nggc_user:x:110:115::/:\nbroken\n+nis\n"
    )
    (tmp_path / "etc/group").write_text("root:x:0:\nggc_group:x:115:\nvideo:x:44:pi\nodd:x:many:\n")
    (tmp_path / "etc/os-release").write_text('NAME="Raspbian"\nID=raspbian\n')
    (tmp_path / "greengrass/ggc/core").symlink_to("packages/1.10.0")
    (tmp_path / "greengrass/config/config.json").write_text('{"runtime": {"allowFunctionsToRunAsRoot": "yes"}}')
    return tmp_path


def test_facts_come_from_the_boards_own_files(root: Path) -> None:
    facts = probe(root, ["/srv/data", "/nowhere"])
    assert (facts.users["ggc_user"].uid, facts.users["ggc_user"].gid) == (110, 115)
    assert facts.groups == {"root": 0, "ggc_group": 115, "video": 44}
    assert facts.operating_system == "raspbian"
    assert facts.architecture == os.uname().machine
    assert (facts.greengrass.version, facts.greengrass.allow_functions_to_run_as_root) == ("1.10.0", True)
    assert facts.paths["/srv/data"].type == "directory"
    assert "/nowhere" not in facts.paths
    assert {"/", "/srv"} <= facts.paths.keys()
    assert facts.memory_kib > 0


def test_a_stand_in_says_what_the_board_would_be(root: Path) -> None:
    facts = probe(root, stand_in=StandIn(architecture="armv6l", operating_system="openwrt"))
    assert (facts.architecture, facts.operating_system) == ("armv6l", "openwrt")
    assert facts.unsupported == {"ml-inference"}


@pytest.mark.parametrize(
    ("release", "architecture", "system"),
    [
        ("ID=debian", "aarch64", "ubuntu"),  # 64-bit Raspberry Pi OS
        ("ID=raspbian", "aarch64", "ubuntu"),
        ("ID=debian", "armv7l", "raspbian"),
        ("ID=ubuntu", "armv7l", "raspbian"),
        ("ID=ubuntu", "x86_64", "ubuntu"),
        ('ID="amzn"', "x86_64", "amazon_linux"),
        ("ID=debian", "x86_64", "debian"),  # ubuntu's or amazon_linux's: not known
        ("ID=openwrt", "x86_64", "openwrt"),
        ("ID=poky", "armv7l", "poky"),
    ],
)
def test_a_board_takes_the_builds_that_v1_had_for_its_like(
    root: Path, release: str, architecture: str, system: str
) -> None:
    (root / "etc/os-release").write_text(f"{release}\n")
    assert probe(root, stand_in=StandIn(architecture=architecture)).operating_system == system


def test_raspberry_pi_os_that_calls_itself_debian_is_known_by_its_issue(root: Path) -> None:
    (root / "etc/os-release").write_text("ID=debian\n")
    (root / "etc/rpi-issue").write_text("Raspberry Pi reference 2022-01-28\n")
    assert probe(root, stand_in=StandIn(architecture="x86_64")).operating_system == "raspbian"


def test_an_empty_board_has_defaults_and_no_accounts(tmp_path: Path) -> None:
    facts = probe(tmp_path)
    assert (facts.users, facts.groups, facts.greengrass.allow_functions_to_run_as_root) == ({}, {}, False)


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_broken_config_is_said_in_v1s_words(root: Path, text: str) -> None:
    (root / "greengrass/config/config.json").write_text(text)
    with pytest.raises(InvalidDefinitionError, match=r"Failed to parse /greengrass/config/config\.json\."):
        probe(root)


def test_nodes_are_lstats_and_links_bring_what_they_lead_to(root: Path) -> None:
    (root / "srv/data/file").write_text("x")
    (root / "srv/data/file").chmod(0o2640)
    (root / "link").symlink_to("/srv/data")
    os.mkfifo(root / "srv/pipe", 0o600)
    nodes = probe(root, ["/link/file", "/srv/pipe", "/link/../srv"]).paths
    assert (nodes["/link"].type, nodes["/link"].target) == ("link", "/srv/data")
    assert (nodes["/srv/data/file"].type, nodes["/srv/data/file"].mode) == ("file", 0o2640)
    assert nodes["/srv/pipe"].type == "fifo"
    assert nodes["/srv"].type == "directory"


@pytest.mark.parametrize("path", ["/" + "a" * 300, "/srv" + f"/{'a' * 200}" * 21, "/srv/a\0b", "/etc/passwd/x"])
def test_a_path_that_cannot_exist_does_not_exist(root: Path, path: str) -> None:
    assert path not in probe(root, [path]).paths


def test_a_links_text_is_kept_as_it_is(root: Path) -> None:
    (root / "odd").symlink_to(".//srv/./data/")
    assert probe(root, ["/odd"]).paths["/odd"].target == ".//srv/./data/"


def test_what_is_asked_for_is_looked_at_beside_what_is_known(root: Path) -> None:
    planned = Node(type="file", uid=0, gid=0, mode=0o444)
    nodes = NodesBelow(root, {"/srv/model": planned}, removals=["/etc"])
    assert nodes["/srv/model"] is planned
    assert [path in nodes for path in ("/srv/data", "/etc", "/srv/none")] == [True, False, False]
    assert (sorted(nodes), len(nodes)) == (["/srv/data", "/srv/model"], 2)


def test_what_may_not_be_looked_at_is_not_called_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "lstat", refused)
    with pytest.raises(UnsupportedEnvironmentError, match="srv: cannot be read: Permission denied") as caught:
        NodesBelow(root, {}).get("/srv")
    assert caught.value.hint == "Run it as root."


def test_board_paths_never_leave_the_root(root: Path) -> None:
    (root / "up").symlink_to("../../../../etc")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    assert inside(root, "/up/passwd") == root / "etc/passwd"
    assert inside(root, "/absolute") == root / "etc/passwd"
    assert inside(root, "/absolute", follow_last=False) == root / "absolute"
    assert inside(root, "/../../x") == root / "x"
    assert inside(root, "relative/../y") == root / "y"
    with pytest.raises(EdgeSimError, match="too many levels of symbolic links"):
        inside(root, "/a")


def rights(path: str) -> tuple[set[str], dict[str, str]]:
    answer = open_for_real(path)
    return {right for right, got in answer.items() if got is True}, answer["errors"]


def test_a_probe_opens_for_real_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    before = (file.stat().st_mtime_ns, sorted(tmp_path.iterdir()))
    here = Path.cwd()
    assert rights(str(file)) == ({"read", "write"}, {"list": "ENOTDIR", "execute": "EACCES"})
    assert rights(str(tmp_path)) == ({"read", "write", "list", "execute"}, {})
    os.chdir(here)
    assert (file.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before
    assert file.read_text() == "kept"
    assert rights("/dev/null")[0] == {"read", "write"}
    assert rights(str(tmp_path / "none")) == (
        set(),
        {**dict.fromkeys(("read", "write", "list"), "ENOENT"), "execute": "EACCES"},
    )
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    told = "a pipe without a reader does not block, and may be written to"
    assert rights(str(fifo)) == ({"read", "write"}, {"list": "ENOTDIR", "execute": "EACCES"}), told
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_path_that_leads_round_in_a_circle_is_not_there(root: Path) -> None:
    (root / "srv/circle").symlink_to("circle")
    (root / "srv/nowhere").symlink_to("/srv/gone")
    (root / "srv/latest").symlink_to("data")
    facts = probe(root, ["/srv/circle/in", "/srv/nowhere", "/srv/latest", "/srv/data"])
    found = {
        path: facts.at(path) is not None
        for path in ("/srv/circle", "/srv/circle/in", "/srv/nowhere", "/srv/latest", "/srv")
    }
    assert found == {
        "/srv/circle": False,
        "/srv/circle/in": False,
        "/srv/nowhere": False,
        "/srv/latest": True,
        "/srv": True,
    }


@pytest.mark.parametrize(
    ("mounts", "version", "subsystems"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n", "v2", None),
        ("cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n", "v1", {"memory"}),
        ("c /sys/fs/cgroup/devices cgroup rw,devices 0 0\nc /a/unified cgroup2 rw 0 0\n", "v1", {"devices"}),
        ("cgroup /sys/fs/cgroup cgroup rw,cpu,memory,devices 0 0\n", "v1", {"memory", "devices"}),
        ("proc /proc proc rw 0 0\nodd\n", None, None),
    ],
)
def test_cgroups_are_told_by_what_is_mounted(mounts: str, version: str | None, subsystems: set[str] | None) -> None:
    assert cgroup_mounts(mounts) == (version, subsystems)


def test_the_running_kernel_is_a_real_boards_and_no_simulated_ones(tmp_path: Path) -> None:
    here = probe(Path("/"))
    assert (here.kernel, here.storage_kib > 0) == (platform.release(), True)
    assert here.umask is None, "the caller's umask is not the core's"
    assert here.programs.keys() == set(PROGRAMS)
    simulated = probe(Path("/"), stand_in=StandIn(architecture="armv7l", operating_system="raspbian"))
    assert (simulated.kernel, simulated.cgroups, dict(simulated.programs)) == ("", None, {})
    assert probe(tmp_path).kernel == ""
    in_a_container = probe(Path("/"), stand_in=StandIn(operating_system="openwrt"))
    assert (in_a_container.kernel, in_a_container.operating_system) == (platform.release(), "openwrt")


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_busyboxs_tools_are_not_the_update_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: Callable[[Path, Path], None]
) -> None:
    for name in ("busybox", "tar"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    link(tmp_path / "cut", tmp_path / "busybox")
    monkeypatch.setenv("PATH", str(tmp_path))
    programs = probe(Path("/")).programs
    assert [programs[name] for name in ("tar", "cut", "wget")] == [True, False, False]


@pytest.mark.parametrize(
    ("thing", "proxy"),
    [('"coreThing": {}', False), ('"coreThing": {"networkProxy": {}}', True), ('"runtime": {}', None)],
)
def test_a_cores_network_proxy_is_read_from_its_configuration(root: Path, thing: str, proxy: bool | None) -> None:
    (root / "greengrass/config/config.json").write_text(f"{{{thing}}}")
    assert probe(root).greengrass.network_proxy is proxy


def test_the_last_mount_on_a_point_counts_and_its_name_is_read_as_the_kernel_writes_it() -> None:
    mounts = (
        "a / ext4 rw,noatime 0 0\nb /tmp tmpfs rw,noexec 0 0\nc /tmp tmpfs ro,nosuid 0 0\nd /my\\040disk ext4 rw 0 0\n"
    )
    assert mount_flags(mounts) == {"/": frozenset(), "/tmp": frozenset({"ro", "nosuid"}), "/my disk": frozenset()}


def test_a_mount_point_may_have_any_name(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    name = b"/srv/a\\040b\\134040\xff\x85c"
    table.write_bytes(b"1 0 0:1 / / rw - ext4 d rw\n2 1 0:2 / " + name + b" rw - tmpfs t rw\n")
    assert mount_points(table) == [Path("/"), Path(os.fsdecode(b"/srv/a b\\040\xff\x85c"))]


def test_what_lies_below_no_known_mount_is_unknown_and_a_link_is_followed() -> None:
    paths = {"/var": Node(type="link", uid=0, gid=0, mode=0o777, target="tmp")}
    facts = HostFacts(
        architecture="armv7l", operating_system="openwrt", paths=paths, mounts={"/tmp": frozenset({"noexec"})}
    )
    assert facts.mount_flags("/var/log") == frozenset({"noexec"})
    assert facts.mount_flags("/greengrass") is None


def test_this_machines_mounts_are_known_on_it() -> None:
    facts = probe(Path("/"))
    flags = facts.mount_flags("/proc/version")
    assert flags is not None
    assert ("noexec" in flags) == bool(os.statvfs("/proc").f_flag & os.ST_NOEXEC)
