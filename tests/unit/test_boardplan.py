"""What a board is made of, worked out before anything is made, and what a local one has of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation import boardplan, capabilities, corebuild
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.boarditems import Bind, BoardPlan, Item, with_parents
from edge_sim.emulation.local import machine
from edge_sim.emulation.peripherals import nmea
from edge_sim.errors import InvalidDefinitionError, UsageError
from edge_sim.profiles import load_profile
from edge_sim.scenario import BoardFile, DeviceBacking

PI = load_profile("raspberry-pi-zero-w")
ROUTER = load_profile("openwrt-armv7")


def plan(profile: DeviceProfile, **scenario: Any) -> BoardPlan:
    return boardplan.plan(BoardSpec(profile=profile, **scenario))


def local_plan(profile: DeviceProfile, **scenario: Any) -> BoardPlan:
    return machine.with_this_machine(plan(profile, **scenario), profile)[0]


def items(made: BoardPlan) -> dict[str, Item]:
    return {item.path: item for item in made.items}


def test_parents_come_before_what_lies_in_them() -> None:
    seen: set[str] = {"/"}
    for item in local_plan(PI, files=[BoardFile(path="/srv/a/b/c")]).items:
        assert item.path == "/" or str(PurePosixPath(item.path).parent) in seen
        seen.add(item.path)


def test_accounts_are_written_as_the_profile_has_them() -> None:
    made = items(plan(PI))
    assert "ggc_user:x:110:65534::/home/ggc_user:/usr/sbin/nologin\n" in made["/etc/passwd"].text
    assert "gpio:x:997:pi\n" in made["/etc/group"].text
    assert 'ID="raspbian"\n' in made["/etc/os-release"].text
    assert "/etc/openwrt_release" not in made
    assert "DISTRIB_ID='OpenWrt'\n" in items(plan(ROUTER))["/etc/openwrt_release"].text


def test_the_running_python_is_there_and_can_be_reached() -> None:
    made = local_plan(PI)
    directories = items(made)
    for needed in (sys.prefix, sys.base_prefix, str(Path(boardplan.__file__).parents[1])):
        covering = [bind for bind in made.binds if Path(needed).is_relative_to(bind.path)]
        assert covering, needed
        assert all(bind.read_only for bind in covering)
        for parent in PurePosixPath(covering[0].path).parents:
            assert directories[str(parent)].mode & 0o001, parent


_OWN = (
    "/",
    "/etc",
    "/etc/edge-sim",
    "/dev/x",
    "/proc/x",
    "/sys",
    "/usr",
    "/usr/lib",
    "/usr/lib/edge-sim/x",
    "/usr/bin",
    "/lib",
    "/lib/edge-sim",
)


@pytest.mark.parametrize(
    "place", [*_OWN, "/greengrass", "/greengrass/ggc", "/greengrass/certs/x", "//etc/", "/srv/link/x", "/var/run"]
)
def test_a_bind_where_the_boards_own_files_are_is_refused(tmp_path: Path, place: str) -> None:
    """Laid over it they would come into the folder that is bound."""
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(UsageError, match=r"cannot bind .* is managed by the simulated board"):
        plan(PI, binds={place: tmp_path}, files=[BoardFile(path="/srv", copy=tmp_path)])


def test_a_bind_above_the_greengrass_root_is_refused(tmp_path: Path) -> None:
    elsewhere = replace(PI, greengrass=replace(PI.greengrass, root="/opt/aws/greengrass"))
    with pytest.raises(UsageError, match="/opt/aws/greengrass is managed"):
        plan(elsewhere, binds={"/opt": tmp_path})


def test_a_bind_is_where_the_boards_links_lead(tmp_path: Path) -> None:
    """OpenWrt's /var is a link: made over a directory that holds a bind, that would be emptied to make room."""
    bound = [bind.path for bind in plan(ROUTER, binds={"/var/lib/data/": tmp_path}).binds if not bind.read_only]
    assert bound == ["/tmp/lib/data"]


