"""What a board's container is made with and what is laid into it, worked out without an engine; programs' outputs."""

from __future__ import annotations

import ast
import io
import os
import socket
import struct
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.boarditems import BoardPlan
from edge_sim.emulation.boardplan import plan as plan_of
from edge_sim.emulation.boardplan import with_key
from edge_sim.emulation.containers import boards, init, options, tree
from edge_sim.emulation.containers.options import ContainerSpec
from edge_sim.emulation.containers.program import ContainerProgram
from edge_sim.profiles import load_profile
from edge_sim.scenario import BoardFile, DeviceBacking

ZERO, PI3, OPENWRT = (load_profile(name) for name in ("raspberry-pi-zero-w", "raspberry-pi-3", "openwrt-armv7"))


def wanted(**changes: Any) -> ContainerSpec:
    values: dict[str, Any] = {"contained": True, "cpus": 2, **changes}
    return ContainerSpec(name="b", image="i", network="n", volume="v", labels={"edge-sim.board": "b"}, **values)


def plan(profile: DeviceProfile, **scenario: Any) -> BoardPlan:
    return plan_of(BoardSpec(profile=profile, **scenario))


def asked_for(profile: DeviceProfile, **changes: Any) -> dict[str, Any]:
    return options.for_create(profile, plan(profile), wanted(**changes))


def laid(profile: DeviceProfile, **scenario: Any) -> dict[str, tarfile.TarInfo]:
    made = plan(profile, core="1.10.0", **scenario)
    told = options.for_init(profile, made, wanted(life=True))
    items = (*tree.items(with_key(made)), *tree.own_files(told, {"thing": "t"}))
    with tree.archive(items) as file, tarfile.open(fileobj=file) as tar:
        members = tar.getmembers()
        names = [member.name for member in members]
        assert f"/{names[-1]}" == init.TREE_LAID
        for name in names:
            above = str(Path(name).parent)
            assert above == "." or above not in names[names.index(name) :], f"{name} comes before {above}"
        return {f"/{member.name}": member for member in members}


def test_what_an_agent_shows_to_its_broker_is_on_the_board_and_its_key_is_for_root_alone(tmp_path: Path) -> None:
    names = {"cafile": "broker-ca.pem", "certificate": "certificate.pem", "key": "private-key.pem"}
    for name in names:
        (tmp_path / name).write_text(name)
    items = tree.own_files({}, {"thing": "t"}, {name: tmp_path / name for name in names})
    with tree.archive(items) as file, tarfile.open(fileobj=file) as tar:
        modes = {f"/{member.name}": member.mode for member in tar.getmembers()}
    assert {name: modes[tree.FILES[name]] for name in names} == {"cafile": 0o644, "certificate": 0o644, "key": 0o400}
    assert set(tree.FILES.values()) == {f"/etc/edge-sim/{name}" for name in names.values()}


def test_a_board_gets_no_right_that_its_functions_do_not_need() -> None:
    plain, contained = asked_for(ZERO, contained=False), asked_for(ZERO, contained=True)
    assert plain["cap_drop"] == contained["cap_drop"] == ["ALL"]
    assert set(contained["cap_add"]) - set(plain["cap_add"]) == {"SYS_ADMIN", "SYS_CHROOT"}
    assert not {"SYS_ADMIN", "SYS_CHROOT", "MKNOD", "NET_ADMIN", "NET_RAW", "SYS_PTRACE"} & set(plain["cap_add"])
    assert "privileged" not in plain
    assert plain["security_opt"] == ["no-new-privileges:true"]


def test_apparmor_is_let_go_only_where_mounts_need_it() -> None:
    assert "apparmor=unconfined" not in asked_for(ZERO, contained=False, apparmor=True)["security_opt"]
    assert "apparmor=unconfined" in asked_for(ZERO, contained=True, apparmor=True)["security_opt"]
    made = plan(ZERO)
    assert any("AppArmor" in note for note in options.notes(ZERO, made, wanted(apparmor=True)))
    assert not any("AppArmor" in note for note in options.notes(ZERO, made, wanted()))


def test_granted_capabilities_are_named_in_the_notes() -> None:
    (granted,) = [n for n in options.notes(ZERO, plan(ZERO), wanted()) if n.startswith("capabilities")]
    assert all(name in granted for name in options.capabilities(contained=True))


def test_limits_are_the_profiles_and_never_more_than_this_machine() -> None:
    made = asked_for(ZERO)
    assert made["mem_limit"] == made["memswap_limit"] == f"{512 * 1024}k"
    assert made["nano_cpus"] == 1_000_000_000
    assert asked_for(PI3, cpus=2)["nano_cpus"] == 2_000_000_000
    assert 0 < made["pids_limit"] <= 512


