"""``edge-sim access``: computed off the board, and with --probe by real processes on one that was applied."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from edge_sim.greengrass.access import RIGHTS
from tests import needs
from tests.forked import become, result_of
from tests.small_group import CODE, TOP, answer, edge, make_root, ml, write_group
from tests.unit.greengrass.build import device, function, volume

C = "GreengrassContainer"
pytestmark = pytest.mark.root
RESOURCES = [
    ml("ro"),
    ml("rw", "video", "rw"),
    ml("bare", None),
    volume("readings", "/srv/data", "/readings", AutoAddGroupOwner=True),
    device("serial", "/dev/ttyS0", AutoAddGroupOwner=True),
]
FUNCTIONS = [
    function("plain", ("ro", None), ("rw", None)),
    function("boxed", ("ro", "ro"), ("bare", "rw"), ("readings", "rw"), ("serial", "rw"), isolation=C),
    function("stranger"),
    function("reader", ("readings", "ro"), isolation=C),
    function("boss", ("rw", None), run_as={"Uid": 0, "Gid": 0}),
    function("boss-in-a-box", isolation=C, run_as={"Uid": 0, "Gid": 0}),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == os.geteuid() and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
    made = make_root(tmp_path / "root")
    (made / "greengrass/config").mkdir()
    (made / "greengrass/config/config.json").write_text('{"runtime": {"allowFunctionsToRunAsRoot": "yes"}}')
    (made / "srv/data/deep").mkdir(parents=True)
    (made / "srv/data/deep/values.csv").write_text("1,2\n")
    (made / "srv/data/run.sh").write_text("#!/bin/sh\n")
    for place in (made / "srv/data", *(made / "srv/data").rglob("*")):
        os.chown(place, 0, 20)
        place.chmod(0o2770 if place.is_dir() else 0o770 if place.suffix == ".sh" else 0o660)
    for name in ("dev", "proc", "tmp", "sys"):
        (made / name).mkdir()
    os.mknod(made / "dev/ttyS0", 0o020660, os.makedev(1, 3))
    os.chown(made / "dev/ttyS0", 0, 20)
    (made / "dev/ttyS0").chmod(0o660)
    return made


def rows(found: Any) -> dict[tuple[str, str], Any]:
    return {(row["function"], row["resource"]): row for row in found["boards"][0]["access"]}


def applied(tmp_path: Path, root: Path) -> Path:
    group = write_group(tmp_path / "group", RESOURCES, FUNCTIONS)
    edge("apply", group, "--root", root)
    return group


@needs.mounts
def test_computed_and_probed_agree_everywhere(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    group = applied(tmp_path, root)
    found = rows(answer("access", group, "--root", root, "--probe"))
    assert found.keys() == {(f["Id"], r["Id"]) for f in FUNCTIONS for r in RESOURCES}
    unproven = {key for key, row in found.items() if row["agree"] is not True}
    assert unproven == set(), {key: found[key] for key in unproven}
    computed = rows(answer("access", group, "--root", root))
    for key, row in found.items():
        assert {right: row[right]["computed"] for right in RIGHTS} == {
            right: computed[key][right]["computed"] for right in RIGHTS
        }, key
        assert row["paths"] == computed[key]["paths"], key
    paths = sum(row["paths"] for row in found.values())
    with capsys.disabled():
        print(f"\naccess --probe: {len(found)} rows, {paths} paths, {len(RIGHTS)} rights each, 0 disagreements")
    assert [found["plain", "rw"][right]["computed"] for right in RIGHTS] == [True, True, True, True]
    assert [found["boxed", "readings"][right]["by"] for right in RIGHTS] == ["attachment"] * 4
    assert found["stranger", "ro"]["read"]["computed"] is False
    assert found["boss", "ro"]["read"]["by"] == "root"
    assert found["boss-in-a-box", "ro"]["read"]["computed"] is False, "the Greengrass root is masked, for root as well"
    assert found["reader", "readings"]["write"]["computed"] is False, "a read-only mount over a file that it may write"


@needs.mounts
def test_what_is_in_a_volume_counts_without_a_probe_as_well(root: Path, tmp_path: Path) -> None:
    """The volume itself may be read, one file in it may not."""
    (root / "srv/data/deep/values.csv").chmod(0o600)
    group = write_group(tmp_path / "group", RESOURCES[3:4], FUNCTIONS[3:4])
    edge("apply", group, "--root", root)
    computed = rows(answer("access", group, "--root", root, status=4))["reader", "readings"]
    probed = rows(answer("access", group, "--root", root, "--probe", status=4))["reader", "readings"]
    assert (computed["paths"], computed["read"]["computed"], computed["ok"]) == (4, False, False)
    assert [computed[right]["computed"] for right in RIGHTS] == [probed[right]["probed"] for right in RIGHTS]
    assert "/readings/deep/values.csv: computed none, the definition says ro" in computed["reasons"]


def as_a_plain_user(*words: object) -> tuple[int, str, str]:
    """Run ``edge-sim`` in a child that is nobody; return its status and what it printed."""

    def work() -> tuple[int, str, str]:
        become(1000, 1000)
        done = edge(*words, status=None)
        return getattr(done.exception, "exit_status", done.exit_code), done.stdout, done.output

    status, out, everything = result_of(work)
    return status, out, everything


@needs.mounts
def test_a_plain_user_is_told_what_was_not_looked_into(root: Path, tmp_path: Path) -> None:
    """In a model, where the plan knows what is there, and in a volume with names that would draw on a terminal."""
    hidden = root / os.fsdecode(b"srv/data/n\xff\x1b[31m")
    hidden.mkdir(mode=0o700)
    for place in (root / "srv/data", root / "srv/data/deep"):
        place.chmod(0o777)
    (root / "srv/data/deep/values.csv").chmod(0o666)
    (root / "srv/data/run.sh").unlink()
    group = write_group(
        tmp_path / "group", [RESOURCES[0], RESOURCES[3]], [function("plain", ("ro", None)), FUNCTIONS[3]]
    )
    edge("apply", group, "--root", root)
    status, _, err = as_a_plain_user("access", group, "--root", root)
    assert status == 4, "that only root may read the hidden one is known"
    assert "note: /srv/data/n\\udcff\\x1b[31m: not read, because only root may read it\n" in err
    status, out, _ = as_a_plain_user("access", group, "--root", root, "--format", "json")
    assert (status, rows(json.loads(out))["plain", "ro"]["read"]["computed"]) == (4, True)


@needs.mounts
def test_a_read_only_device_takes_nothing_from_a_directory_in_dev(root: Path, tmp_path: Path) -> None:
    """/dev/shm is the volume that a function makes new files in."""
    (root / "srv/shared").mkdir()
    (root / "srv/shared").chmod(0o777)
    resources = [volume("shm", "/srv/shared", "/dev/shm"), device("serial", "/dev/ttyS0", AutoAddGroupOwner=True)]
    made = [function("boxed", ("shm", "rw"), ("serial", "ro"), isolation=C)]
    group = write_group(tmp_path / "group", resources, made)
    edge("apply", group, "--root", root)
    found = rows(answer("access", group, "--root", root, "--probe", status=None))
    assert [found["boxed", "shm"][right]["probed"] for right in RIGHTS] == [True, True, True, True]
    assert found["boxed", "shm"]["agree"] is True
    assert found["boxed", "serial"]["write"]["probed"] in (False, None), "None: this kernel has no Landlock"


@needs.mounts
def test_a_volume_may_be_a_link_to_the_whole_board(root: Path, tmp_path: Path) -> None:
    (root / "srv/all").symlink_to("/")
    for place in [root / "proc", root / "sys"]:
        place.rmdir()  # nothing of the kernel's there
    made = [function("boxed", ("all", "ro"), isolation=C)]
    group = write_group(tmp_path / "group", [volume("all", "/srv/all", "/board")], made)
    edge("apply", group, "--root", root)
    found = rows(answer("access", group, "--root", root, "--probe", status=None))["boxed", "all"]
    assert found["agree"] is True, found["reasons"]
    within = answer("access", group, "--root", root, "--path", "/board/etc/passwd")["boards"][0]["access"][0]
    assert within["read"]["computed"] is True, within


@needs.mounts
@pytest.mark.parametrize("to", ["/opt", "../opt", "/nowhere", "in", "/proc", "/etc/passwd", "/data"])
def test_a_link_in_a_volume_leads_a_mount_as_the_function_sees_it(root: Path, tmp_path: Path, to: str) -> None:
    for name in ("srv/a", "srv/b", "data", "opt"):
        (root / name).mkdir()
        (root / name).chmod(0o777)
    (root / "srv/a/in").symlink_to(to)
    (root / "srv/b/f").write_text("f")
    resources = [volume("outer", "/srv/a", "/data"), volume("inner", "/srv/b", "/data/in")]
    group = write_group(tmp_path / "group", resources, [function("f", ("outer", "rw"), ("inner", "ro"), isolation=C)])
    edge("apply", group, "--root", root)
    found = rows(answer("access", group, "--root", root, "--probe", status=None))
    assert [row["agree"] for row in found.values()] == [True, True], found


@needs.mounts
def test_a_destination_through_a_circle_of_links_starts_nothing(root: Path, tmp_path: Path) -> None:
    """In a container, that is: outside one the model's link lies below the prefix."""
    (root / "models").symlink_to("models")
    made = [function("boxed", ("ro", "ro"), isolation=C), function("plain", ("ro", None))]
    group = write_group(tmp_path / "group", [ml("ro")], made)
    edge("apply", group, "--root", root)
    found = rows(answer("access", group, "--root", root, "--probe", status=4))
    told = {who: (row["read"]["computed"], row["read"]["probed"], row["agree"]) for (who, _), row in found.items()}
    assert told == {"boxed": (False, False, True), "plain": (True, True, True)}