def test_a_bind_takes_the_place_of_the_scenarios_files(tmp_path: Path) -> None:
    (tmp_path / "sample").touch()
    made = plan(PI, files=[BoardFile(path="/srv/data", copy=tmp_path)], binds={"/srv/data": tmp_path})
    assert [bind.path for bind in made.binds] == ["/srv/data"]
    assert not [path for path in items(made) if path.startswith("/srv/data")]


def test_a_closed_directory_above_the_python_is_opened_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    below_root = Bind(source="/usr", path="/root/python", read_only=True)
    monkeypatch.setattr(machine, "_shared", lambda: [below_root])
    made, notes = machine.with_this_machine(plan(PI), PI)
    assert items(made)["/root"].mode == 0o711
    assert notes == ("/root is 0711 here, not 0700 as on a real board, so that the Python in use can be reached",)


def test_nothing_of_this_machine_is_in_the_plan_of_a_board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same plan wherever this Python lies, and whatever the caller's umask is."""
    before = plan(PI, core="1.10.0", files=[BoardFile(path="/root/x", copy=tmp_path)])
    for name in ("prefix", "base_prefix", "base_exec_prefix"):
        monkeypatch.setattr(sys, name, "/root/python")
    mask = os.umask(0o077)
    try:
        made = plan(PI, core="1.10.0", files=[BoardFile(path="/root/x", copy=tmp_path)])
    finally:
        os.umask(mask)
    assert made == before
    assert made.binds == ()
    assert items(made)["/root"].mode == 0o700


def test_the_factorys_core_is_part_of_the_plan_and_a_scenario_may_change_its_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    laid = BoardFile(path="/greengrass/config/config.json", copy=tmp_path / "config.json", mode=0o600)
    made = items(plan(PI, core="1.10.0", files=[laid]))
    assert made["/greengrass/ggc/core"].target == "packages/1.10.0"
    assert made["/greengrass/ggc"].mode == 0o755
    assert made["/greengrass/ggc/packages/1.10.0/greengrassd"].mode == 0o755
    config = made["/greengrass/config/config.json"]
    assert (config.source, config.mode) == (str(tmp_path / "config.json"), 0o600)


def test_a_board_has_a_key_of_its_own_unless_the_scenario_brings_one(tmp_path: Path) -> None:
    path = f"/greengrass/{corebuild.KEY}"
    made = plan(PI, core="1.10.0")
    keys = [items(boardplan.with_key(made))[path] for _ in range(2)]
    assert keys[0].mode == 0o600
    assert keys[0].text.startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert keys[0].text != keys[1].text
    (tmp_path / "key").write_text("mine")
    own = boardplan.with_key(plan(PI, core="1.10.0", files=[BoardFile(path=path, copy=tmp_path / "key")]))
    assert items(own)[path].source == str(tmp_path / "key")
    assert len([item for item in own.items if item.path == path]) == 1


@pytest.mark.parametrize("place", ["/usr/local/share/labels", "/lib/firmware/x", "/bin/tool", "/home/python/x"])
def test_only_a_local_board_has_this_machines_programs_in_the_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    shared = [Bind(source=path, path=path, read_only=True) for path in ("/usr", "/lib", "/home/python")]
    monkeypatch.setattr(machine, "_shared", lambda: shared)
    file = BoardFile(path=place, copy=tmp_path)
    assert place in items(plan(PI, files=[file]))
    with pytest.raises(InvalidDefinitionError, match=f"^{place}: cannot be placed on a local board") as caught:
        local_plan(PI, files=[file])
    assert "--driver docker" in (caught.value.hint or "")
    assert plan(PI, binds={place: tmp_path}).binds[0].path == place
    with pytest.raises(UsageError, match=r"cannot bind .* on a local board"):
        local_plan(PI, binds={place: tmp_path})


def test_a_bind_does_not_cover_what_a_local_board_has_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "_shared", lambda: [Bind(source="/usr", path="/opt/python", read_only=True)])
    with pytest.raises(UsageError, match="there, /opt/python is this machine's"):
        local_plan(PI, binds={"/opt": tmp_path})


