"""Device profiles: the shipped ones are sound, and a wrong one is told where and what."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_sim.agent.probe import StandIn, probe
from edge_sim.arch import UPDATE_TARGETS
from edge_sim.emulation import boardplan
from edge_sim.emulation.board import BoardSpec
from edge_sim.errors import InvalidDefinitionError, UsageError
from edge_sim.profiles import list_profiles, load_profile, load_profiles, profile_folder

SHIPPED = (
    "amazon-linux-x86_64",
    "generic-x86_64",
    "openwrt-aarch64",
    "openwrt-armv7",
    "raspberry-pi-3",
    "raspberry-pi-4",
    "raspberry-pi-zero-w",
)


def test_the_promised_profiles_are_there() -> None:
    assert set(SHIPPED) <= set(list_profiles())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_is_sound(name: str) -> None:
    profile = load_profile(name)
    facts = profile.facts()
    assert (profile.operating_system, profile.architecture) in UPDATE_TARGETS
    assert facts.users[profile.greengrass.user].uid > 0
    assert facts.groups[profile.greengrass.group] > 0
    assert len(set(profile.groups.values())) == len(profile.groups), "two groups with one GID"
    assert facts.paths["/tmp"].mode == 0o1777
    assert facts.paths[profile.greengrass.root].type == "directory"
    for device in profile.devices:
        assert facts.paths[device.path].gid == profile.groups[device.group]


@pytest.mark.parametrize("name", list_profiles())
def test_the_agent_on_a_profiles_board_takes_the_updates_for_it(name: str, tmp_path: Path) -> None:
    profile = load_profile(name)
    release = next(item for item in boardplan.plan(BoardSpec(profile=profile)).items if item.path == "/etc/os-release")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(release.text, encoding="utf-8")
    facts = probe(tmp_path, stand_in=StandIn(architecture=profile.architecture))
    assert facts.operating_system == profile.operating_system


def test_groups_are_those_of_the_operating_system() -> None:
    pi, router = load_profile("raspberry-pi-zero-w").facts(), load_profile("openwrt-armv7").facts()
    amazon = load_profile("amazon-linux-x86_64").facts()
    assert (pi.gid("video"), pi.gid("gpio"), pi.gid("dialout")) == (44, 997, 20)
    assert (amazon.gid("video"), amazon.gid("dialout")) == (39, 18)
    assert (router.gid("video"), router.gid("dialout")) == (None, 20)
    assert (pi.gid("4711"), pi.gid("0044"), pi.gid("0"), pi.gid("9" * 5000)) == (4711, 44, 0, None)


def test_openwrt_has_no_machine_learning_and_links_var_to_tmp() -> None:
    facts = load_profile("openwrt-aarch64").facts()
    assert "ml-inference" in facts.unsupported
    assert (facts.libc, facts.init) == ("musl", "procd")
    assert facts.paths["/var"].target == "tmp"


def test_a_device_shows_the_profiles_group_and_mode() -> None:
    node = load_profile("raspberry-pi-3").facts().paths["/dev/gpiomem"]
    assert (node.type, node.uid, node.gid, node.mode) == ("char", 0, 997, 0o660)


def test_links_stay_below_a_boards_root() -> None:
    for name in list_profiles():
        for path, node in load_profile(name).tree().items():
            assert node.target is None or not node.target.startswith("/"), path


def test_an_unknown_profile_is_told_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        load_profile("rasberry-pi-3")
    assert "Did you mean raspberry-pi-3?" in (caught.value.hint or "")
    assert "generic-x86_64" in (caught.value.hint or "")


def test_a_path_is_a_profiles_name_as_well(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(text().replace("hostname: raspberrypi", "hostname: mine"), encoding="utf-8")
    assert load_profile(str(mine)).hostname == "mine"
    assert load_profile(str(mine)).name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("architecture: armv6l", "architecture: armv61", ["'armv61' is not allowed", "Did you mean armv6l?"]),
        ("operating_system: raspbian", "operating_system: openwrt", ["no openwrt on armv6l"]),
        ("hostname:", "hostnme:", ["hostnme: unknown key", "Did you mean hostname?"]),
        ("cpus: 1", "cpus: one", ["cpus: must be a whole number, 0 or more, not 'one'"]),
        ("memory: 512 MiB", "memory: 512 MB", ["memory:", "512 MiB"]),
        ('umask: "0022"', 'umask: "0082"', ["umask:", "octal"]),
        ("programs: {", "programs: {pyton3.8: true, ", ["programs.pyton3.8: unknown key", "Did you mean python3.8?"]),
        ("update_tools: gnu", "update_tools: some", ["update_tools: 'some' is not allowed", "gnu, busybox"]),
        ("init: systemd", "init: [systemd]", ["init:", "single value"]),
        ("init: systemd", "init:", ["init: '' is not allowed", "Allowed: systemd, sysvinit"]),
        ("hostname: raspberrypi", "hostname:", ["hostname: must be text"]),
        ("hostname: raspberrypi\n", "", ["missing: hostname"]),
        ("  root: 0\n", "", ["groups: root must be listed with GID 0"]),
        ("group: gpio", "group: gpoi", ["devices[0].group:", "Did you mean gpio?"]),
        ("path: /dev/gpiomem", "path: /dev/../etc", ["devices[0].path:", "absolute path"]),
        ("path: /dev/gpiomem", "path: /etc/passwd", ["devices[0].path:", "not below /dev"]),
        ("backing: zero", "backing: loop", ["devices[0].backing:", "null, zero, random, pty, none"]),
        ("    peer: nmea", "    peer: gps", ["devices[5].peer: 'gps' is not allowed", "Allowed: silent, nmea"]),
        ("unsupported: []", "unsupported: [ml]", ["unsupported[0]:", "Allowed: ml-inference, stream-manager, docker"]),
        (
            "unsupported: []",
            "paths: [{path: /dev/x, type: file, mode: '0644'}]",
            ["paths[0].path:", "under devices"],
        ),
        ("unsupported: []", "paths: [{path: /srv/x, type: link, mode: '0644'}]", ["paths[0]", "target"]),
        ("unsupported: []", "unsupported: {}", ["unsupported: must be a list"]),
        ("  user: ggc_user", "  user: nobody2", ["greengrass.user:", "'nobody2' is not allowed"]),
        ("  version: 1.10.0", "  version: 1.11.99", ["greengrass.version: '1.11.99' is not", "the last 1.11 was"]),
        ("  version: 1.10.0", "  version: 2.0.0", ["greengrass.version: '2.0.0' is not a version", "1.0 to 1.11.6"]),
        ("users:", "users: none\nx:", ["x: unknown key"]),
        ("{uid: 1, gid: 1,", "{uid: 1, gid: 77,", ["users.daemon.gid:", "77 belongs to no group"]),
    ],
)
def test_a_wrong_value_gets_its_line_and_what_is_allowed(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    whole = text()
    assert old in whole
    mine = tmp_path / "mine.yaml"
    mine.write_text(whole.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InvalidDefinitionError) as caught:
        load_profile(str(mine))
    message = f"{caught.value.brief} {caught.value.hint or ''}"
    assert f"{mine}:" in message
    assert all(part in message for part in said), message


def test_the_line_is_the_one_of_the_mistake(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    lines = text().splitlines()
    at = lines.index("cpus: 1")
    mine.write_text("\n".join([*lines[:at], "cpus: many", *lines[at + 1 :]]), encoding="utf-8")
    with pytest.raises(InvalidDefinitionError, match=f"mine.yaml:{at + 1}:7: cpus:"):
        load_profile(str(mine))


def test_a_key_written_twice_names_both_lines(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("cpus: 1\n" + text(), encoding="utf-8")
    with pytest.raises(InvalidDefinitionError, match=r"cpus: is already set in line 1"):
        load_profile(str(mine))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"cpus: [1", r"mine.yaml:1:9: not valid YAML"),
        (b"", "the file is empty"),
        (b"\xff\xfe\x00bad", "not a text file"),
        (b"- a\n- b\n", "mapping"),
        (b"[a, b]: 1\n", "must be a single word"),
        (b"a: !!python/object:os.system 1\n", "unknown key"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_bytes(content)
    with pytest.raises(InvalidDefinitionError, match=said):
        load_profile(str(mine))


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    for name, said in ((str(tmp_path / "none.yaml"), "no such file"), (f"{tmp_path}/", "a folder, not a file")):
        with pytest.raises(UsageError, match=said):
            load_profile(name)


def test_a_file_of_any_name_is_a_profile_where_none_of_ours_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text(text().replace("hostname: raspberrypi", "hostname: mine"), encoding="utf-8")
    Path("raspberry-pi-3").write_text("not read", encoding="utf-8")
    assert load_profile("mine").hostname == "mine"
    assert load_profile("raspberry-pi-3").hostname == "raspberrypi"


def text(name: str = "raspberry-pi-zero-w") -> str:
    return (profile_folder() / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("slip", "meant"), [("raspbery-pi-3", "raspberry-pi-3"), ("rpi3", "raspberry-pi-3 or")])
def test_a_slip_or_a_short_form_is_met_with_what_may_be_meant(slip: str, meant: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_profile(slip)
    assert f"Did you mean {meant}" in str(raised.value.hint)


def test_a_profiles_own_paths_lie_on_the_board_and_links_stay_below_its_root(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    paths = """paths:
  - {path: /srv/data/in, type: directory, user: pi, group: gpio, mode: "0750"}
  - {path: /srv/note, type: file, mode: "0640"}
  - {path: /srv/link, type: link, target: /srv/data/in}
