"""A board rescued over ssh is what it is from its disk: by root, by sudo, on a BusyBox; and what goes wrong there."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import needs
from tests.emulated import ssh_boards
from tests.emulated.containers import image_of
from tests.emulated.ssh_boards import Ssh
from tests.rescued_board import contents, deployed
from tests.small_group import edge

pytestmark = [pytest.mark.emulated, needs.mounts, needs.program("ssh"), needs.program("ssh-keygen")]
PROFILE = ("--profile", "generic-x86_64")
STATE = "find /greengrass /data /srv /tmp -exec ls -ldn --full-time {} + 2>/dev/null | sort"
DEPLOYMENT = "greengrass/ggc/deployment"


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Ssh:
    return ssh_boards.user(tmp_path_factory.mktemp("ssh"))


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board's directory, with keys and a link among the models."""
    root = deployed(tmp_path_factory.mktemp("disk"))
    (root / "greengrass/certs").mkdir()
    (root / "greengrass/certs/core key").write_text("the private key")
    model = next((root / DEPLOYMENT / "mlmodel_public").iterdir())
    (model / "out").symlink_to("/greengrass/certs/core key")
    return root


@pytest.fixture(scope="module")
def debian(client: Any, ssh: Ssh, disk: Path) -> Iterator[Any]:
    """The directory as a board with OpenSSH: root's, of somebody who may become root, and of somebody who may not."""
    container = client.containers.create(image_of(client, "x86_64"), ["3600"], entrypoint="sleep")
    try:
        container.start()
        address = ssh_boards.with_openssh(container, "x86_64", ssh)
        for name in ("root", "admin", "visitor"):
            ssh.know(name, address, user=name)
        _lay(container, disk)
        yield container
    finally:
        container.remove(force=True, v=True)


def _lay(container: Any, disk: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("greengrass", "srv"):
            archive.add(disk / name, name)
    container.put_archive("/", buffer.getvalue())


def rescued(ssh: Ssh, board: str, folder: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    board_words = ("--board", f"ssh://{board}", "-o", str(folder), "--format", "json")
    return ssh.edge_sim("rescue", *board_words, *PROFILE, *words, status=status)


def files(folder: Path) -> dict[str, bytes]:
    """Everything that a rescue wrote, but for the board's name in the report."""
    found = contents(folder)
    return {**found, "RESCUED.txt": found["RESCUED.txt"].partition(b": ")[2]}


@pytest.mark.parametrize("user", ["root", "admin"])
def test_root_and_sudo_rescue_what_the_disk_holds_and_change_nothing(
    ssh: Ssh, debian: Any, disk: Path, tmp_path: Path, user: str
) -> None:
    before = debian.exec_run(["sh", "-c", STATE]).output
    assert b"group.json" in before
    told = json.loads(rescued(ssh, user, tmp_path / "ssh").stdout)
    assert debian.exec_run(["sh", "-c", STATE]).output == before
    edge("rescue", "--root", disk, "-o", tmp_path / "disk", *PROFILE)
    assert files(tmp_path / "ssh") == files(tmp_path / "disk")
    assert told["certificates"] == ["core key"]
    assert any("left out out" in note for note in told["notes"])
    assert not any(b"the private key" in content for content in contents(tmp_path / "ssh").values())


def test_what_only_root_may_read_is_told_to_somebody_else(ssh: Ssh, debian: Any, tmp_path: Path) -> None:
    done = rescued(ssh, "visitor", tmp_path / "none", status=3)
    assert "group.json: Cannot open: Permission denied" in done.stderr
    assert "hint: Read it as root" in done.stderr
    assert not (tmp_path / "none").exists()
    debian.exec_run(["chmod", "644", f"/{DEPLOYMENT}/group/group.json"])
    try:
        told = json.loads(rescued(ssh, "visitor", tmp_path / "out").stdout)
    finally:
        debian.exec_run(["chmod", "600", f"/{DEPLOYMENT}/group/group.json"])
    assert told["lost"][0].startswith("files that only root can read: the account is not root")
    assert any("mlmodel_public" in line and "Permission denied" in line for line in told["lost"])
    assert told["models"] < 3


def test_a_core_that_writes_elsewhere_is_read_there(ssh: Ssh, debian: Any, disk: Path, tmp_path: Path) -> None:
    config = 'printf \'{"writeDirectory": "/data/gg"}\' >/greengrass/config/config.json'
    debian.exec_run(["sh", "-c", f"mkdir -p /data/gg; mv /{DEPLOYMENT} /data/gg; {config}"])
    try:
        told = json.loads(rescued(ssh, "root", tmp_path / "ssh").stdout)
    finally:
        debian.exec_run(["sh", "-c", f"mv /data/gg/deployment /{DEPLOYMENT}"])
        _lay(debian, disk)
    edge("rescue", "--root", disk, "-o", tmp_path / "disk", *PROFILE)
    assert any("so the deployment was read from there" in note for note in told["notes"])
    own = {"RESCUED.txt": b"", "config.json": b""}
    assert {**files(tmp_path / "ssh"), **own} == {**files(tmp_path / "disk"), **own}


def test_links_on_the_way_are_not_followed_there(ssh: Ssh, debian: Any, tmp_path: Path) -> None:
    debian.exec_run(["sh", "-c", "mkdir /else; mv /greengrass/ggc /else; ln -s /else/ggc /greengrass/ggc"])
    try:
        done = rescued(ssh, "root", tmp_path / "out", status=2)
    finally:
        debian.exec_run(["sh", "-c", "rm /greengrass/ggc; mv /else/ggc /greengrass; rmdir /else"])
    assert "leads through the link greengrass/ggc, which was not followed" in done.stderr


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("echo hello", "not a tar file, or a damaged one"),
        ("head -c 100000 /bin/sh", "not a tar file, or a damaged one"),
        ("exit 9", "the board cannot be read"),
    ],
)
def test_what_is_no_tar_is_one_sentence(ssh: Ssh, debian: Any, tmp_path: Path, program: str, said: str) -> None:
    own = "/usr/local/bin/tar"
    debian.exec_run(["sh", "-c", f"printf '#!/bin/sh\\n{program}\\n' >{own}; chmod 755 {own}"])
    try:
        done = rescued(ssh, "root", tmp_path / "out", status=6 if program == "exit 9" else 3)
    finally:
        debian.exec_run(["rm", own])
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_busybox_gives_the_same(ssh: Ssh, client: Any, disk: Path, tmp_path: Path) -> None:
    with ssh_boards.of_busybox(client, ssh, "x86_64") as container:
        address = ssh_boards.answering(container)
        ssh.know("busybox", address)
        _lay(container, disk)
        rescued(ssh, "busybox", tmp_path / "ssh")
    edge("rescue", "--root", disk, "-o", tmp_path / "disk", *PROFILE)
    assert files(tmp_path / "ssh") == files(tmp_path / "disk")