@needs.mounts
def test_links_hidden_places_and_fifos_are_judged_as_the_kernel_does(root: Path, tmp_path: Path) -> None:
    """A source that is a link, a device's other name, a place in the hidden Greengrass root, a FIFO that is mounted."""
    (root / "srv/latest").symlink_to("data")
    (root / "dev/serial0").symlink_to("ttyS0")
    os.mkfifo(root / "srv/data/pipe")
    os.chown(root / "srv/data/pipe", 0, 20)
    (root / "srv/data/pipe").chmod(0o660)
    os.mknod(root / "srv/data/socket", 0o140000)
    os.chown(root / "srv/data/socket", 0, 20)
    (root / "srv/data/socket").chmod(0o660)
    resources = [
        volume("linked", "/srv/latest", "/readings", AutoAddGroupOwner=True),
        volume("hidden", "/srv/data", "/greengrass/readings", AutoAddGroupOwner=True),
        device("serial", "/dev/serial0", AutoAddGroupOwner=True),
        volume("pipe", "/srv/data/pipe", "/run/pipe", AutoAddGroupOwner=True),
        volume("socket", "/srv/data/socket", "/run/socket", AutoAddGroupOwner=True),
    ]
    made = [
        function("linked", ("linked", "ro"), isolation=C),
        function("hidden", ("hidden", "rw"), isolation=C),
        function("serial", ("serial", "rw"), isolation=C),
        function("pipe", ("pipe", "ro"), isolation=C),
        function("socket", ("socket", "ro"), isolation=C),
    ]
    group = write_group(tmp_path / "group", resources, made)
    edge("apply", group, "--root", root)
    found = rows(answer("access", group, "--root", root, "--probe", status=4))
    assert [key for key, row in found.items() if row["agree"] is not True] == []
    told = {name: (found[name, name]["write"]["computed"], found[name, name]["ok"]) for name, _ in found}
    assert told == {
        "linked": (False, True),
        "hidden": (True, True),
        "serial": (True, True),
        "pipe": (True, False),  # a read-only mount keeps nobody from writing into a FIFO
        "socket": (True, False),  # nor from connecting to a socket
    }


