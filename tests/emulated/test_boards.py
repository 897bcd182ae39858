"""Boards in containers, looked at from inside: rights, devices, storage, network, and the whole example on four."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_sim.arch import ARCHITECTURES
from edge_sim.cli.board import ONE_OF_EACH
from edge_sim.emulation.containers import engine
from edge_sim.emulation.containers.board import DockerBoard
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.scenario import BoardFile
from tests.emulated.containers import EXAMPLE, RUN, edge_sim, those_ready

pytestmark = pytest.mark.emulated
LSTAT = """
import json, os, stat, sys
kinds = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFCHR: "char"}
def look(path):
    s = os.lstat(path)
    return [kinds[stat.S_IFMT(s.st_mode)], s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode)]
print(json.dumps({path: look(path) for path in sys.argv[1:]}))
"""
OPEN_AS = """
import os, sys
uid, gid, group, path = sys.argv[1:]
os.setgroups([int(group)]); os.setresgid(int(gid), int(gid), int(gid)); os.setresuid(int(uid), int(uid), int(uid))
try:
    os.close(os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)); print("opened")
except OSError as error:
    print(error.strerror)
"""
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2); print("connected")
except OSError as error:
    print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def report(client: Any) -> dict[str, Any]:
    names = those_ready(client, ONE_OF_EACH)
    chosen = [word for name in names for word in ("--profile", name)]
    done = edge_sim("run", EXAMPLE, "--driver", "docker", *chosen, "--format", "json", check=False)
    assert done.stdout, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, [board["problems"] + board["not_proven"] for board in value["boards"]]
    return value


def test_the_example_runs_on_every_architecture(report: dict[str, Any]) -> None:
    assert [board["uname"] for board in report["boards"]] == [name for name in ARCHITECTURES if name in RUN]
    for board in report["boards"]:
        assert board["ok"]
        assert board["driver"] == "docker"
        assert board["standing_in"] is None
        assert board["layout"]
        assert [(u["status"], u["running"]) for u in board["updates"]] == [
            ("SUCCEEDED", "1.11.6"),
            ("FAILED", "1.11.6"),
        ]
        assert [function["ok"] for function in board["functions"]] == [True, True, True]
        assert {row["fact"]: row for row in board["certificate"]}["uname -m"]["found"] == board["uname"]


def test_computed_and_probed_access_agree_and_what_is_not_enforced_is_not_green(report: dict[str, Any]) -> None:
    for board in report["boards"]:
        rows = {(row["function"], row["resource"]): row for row in board["access"]}
        gps = rows.pop(("meter-log", "gps-receiver"))
        assert all(row["ok"] and row["agree"] for row in rows.values())
        assert rows["read-digits", "meter-token"]["read"]["probed"] is True
        if board["uname"] == "x86_64":
            continue  # Landlock may be there
        assert gps["ok"] is None, "QEMU has no Landlock: ro on a device is neither kept nor broken"
        assert gps["read"]["probed"]
        assert gps["write"]["probed"] is None


def test_a_board_is_what_its_facts_say(board_of: Callable[..., DockerBoard]) -> None:
    board = board_of("raspberry-pi-3", core="1.10.0")
    paths = [path for path in board.facts.paths if path not in ("/", "/dev", "/proc", "/sys", "/etc/hosts")]
    found = json.loads(board.exec(["python3", "-c", LSTAT, *paths]).stdout)
    for path, (kind, uid, gid, mode) in found.items():
        node = board.facts.paths[path]
        assert (kind, uid, gid) == (node.type, node.uid, node.gid), path
        assert node.type == "link" or mode == node.mode, path
    assert {"/dev/gpiomem", "/dev/ttyUSB0", "/home/pi", "/tmp"} <= found.keys()


@pytest.mark.parametrize(("group", "answer"), [(997, "opened"), (44, "Permission denied")])
def test_groups_open_doors(board_of: Callable[..., DockerBoard], group: int, answer: str) -> None:
    board = board_of("raspberry-pi-zero-w")
    said = board.exec(["python3", "-c", OPEN_AS, "110", "996", str(group), "/dev/gpiomem"])
    assert said.stdout.strip() == answer, said.stderr


def test_without_containers_a_board_cannot_mount_and_still_has_its_gps(board_of: Callable[..., DockerBoard]) -> None:
    board = board_of("generic-x86_64", contained=False)
    rights = int(board.exec(["sh", "-c", "grep CapEff /proc/self/status | cut -f2"]).stdout, 16)
    assert not rights & 1 << 21, "CAP_SYS_ADMIN"
    assert not rights & 1 << 27, "CAP_MKNOD"
    assert board.exec(["sh", "-c", "grep NoNewPrivs /proc/self/status | cut -f2"]).stdout.strip() == "1"
    assert any("is a link" in note for note in board.notes)
    heard = board.exec(["head", "-n", "1", "/dev/ttyS0"])
    assert heard.stdout.startswith("$GPGGA")


def test_only_this_machine_is_reached_from_a_board(board_of: Callable[..., DockerBoard], client: Any) -> None:
    one, other = board_of("generic-x86_64"), board_of("amazon-linux-x86_64")
    address = _address(client, other)
    server = other.popen(["python3", "-u", "-m", "http.server", "8000"])
    assert server.stdout.readline().startswith("Serving")
    assert other.exec(["python3", "-c", CONNECT, address, "8000"]).stdout.strip() == "connected"
    said = one.exec(["python3", "-c", CONNECT, address, "8000"]).stdout.strip()
    kept_apart = engine.sets_firewall()
    assert said == ("TimeoutError" if kept_apart else "connected")
    assert any("boards reach each other" in note for note in one.notes) is not kept_apart
    assert one.exec(["python3", "-c", CONNECT, "192.0.2.1", "80"]).stdout.strip() != "connected"
    server.close()


@pytest.mark.skipif(not os.access("/dev/loop-control", os.R_OK | os.W_OK), reason="a loop device needs root")
def test_storage_is_as_large_as_the_profiles(board_of: Callable[..., DockerBoard]) -> None:
    board = board_of("openwrt-armv7")
    code = (
        "import os; s = os.statvfs('/greengrass'); print(s.f_blocks * s.f_frsize // 2**20, os.listdir('/greengrass'))"
    )
    size, rest = board.exec(["python3", "-c", code]).stdout.split(" ", 1)
    assert 256 * 0.85 < int(size) <= 256
    assert rest.strip() == "[]"
    full = board.exec(["sh", "-c", "head -c 300000000 /dev/zero >/greengrass/too-large"])
    assert "No space left" in full.stderr


def test_openwrt_says_what_stands_in(board_of: Callable[..., DockerBoard]) -> None:
    board = board_of("openwrt-armv7")
    assert board.machine == "armv7l"
    assert board.standing_in == "glibc standing in for musl"
    said = board.exec(["sh", "-c", "readlink /var; . /etc/openwrt_release; echo $DISTRIB_ID; hostname"])
    assert said.stdout.split() == ["tmp", "OpenWrt", "OpenWrt"]


def test_real_data_is_bound_in(board_of: Callable[..., DockerBoard], tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1,2\n")
    board = board_of("generic-x86_64", binds={"/srv/data": tmp_path})
    assert board.exec(["cat", "/srv/data/data.csv"]).stdout == "1,2\n"
    board.exec(["sh", "-c", "echo 3,4 >>/srv/data/data.csv"])
    assert (tmp_path / "data.csv").read_text() == "1,2\n3,4\n"


def test_a_file_is_bound_in(board_of: Callable[..., DockerBoard], tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1\n")
    board = board_of("openwrt-armv7", binds={"/opt/deep/one": tmp_path / "one"})
    assert board.exec(["cat", "/opt/deep/one"]).stdout == "1\n"


def test_a_bind_below_one_of_the_boards_links_keeps_its_files(
    board_of: Callable[..., DockerBoard], tmp_path: Path
) -> None:
    (tmp_path / "data.csv").write_text("1,2\n")
    board = board_of("openwrt-armv7", binds={"/var/lib/data": tmp_path})
    assert board.exec(["cat", "/var/lib/data/data.csv"]).stdout == "1,2\n"
    assert [file.name for file in tmp_path.iterdir()] == ["data.csv"]


@pytest.mark.parametrize("profile", ["generic-x86_64", "raspberry-pi-3"])
def test_a_scenarios_files_lie_below_usr_and_leave_the_image_as_it_is(
    board_of: Callable[..., DockerBoard], profile: str, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("1,2\n")
    places = ("/lib/firmware/sensor", "/usr/local/share/labels", "/opt/deep/er")
    before = os.umask(0o077)
    try:
        board = board_of(profile, files=[BoardFile(path=place, copy=tmp_path, mode=0o640) for place in places])
    finally:
        os.umask(before)
    assert board.exec(["cat", *(f"{place}/data" for place in places)]).stdout == "1,2\n" * 3
    told = board.exec(["stat", "-c", "%U:%G %a", *(f"{place}/data" for place in places), "/opt/deep"])
    assert told.stdout.splitlines() == ["root:root 640"] * 3 + ["root:root 755"]
    assert board.exec(["readlink", "/lib"]).stdout == "usr/lib\n"
    assert board.exec(["stat", "-c", "%a", "/root"]).stdout == "700\n"


def test_a_program_that_does_not_end_is_ended(board_of: Callable[..., DockerBoard]) -> None:
    board = board_of("generic-x86_64")
    with pytest.raises(UnsupportedEnvironmentError, match="timed out after 1 s"):
        board.exec(["sleep", "60"], 1)
    assert board.exec(["sh", "-c", "exit 7"]).returncode == 7


def _address(client: Any, board: DockerBoard) -> str:
    networks = client.api.inspect_container(board.container)["NetworkSettings"]["Networks"]
    (network,) = networks.values()
    return str(network["IPAddress"])