def test_directories_above_items_are_roots() -> None:
    (above, _) = with_parents([Item(path="/a", type="directory")])
    assert above == Item(path="/", type="directory", mode=0o755)


def test_files_are_laid_with_owner_group_and_mode(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.txt").write_text("a")
    (tmp_path / "link").symlink_to("deep/a.txt")
    file = BoardFile(path="/srv/data", copy=tmp_path, owner="pi", group="gpio", mode=0o640)
    made = items(plan(PI, files=[file]))
    assert (made["/srv/data"].uid, made["/srv/data"].gid, made["/srv/data"].mode) == (1000, 997, 0o750)
    assert made["/srv/data/deep/a.txt"].mode == 0o640
    assert made["/srv/data/deep/a.txt"].source == str(tmp_path / "deep" / "a.txt")
    assert made["/srv/data/link"].target == "deep/a.txt"


def test_a_path_through_a_link_of_the_board_lies_where_the_link_leads() -> None:
    made = items(plan(ROUTER, files=[BoardFile(path="/var/lib/data", owner="1234", group="daemon")]))
    assert "/var/lib/data" not in made
    assert (made["/tmp/lib/data"].named, made["/tmp/lib/data"].uid) == ("/var/lib/data", 1234)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (BoardFile(path="/srv/x", owner="pii"), "raspberry-pi-zero-w has no user pii"),
        (BoardFile(path="/srv/x", group="docker"), "raspberry-pi-zero-w has no group docker"),
        (BoardFile(path="/usr/lib/edge-sim/x"), "/usr/lib/edge-sim is managed by the simulated board"),
        (BoardFile(path="/usr/bin/python3"), "/usr/bin/python3 is managed"),
        (BoardFile(path="/bin/python3"), "/usr/bin/python3 is managed"),
        (BoardFile(path="/dev/shm/x"), "/dev is managed"),
        (BoardFile(path="/lib"), "/lib is managed"),
        (BoardFile(path="/etc/passwd"), "cannot place a directory where the board has a file"),
        (BoardFile(path="/etc/passwd/x"), "/etc/passwd there is a file"),
        (BoardFile(path="/home/pi", copy=Path(__file__)), "cannot place a file where the board has a directory"),
        (BoardFile(path="/srv/x", copy=Path(os.devnull)), "only files, folders and links"),
    ],
)
def test_what_cannot_be_laid_is_refused(file: BoardFile, said: str) -> None:
    with pytest.raises(InvalidDefinitionError, match=said):
        plan(PI, files=[file])


def test_lines_belong_to_a_serial_device(tmp_path: Path) -> None:
    said = tmp_path / "lines"
    said.write_text("one\ntwo\n")
    made = plan(PI, devices=[DeviceBacking(path="/dev/ttyUSB0", lines=said)])
    device = next(d for d in made.devices if d.path == "/dev/ttyUSB0")
    assert (device.peer, device.lines) == ("lines", ("one", "two"))
    with pytest.raises(InvalidDefinitionError, match="no serial device there") as caught:
        plan(PI, devices=[DeviceBacking(path="/dev/gpiomem", lines=said)])
    assert "/dev/ttyAMA0" in (caught.value.hint or "")
    said.write_bytes(b"\xb5\x62\x01\x07")
    with pytest.raises(InvalidDefinitionError, match="lines is not a text file"):
        plan(PI, devices=[DeviceBacking(path="/dev/ttyUSB0", lines=said)])