@needs.mounts
@pytest.mark.parametrize(
    ("destination", "sysfs"),
    [
        ("/lambda/x", None),
        ("/lambda/main.py", None),
        ("/proc/x", None),
        ("/proc", None),
        ("/proc/self/x", None),
        ("/runtime", None),
        ("/runtime/x", None),
        ("/sys/x", True),
        ("/outer/x", None),
        ("/etc/passwd", None),
    ],
)
def test_who_cannot_start_opens_nothing_computed_and_probed(
    root: Path, tmp_path: Path, destination: str, sysfs: bool | None
) -> None:
    (root / "srv/outer/deep").mkdir(mode=0o755, parents=True)
    resources = [volume("v", "/srv/data", destination, AutoAddGroupOwner=True), volume("outer", "/srv/outer", "/outer")]
    made = [function("f", ("v", "ro"), ("outer", "ro"), isolation=C, sysfs=sysfs), function("other", isolation=C)]
    group = write_group(tmp_path / "group", [*resources, ml("m", "video")], made)
    edge("apply", group, "--root", root)
    probed, computed = (answer("access", group, "--root", root, *more, status=4) for more in (["--probe"], []))
    for found in (probed, computed):
        (note,) = [note for note in found["boards"][0]["notes"] if note.endswith(": it can open nothing")]
        assert "does not start" in note
        for (name, resource), row in rows(found).items():
            assert row["agree"] is (True if found is probed else None), (name, resource)
            assert (row["not_started"] is None) == (name == "other")
            if name == "f":
                assert {row[right]["computed"] for right in RIGHTS} == {False}
                assert row["reasons"] == [row["not_started"]]
                assert row["ok"] is (resource == "m")
    one = answer("access", group, "--root", root, "--probe", "--path", "/etc/group")["boards"][0]["access"]
    assert [(row["read"]["computed"], row["agree"]) for row in one] == [(False, True), (True, True)]
    off = answer("access", group, "--profile", "raspberry-pi-3", "--path", "/etc/group")["boards"][0]["access"]
    told = destination not in ("/outer/x", "/etc/passwd", "/lambda/main.py")  # a profile knows not enough of these
    assert [row["read"]["computed"] for row in off] == [False if told else None, None]