def test_only_armv6_tells_qemu_which_processor_to_be() -> None:
    assert asked_for(ZERO)["environment"] == {"QEMU_CPU": "arm1176"}
    assert asked_for(PI3)["environment"] == {}


def test_devices_are_passed_one_by_one_and_terminals_are_made_inside() -> None:
    passed = asked_for(ZERO)["devices"]
    assert "/dev/zero:/dev/gpiomem:rw" in passed
    assert not [device for device in passed if "tty" in device or "mmcblk" in device]
    for_init = {device["path"]: device for device in _init(ZERO)["devices"]}
    assert (for_init["/dev/gpiomem"]["gid"], for_init["/dev/gpiomem"]["mode"]) == (997, 0o660)
    gps = next(device for device in for_init.values() if device["says"])
    assert gps["pty"]
    assert gps["says"][0].startswith("$GPGGA")
    assert gps["says"][0].endswith("\r\n")


def test_a_scenarios_lines_replace_the_gps(tmp_path: Path) -> None:
    (tmp_path / "said").write_text("21.5 C\n22.0 C\n")
    backings = [DeviceBacking(path="/dev/ttyUSB0", lines=tmp_path / "said")]
    devices = {device["path"]: device for device in _init(ZERO, devices=backings)["devices"]}
    assert devices["/dev/ttyUSB0"]["says"] == ["21.5 C\r\n", "22.0 C\r\n"]


def test_the_first_process_reads_its_plan_as_a_literal() -> None:
    plan = _init(ZERO)
    (text,) = [item.text for item in tree.own_files(plan, {}) if item.path == init.PLAN]
    assert ast.literal_eval(text) == plan


def test_the_tree_is_the_boards_own_and_nothing_of_this_machine() -> None:
    found = laid(PI3)
    assert (found["/home/pi"].uid, found["/home/pi"].gid, found["/home/pi"].mode) == (1000, 1000, 0o755)
    assert found["/tmp"].mode == 0o1777
    assert found["/etc/passwd"].isfile()
    assert found["/greengrass/ggc/core"].linkname == "packages/1.10.0"
    assert found["/greengrass/ggc/packages/1.10.0/greengrassd"].mode == 0o755
    assert found["/greengrass/config/config.json"].mode == 0o644
    assert found[tree.AGENT_CONFIG].mode == 0o600
    here = [sys.prefix, str(Path(tree.__file__).parents[2]), "/etc/alternatives", "/etc/hosts", "/proc", "/dev"]
    assert not [path for path in found if path in here or any(path.startswith(f"{top}/") for top in here)]
    assert "/bin" not in found


def test_all_of_a_boards_plan_is_laid_but_what_the_engine_lays_itself(tmp_path: Path) -> None:
    """Nothing is left out by where it lies: below /usr and /root as well."""
    (tmp_path / "file").write_text("x")
    places = ("/usr/local/share/x", "/root/x", "/opt/python/x")
    files = [BoardFile(path=place, copy=tmp_path / "file", mode=0o604) for place in places]
    made = with_key(plan(PI3, core="1.10.0", files=files))
    found = laid(PI3, files=files)
    left_out = {item.path for item in made.items} - found.keys()
    assert left_out == {"/", "/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname"} & {i.path for i in made.items}
    for item in made.items:
        if item.path in found and item.type != "link":
            member = found[item.path]
            assert (member.uid, member.gid, member.mode) == (item.uid, item.gid, item.mode), item.path


def test_openwrts_links_replace_the_images_directories() -> None:
    found = laid(OPENWRT)
    assert found["/var"].issym()
    assert found["/var"].linkname == "tmp"
    assert found["/etc/openwrt_release"].isfile()
    assert asked_for(OPENWRT)["tmpfs"] == {}