@pytest.mark.parametrize(
    ("path", "given", "said"),
    [
        ("/dev/nothing", {"size_kib": 4}, "has no device there"),
        ("/dev/video0", {"size_kib": 4}, "only a block device has a size, but this is a char device"),
        ("/dev/mmcblk0", {"size_kib": 0}, "must be 1 KiB to 64 GiB"),
        ("/dev/mmcblk0", {"size_kib": 65 << 20}, "must be 1 KiB to 64 GiB"),
        ("/dev/mmcblk0", {"frames": Path("frames")}, "only a character device supplies frames"),
        ("/dev/video0", {"frames": Path("none")}, "holds no frame"),
        ("/dev/mmcblk0", {"host": Path("/dev/null")}, "/dev/null on this machine is not a block device"),
        ("/dev/video0", {"host": Path("/etc/passwd")}, "/etc/passwd on this machine is not a char device"),
        ("/dev/video0", {"host": Path("/dev/gone")}, "/dev/gone on this machine: No such file"),
    ],
)
def test_a_backing_that_cannot_stand_there_is_refused(
    tmp_path: Path, path: str, given: dict[str, Any], said: str
) -> None:
    for name, content in (("frames", b"x"), ("none", b"")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1").write_bytes(content)
    if "frames" in given:
        given = {"frames": tmp_path / given["frames"]}
    with pytest.raises(InvalidDefinitionError, match=said):
        plan(PI, devices=[DeviceBacking(path=path, **given)])


def test_frames_are_a_folders_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("10", "09", "2"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    made = plan(PI, devices=[DeviceBacking(path="/dev/video0", frames=tmp_path)])
    assert BoardPlan.from_json(json.loads(json.dumps(made.to_json()))) == made
    device = next(d for d in made.devices if d.path == "/dev/video0")
    assert [Path(file).name for file in device.frames] == ["09", "10", "2"]


def test_devices_without_backing_are_not_made() -> None:
    assert "/dev/mmcblk0" not in [device.path for device in plan(PI).devices]


def test_a_plan_survives_the_way_to_the_boards_process() -> None:
    made = plan(PI)
    assert BoardPlan.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_a_gps_sentence_has_its_checksum_and_moves_on() -> None:
    reports = [report.decode().split("\r\n") for report in islice(nmea(), 61)]
    for sentence in (line for report in reports for line in report if line):
        body, _, given = sentence[1:].partition("*")
        checksum = 0
        for character in body:
            checksum ^= ord(character)
        assert f"{checksum:02X}" == given
    assert reports[0][0].startswith("$GPGGA,000000.00,5004.5300,N,01426.2680,E,")
    assert reports[60][1].startswith("$GPRMC,000100.00,A,")
    assert reports[0][0].split(",")[2] != reports[60][0].split(",")[2]


def test_subordinate_ids_are_those_of_this_user(tmp_path: Path) -> None:
    mine = os.geteuid()
    file = tmp_path / "subuid"
    file.write_text(f"someone:1:2\n{mine}:100000:40000\nbroken\n{mine}:300000:40000\n")
    assert capabilities.subordinate_ids(file) == [(100000, 40000), (300000, 40000)]
    assert capabilities.subordinate_ids(tmp_path / "missing") == []


def test_ranges_are_joined_to_65536_ids() -> None:
    assert capabilities._triples(1001, [(100000, 40000), (300000, 40000)]) == (
        *(0, 1001, 1),
        *(1, 100000, 40000),
        *(40001, 300000, 25535),
    )


def test_the_subordinate_ids_that_are_advised_are_nobodys(tmp_path: Path) -> None:
    uids, gids = tmp_path / "subuid", tmp_path / "subgid"
    assert "--add-subuids 100000-165535 --add-subgids 100000-165535 me" in capabilities.add_subordinate_ids(
        "me", [uids]
    )
    uids.write_text("anna:100000:65536\nbroken\n")
    gids.write_text("anna:165536:65536\n")
    advice = capabilities.add_subordinate_ids("me", [uids, gids])
    assert "--add-subuids 231072-296607 --add-subgids 231072-296607 me" in advice


@pytest.mark.process
@pytest.mark.parametrize("module", ["local.init", "containers.board", "drivers"])
def test_a_board_is_started_without_the_readers_of_scenarios(module: str) -> None:
    """They take more than twice as long to import as all the rest, and every local board is a process of its own."""
    program = f"import sys, edge_sim.emulation.{module}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not [name for name in done.stdout.split() if name.startswith(("edge_sim.scenario", "edge_sim.definitions"))]