@needs.mounts
@pytest.mark.parametrize("destination", ["/lambda", "/outer/deep", "/sys/x", "/dev/x"])
def test_who_has_a_place_for_every_mount_starts(root: Path, tmp_path: Path, destination: str) -> None:
    (root / "srv/outer/deep").mkdir(mode=0o755, parents=True)
    resources = [volume("v", "/srv/data", destination, AutoAddGroupOwner=True), volume("outer", "/srv/outer", "/outer")]
    made = [function("f", ("v", "ro"), ("outer", "ro"), isolation=C)]
    group = write_group(tmp_path / "group", resources, made)
    edge("apply", group, "--root", root)
    for more in (["--probe"], []):
        found = rows(answer("access", group, "--root", root, *more))
        assert {(row["not_started"], row["ok"]) for row in found.values()} == {(None, True)}


@needs.mounts
def test_a_disagreement_is_its_own_status(root: Path, tmp_path: Path) -> None:
    group = applied(tmp_path, root)
    all_weights = (root / TOP[1:] / "mlmodel_public").rglob("weights.bin")
    weights = next(path for path in all_weights if path.stat().st_mode & 0o777 == 0o440)
    weights.chmod(0o666)
    found = answer("access", group, "--root", root, "--probe", status=1)
    odd = [row for row in found["boards"][0]["access"] if row["agree"] is False]
    assert odd
    assert any("weights.bin: not as planned: mode 0666" in note for note in found["boards"][0]["notes"])
    text = edge("access", group, "--root", root, "--probe", status=1).output
    assert "computed and probed disagree" in text
    agreed = len(found["boards"][0]["access"]) - len(odd)
    assert f"by real processes: {agreed} agree, {len(odd)} disagree, 0 not probed" in text
    assert "real processes" not in edge("access", group, "--root", root).output


@needs.mounts
def test_one_path_is_answered_for_every_function(root: Path, tmp_path: Path) -> None:
    group = applied(tmp_path, root)
    found = answer("access", group, "--root", root, "--probe", "--path", "/srv/data/deep/values.csv")
    told = {row["function"]: row["read"] for row in found["boards"][0]["access"]}
    assert {name: read["probed"] for name, read in told.items()} == {
        "plain": False,
        "boxed": True,
        "reader": True,
        "stranger": False,
        "boss": True,
        "boss-in-a-box": True,
    }
    assert told["stranger"]["fix"] == "RunAs with Gid 20 (dialout) for stranger"
    assert told["boxed"]["by"] == "shared gid", "through V1's overlay, which shows the whole board"


@needs.mounts
@pytest.mark.parametrize("path", ["/lambda/main.py", "/lambda", "/dev/full", "/dev/null", "/greengrass/ggc", "/dev"])
def test_what_every_container_has_is_computed(root: Path, tmp_path: Path, path: str) -> None:
    group = applied(tmp_path, root)
    found = {
        row["function"]: row
        for row in answer("access", group, "--root", root, "--probe", "--path", path)["boards"][0]["access"]
    }
    assert {row["agree"] for row in found.values()} == {True}
    boxed = found["boxed"]["read"]["computed"], found["boxed"]["write"]["computed"]
    assert boxed == {"/dev/full": (True, False), "/dev/null": (True, False)}.get(path, (path[1] != "g", False))