"""
    mine.write_text(text() + paths, encoding="utf-8")
    profile = load_profile(str(mine))
    tree = profile.tree()
    assert (tree["/srv/data/in"].uid, tree["/srv/data/in"].gid, tree["/srv/data/in"].mode) == (1000, 997, 0o750)
    assert (tree["/srv/data"].type, tree["/srv/note"].type, tree["/srv/link"].target) == (
        "directory",
        "file",
        "data/in",
    )
    assert profile.facts().presence("/srv/link") == "present"
    laid = {item.path: item.node for item in boardplan.plan(BoardSpec(profile=profile)).items}
    assert {path: laid[path] for path in ("/srv/data/in", "/srv/note", "/srv/link")} == profile.paths


@pytest.mark.parametrize("name", ["openwrt-armv7", "openwrt-aarch64"])
def test_devices_of_openwrt_have_19_07s_modes(name: str) -> None:
    devices = {device.path: (device.group, device.mode) for device in load_profile(name).devices}
    assert {"/dev/gpiochip0", "/dev/i2c-0", "/dev/ttyS0"} <= devices.keys()
    for path, modes in devices.items():
        group = "dialout" if path.startswith("/dev/tty") else "audio" if path.startswith("/dev/snd/") else "root"
        assert modes == (group, 0o600 if group == "root" else 0o660), path


BULLSEYE = ("raspberry-pi-3-bullseye", "raspberry-pi-4-bullseye", "raspberry-pi-zero-2-w")


@pytest.mark.parametrize("name", BULLSEYE)
def test_bullseye_has_no_python_of_v1_and_its_cgroups_are_not_known(name: str) -> None:
    facts = load_profile(name).facts()
    assert load_profile(name).os_release["VERSION_ID"] == "11"
    assert facts.cgroups is None
    assert facts.has_program("python3.7") is False


def test_the_boards_that_people_look_for_are_there() -> None:
    pairs = {name: (p.operating_system, p.architecture) for name in list_profiles() for p in (load_profile(name),)}
    assert pairs["raspberry-pi-4-raspbian"] == ("raspbian", "armv7l")
    assert {pairs[name][1] for name in BULLSEYE[:2]} == {"aarch64"}
    assert pairs["raspberry-pi-zero-2-w"] == ("raspbian", "armv7l")
    assert pairs["jetson-tx2"] == ("ubuntu", "aarch64")
    assert load_profile("docker-core").facts().unsupported >= {"containers", "local-resources"}


def test_the_zero_ws_pins_have_ttys0_and_bluetooth_has_ttyama0() -> None:
    notes = {device.path: str(device.note) for device in load_profile("raspberry-pi-zero-w").devices}
    assert "pins 8 and 10" in notes["/dev/ttyS0"]
    assert "Bluetooth" in notes["/dev/ttyAMA0"]


def test_all_stands_for_every_profile_once() -> None:
    assert [profile.name for profile in load_profiles(["raspberry-pi-4", "all"])] == [
        "raspberry-pi-4",
        *(name for name in list_profiles() if name != "raspberry-pi-4"),
    ]
