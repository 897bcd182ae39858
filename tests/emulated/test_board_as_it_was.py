"""What a run leaves on a board over ssh: what its functions wrote, and nothing of a group that is refused there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sim.emulation.containers.board import DockerBoard
from tests.emulated.ssh_boards import Ssh, everything, shell
from tests.emulated.test_ssh import PROFILE, debian, pytestmark, quick, ssh
from tests.small_group import write_group
from tests.unit.greengrass.build import ARN, device, function, volume

__all__ = ["debian", "pytestmark", "quick", "ssh"]
CODE = """
import os, shutil

def handler(event, context):
    os.makedirs("/mnt/data/below", exist_ok=True)
    with open("/mnt/data/below/new", "w") as file:
        file.write("new")
    with open("/mnt/data/older", "a") as file:
        file.write("and more")
    shutil.copy2("/mnt/data/untouched", "/mnt/data/copied")
    for number in range(event["many"]):
        open(f"/mnt/data/below/{number:03}", "w").close()
    with open("/dev/ttyUSB0", "w") as file:
        file.write("hello")
    return sorted(os.listdir("/mnt/data"))
"""


def writer(folder: Path, *, many: int = 0, **owner: object) -> str:
    """Write a scenario with a function that writes to a volume and a device."""
    setting = owner or {"AutoAddGroupOwner": True}
    source = {"function": f"{ARN}writer:1", "folder": "code", "handler": "main.handler", "runtime": "python3.7"}
    more = {
        "files": [{"path": "/mnt/data", "directory": True}],
        "code": [source],
        "invocations": [{"function": "writer", "event": {"many": many}}],
    }
    write_group(
        folder,
        [volume("data", "/srv/link", "/mnt/data", **setting), device("serial", "/dev/ttyUSB0", AutoAddGroupOwner=True)],
        [function("writer", ("data", "rw"), ("serial", "rw"), isolation="GreengrassContainer")],
        code={"main.py": CODE},
        boards=[PROFILE],
        more=more,
    )
    return str(folder)


@pytest.fixture
def data(debian: DockerBoard) -> Iterator[DockerBoard]:
    """The board with a folder of its own data, to which a link leads."""
    board_user = owner_of_functions(debian)
    shell(
        debian,
        "mkdir /srv/data && ln -s data /srv/link && cd /srv/data && echo a >older && echo b >untouched"
        f" && touch -d 2019-11-25 untouched && chown -R {board_user} .",
    )
    yield debian
    shell(debian, "rm -r /srv/data /srv/link")


def owner_of_functions(board: DockerBoard) -> str:
    user = board.profile.users[board.profile.greengrass.user]
    return f"{user.uid}:{user.gid}"


def test_what_functions_wrote_stays_and_is_listed(ssh: Ssh, data: DockerBoard, tmp_path: Path) -> None:
    done = ssh.edge_sim("run", writer(tmp_path / "s"), "--board", "ssh://debian", "--yes", "--format", "json")
    notes = json.loads(done.stdout)["boards"][0]["notes"]
    stays = [note for note in notes if note.endswith("during the run, and stays")]
    names = {"below/new", "older", "copied"}
    assert {note.partition(" ")[0] for note in stays} == {f"/srv/link/{name}" for name in names}
    assert "/dev/ttyUSB0 could be written to during the run" in notes
    assert shell(data, "cd /srv/data && cat below/new older untouched copied") == "newa\nand moreb\nb\n"
    assert data.exec(["test", "-e", "/mnt/data"]).returncode == 1


def test_it_stays_and_is_listed_where_the_board_is_put_back_afterwards(
    ssh: Ssh, data: DockerBoard, tmp_path: Path
) -> None:
    words = ("run", writer(tmp_path / "s", many=200), "--board", "ssh://debian", "--yes", "--keep", "--format", "json")
    ssh.edge_sim(*words)
    stays = ssh.edge_sim("board", "restore", "ssh://debian").stdout.splitlines()
    device, *written, more, last = stays
    assert device == "/dev/ttyUSB0 could be written to during the run"
    assert [line for line in written if not line.endswith(" was written during the run, and stays")] == []
    assert (len(written), more) == (100, "more files there were written during the run, and stay")
    assert last == "ssh://debian: no run is in progress on the board"
    assert shell(data, "ls /srv/data/below | wc -l").strip() == "201"


def test_a_refused_group_changes_nothing(ssh: Ssh, data: DockerBoard, tmp_path: Path) -> None:
    shell(data, "rm -rf /opt/edge-sim")
    before = everything(data)
    scenario = writer(tmp_path / "s", AutoAddGroupOwner=False, GroupOwner="nobody-has-it")
    done = ssh.edge_sim("run", scenario, "--board", "ssh://debian", "--yes", "--format", "json", status=3)
    assert "nobody-has-it" in done.stderr
    assert everything(data) == before