@needs.mounts
@pytest.mark.parametrize(
    ("link", "to", "file", "opens"),
    [
        ("outside", "../opt/x", "note.txt", {"boxed", "reader"}),
        ("again", "/readings/deep", "values.csv", {"boxed", "reader"}),
        ("nowhere", "../srv/opt", "note.txt", set()),
    ],
)
def test_a_link_in_a_volume_leads_where_the_function_sees_it_lead(
    root: Path, tmp_path: Path, link: str, to: str, file: str, opens: set[str]
) -> None:
    """On the board, where the volume lies at /srv/data, each leads elsewhere."""
    (root / "opt/x").mkdir(parents=True)
    (root / "opt/x/note.txt").write_text("1")
    (root / "srv/data" / link).symlink_to(to)
    group = applied(tmp_path, root)
    for more in ((), ("--probe",)):
        found = rows(answer("access", group, "--root", root, "--path", f"/readings/{link}/{file}", *more))
        assert {function for (function, _), row in found.items() if row["read"]["computed"]} == opens
    assert {row["agree"] for row in found.values()} == {True}


@needs.mounts
@pytest.mark.parametrize("path", ["/proc/self/status", "/dev/stdin"])
def test_what_a_container_has_from_the_kernel_is_left_to_the_probe(root: Path, tmp_path: Path, path: str) -> None:
    group = applied(tmp_path, root)
    found = answer("access", group, "--root", root, "--probe", "--path", path)["boards"][0]["access"]
    boxed = next(row for row in found if row["function"] == "boxed")
    assert (boxed["read"]["computed"], boxed["read"]["probed"], boxed["agree"]) == (None, True, None)
    assert boxed["write"]["fix"] is None, "what it writes there never comes to the board"
    assert "the kernel provides it" in boxed["reasons"][0]
    assert "probed yes" in edge("access", group, "--root", root, "--probe", "--path", path).output


@needs.mounts
@pytest.mark.parametrize("path", ["/etc/passwd", "/readings/deep/values.csv", "/srv/data/run.sh", "/srv/data/none"])
def test_a_path_is_looked_at_on_the_board_without_a_probe_too(root: Path, tmp_path: Path, path: str) -> None:
    group = applied(tmp_path, root)
    computed, probed = (
        {
            row["function"]: row
            for row in answer("access", group, "--root", root, "--path", path, *more)["boards"][0]["access"]
        }
        for more in ((), ("--probe",))
    )
    assert {row["agree"] for row in probed.values()} == {True}
    for name, row in probed.items():
        assert [computed[name][right]["computed"] for right in RIGHTS] == [row[right]["computed"] for right in RIGHTS]
    assert any(row["read"]["computed"] for row in computed.values()) == (not path.endswith("none"))


@needs.mounts
def test_a_path_in_what_is_attached_is_open_by_the_attachment(root: Path, tmp_path: Path) -> None:
    group = applied(tmp_path, root)
    for path, function_id, ok in (
        ("/readings/deep/values.csv", "boxed", None),  # a file in a volume has its own mode
        (f"{TOP}/workdir/plain/models/rw", "plain", True),
    ):
        found = answer("access", group, "--root", root, "--probe", "--path", path, "--function", function_id)
        (row,) = found["boards"][0]["access"]
        told = (row["write"]["computed"], row["write"]["probed"], row["write"]["by"], row["agree"], row["ok"])
        assert told == (True, True, "attachment", True, ok)
        assert (row["expected"], row["write"]["fix"]) == ("rw", None)