def test_a_scenarios_files_keep_owner_group_and_mode(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("1,2\n")
    files = [BoardFile(path="/srv/data", copy=tmp_path, owner="pi", group="gpio", mode=0o640)]
    found = laid(PI3, files=files)
    assert (found["/srv/data/one.csv"].uid, found["/srv/data/one.csv"].gid) == (1000, PI3.groups["gpio"])
    assert (found["/srv/data"].mode, found["/srv/data/one.csv"].mode) == (0o750, 0o640)


def test_files_below_usr_are_laid_without_the_directories_that_the_image_has(tmp_path: Path) -> None:
    """An entry for /lib would take the place of the image's link, one for /usr/local its owner and mode."""
    (tmp_path / "fw.bin").write_bytes(b"x")
    files = [BoardFile(path=path, copy=tmp_path) for path in ("/lib/firmware/sensor", "/usr/local/share/labels")]
    found = laid(PI3, files=files)
    assert found["/lib/firmware/sensor/fw.bin"].isfile()
    assert found["/usr/local/share/labels/fw.bin"].isfile()
    assert not {"/lib", "/lib/firmware", "/usr/local", "/usr/local/share"} & set(found)


def test_a_link_of_the_scenarios_into_usr_is_laid_as_well(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to("usr/bin/python3")
    assert laid(PI3, files=[BoardFile(path="/opt/links", copy=tmp_path)])["/opt/links/python"].issym()


def test_files_that_the_engine_covers_with_its_own_are_noted(tmp_path: Path) -> None:
    (tmp_path / "hosts").touch()
    hosts = BoardFile(path="/etc/hosts", copy=tmp_path / "hosts")
    assert list(tree.notes(plan(PI3, files=[hosts]))) == ["/etc/hosts is the Docker engine's, not the scenario's"]
    assert list(tree.notes(plan(PI3))) == []


def test_files_below_run_keep_it_from_being_in_memory(tmp_path: Path) -> None:
    file = BoardFile(path="/run/station", copy=tmp_path)
    assert "/run" in asked_for(PI3)["tmpfs"]
    assert not options.for_create(PI3, plan(PI3, files=[file]), wanted())["tmpfs"]


@pytest.mark.process
def test_what_a_dead_process_left_is_told_from_what_a_living_one_uses() -> None:
    child = subprocess.Popen(["sleep", "60"])
    owner = boards._identity(child.pid)
    assert not boards._is_ownerless({boards.OWNER: str(owner)})
    pid, started, namespace = str(owner).split("@")
    assert boards._is_ownerless({boards.OWNER: f"{pid}@1@{namespace}"}), "the id is somebody else's by now"
    assert not boards._is_ownerless({boards.OWNER: f"{pid}@{started}@1"}), "not to be seen from here"
    child.kill()
    child.wait()
    assert boards._is_ownerless({boards.OWNER: str(owner)})
    assert not boards._is_ownerless({boards.OWNER: ""}), "board up: it stays"


def test_both_outputs_of_a_program_arrive_whole() -> None:
    with _program([(1, b"one\n"), (2, b"oops\n"), (1, b"x" * 200_000)], status=3) as program:
        out, err = program.communicate(timeout=10)
    assert (len(out), err, program.returncode) == (200_004, "oops\n", 3)


def test_a_program_runs_until_its_stream_ends() -> None:
    ours, theirs = socket.socketpair()
    program = ContainerProgram(_connection(ours), argv=["x"], status=lambda: 0, send=lambda _: None)
    assert program.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.05)
    theirs.close()
    assert program.wait(10) == 0
    program.close()
    program.close()


def test_patience_ends_with_the_next_moment() -> None:
    child = init.AgentChild()
    assert init.patience(child, None) is None
    child.deadline = 0.0
    assert init.patience(child, None) == 0


def _init(profile: DeviceProfile, **scenario: Any) -> dict[str, Any]:
    made = plan(profile, **scenario)
    return options.for_init(profile, made, wanted())


def _connection(end: socket.socket) -> Any:
    reader = end.makefile("rb")
    response = SimpleNamespace(raw=SimpleNamespace(_fp=SimpleNamespace(fp=reader)), close=end.close)
    return SimpleNamespace(_sock=end, _response=response)


class _program:  # noqa: N801 - used like a function
    """A program whose engine sends ``frames`` and ends."""

    def __init__(self, frames: list[tuple[int, bytes]], *, status: int) -> None:
        self._frames = frames
        self._status = status

    def __enter__(self) -> ContainerProgram:
        whole = io.BytesIO(b"".join(struct.pack(">BxxxL", kind, len(data)) + data for kind, data in self._frames))
        ours, theirs = socket.socketpair()
        response = SimpleNamespace(raw=SimpleNamespace(_fp=SimpleNamespace(fp=whole)), close=ours.close)
        connection = SimpleNamespace(_sock=theirs, _response=response)
        status, self._end = self._status, theirs
        self.made = ContainerProgram(connection, argv=["x"], status=lambda: status, send=lambda _: None)
        return self.made

    def __exit__(self, *_: object) -> None:
        self.made.close()
        self._end.close()


def test_umask_of_another_board_is_not_this_processes() -> None:
    before = os.umask(0o077)
    try:
        found = laid(replace(PI3, umask=0o002))
    finally:
        os.umask(before)
    assert found["/greengrass/ggc/packages"].mode == 0o755