@needs.mounts
@pytest.mark.parametrize("more", [(), ("--probe",)], ids=["computed", "probed"])
def test_a_models_path_is_answered_for_as_each_function_opens_it(
    root: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    group = applied(tmp_path, root)
    found = answer("access", group, "--root", root, *more, "--path", "/models/ro")
    rows_ = {row["function"]: row for row in found["boards"][0]["access"]}
    plain, boxed, stranger = rows_["plain"], rows_["boxed"], rows_["stranger"]
    assert (plain["path"], plain["resource"], plain["read"]["computed"]) == (
        f"{TOP}/workdir/plain/models/ro",
        "ro",
        True,
    )
    assert "open os.environ['AWS_GG_RESOURCE_PREFIX'] + '/models/ro'" in plain["reasons"][0]
    assert (boxed["path"], boxed["read"]["computed"]) == ("/models/ro", True)
    assert (stranger["path"], stranger["read"]["computed"]) == ("/models/ro", False)
    assert {row["agree"] for row in (plain, boxed, stranger)} == ({True} if more else {None})
    assert not any("AWS_GG_RESOURCE_PREFIX" in reason for row in (boxed, stranger) for reason in row["reasons"])


def test_without_a_board_a_models_path_is_answered_for_with_the_prefix(tmp_path: Path) -> None:
    group = write_group(tmp_path / "group", [ml("m", "video")], [function("f", ("m", None)), function("other")])
    for path, place, known in (
        ("/models/m", f"{TOP}/workdir/f/models/m", True),
        ("/models/mine", "/models/mine", None),
        ("/models", "/models", None),
    ):
        with_model, without = answer("access", group, "--path", path)["boards"][0]["access"]
        assert (with_model["path"], with_model["read"]["computed"]) == (place, known)
        assert (without["path"], without["read"]["computed"]) == (path, None)


def test_of_what_a_profile_does_not_tell_nothing_is_said(tmp_path: Path) -> None:
    group = write_group(
        tmp_path / "group", [ml("m", "video")], [function("f", ("m", None)), function("boxed", isolation=C)]
    )
    found = {
        path: answer("access", group, "--path", path)["boards"][0]["access"]
        for path in ("/etc/passwd", "/dev/video0", "/dev/none", f"{TOP}/mlmodel_public/none")
    }
    assert {row["read"]["computed"] for row in found["/etc/passwd"]} == {None}
    assert "the profile does not say" in found["/etc/passwd"][0]["reasons"][0]
    told = {path: [row["read"]["computed"] for row in rows_] for path, rows_ in found.items()}
    assert told["/dev/video0"] == [True, False]
    assert told["/dev/none"] == [None, False], "a container's /dev is known"
    assert told[f"{TOP}/mlmodel_public/none"] == [False, False], "so is what is deployed"


@needs.mounts
def test_nothing_is_probed_before_it_is_applied(root: Path, tmp_path: Path) -> None:
    group = write_group(tmp_path / "group", RESOURCES, FUNCTIONS)
    edge("access", group, "--root", root, "--probe", status=3)
    assert rows(answer("access", group, "--root", root))["plain", "ro"]["ok"] is True, "computed it can be"


def test_off_the_board_what_the_core_lets_pass_is_not_as_defined(tmp_path: Path) -> None:
    """A world-readable volume's file that the function may not read though attached: status 4, and what would help."""
    data = tmp_path / "values"
    data.mkdir()
    (data / "values.csv").write_text("1\n")
    resources = [volume("readings", "/srv/data", "/readings")]
    group = write_group(
        tmp_path / "group",
        resources,
        [function("boxed", ("readings", "ro"), isolation=C)],
        more={
            "files": [
                {"path": "/srv/data", "directory": True},
                {"path": "/srv/data/closed", "copy": "../values", "mode": "0600"},
            ]
        },
    )
    found = answer("access", group, status=4)
    row = rows(found)["boxed", "readings"]
    assert (row["ok"], row["read"]["computed"]) == (False, False)
    assert row["read"]["fix"] == "chmod o+r /srv/data/closed"
    assert row["chain"][-2].startswith("/readings/closed is 0700 0:0; the process uses the other permission bits")
    text = edge("access", group, status=4).output
    assert "not as defined" in text
    assert "to allow read, list: chmod o+r /srv/data/closed" in text


def test_the_blast_radius_differs_with_the_image(tmp_path: Path) -> None:
    group = write_group(tmp_path / "group", [ml("m", "999")], [function("f", ("m", None))])
    found = answer("access", group, "--profile", "raspberry-pi-3", "--profile", "generic-x86_64")
    meant = {one["target"]: one["blast_radius"]["groups"][0] for one in found["boards"]}
    assert meant["raspberry-pi-3"]["names"] == ["spi"]
    assert "/dev/spidev0.0" in meant["raspberry-pi-3"]["also"]
    assert meant["generic-x86_64"]["names"] != ["spi"]
    assert any("/dev/spidev0.0" in text for text in meant["raspberry-pi-3"]["warnings"])
    assert "gid 999 = spi: models m; functions f\n" in edge("access", group, "--profile", "raspberry-pi-3").output


def test_a_path_that_belongs_to_no_directory_is_a_usage_error(tmp_path: Path) -> None:
    group = write_group(tmp_path / "group", [], [function("f")], code=CODE)
    told = edge("access", group, "--profile", "raspberry-pi-3", "--path", "models/m1", status=2).output
    assert "must be an absolute path on the board" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--function", "nobody"), "the group has no function nobody"),
        (("--probe",), "--probe needs a board that the group has been deployed to: --root DIR or --board ssh"),
        (("--root", "/", "--profile", "raspberry-pi-3"), "cannot be combined"),
    ],
)
def test_wrong_words_are_usage_errors(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    group = write_group(tmp_path / "group", [], [function("f")], code=CODE)
    assert told in str(edge("access", group, *words, status=2).exception)
