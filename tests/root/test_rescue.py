"""A group deployed to a board of ours, rescued from its disk: the board is as the rescued scenario's plan says."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.rescued_board import contents, deployed
from tests.small_group import answer, edge

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users' files")]


def test_drift_finds_nothing_between_a_board_and_what_was_rescued_from_it(tmp_path: Path) -> None:
    root = deployed(tmp_path)
    before = {str(p): (p.lstat().st_mode, p.lstat().st_mtime_ns) for p in sorted(root.rglob("*"))}
    told = answer("rescue", "--root", root, "-o", tmp_path / "out", "--profile", "generic-x86_64")
    assert {str(p): (p.lstat().st_mode, p.lstat().st_mtime_ns) for p in sorted(root.rglob("*"))} == before
    assert (told["functions"], told["models"]) == (2, 3)
    assert all("never published" in line for line in told["guessed"]), "the encoding alone is inferred"
    found = answer("drift", tmp_path / "out", "--root", root)
    assert (found["differences"], found["not_compared"]) == ([], [])
    assert found["compared"] > 20
    assert answer("validate", tmp_path / "out")["ok"]
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    again = tmp_path / "again"
    edge("rescue", "--root", root, "-o", again, "--profile", "generic-x86_64")
    assert contents(again) == contents(tmp_path / "out")


@pytest.mark.process
def test_a_tar_of_the_board_gives_the_same_folder(tmp_path: Path) -> None:
    root, tar = deployed(tmp_path), tmp_path / "board.tar.gz"
    subprocess.run(["tar", "-czf", tar, "-C", root, "."], check=True)
    for name, words in (("disk", ("--root", root)), ("tar", ("--tar", tar))):
        edge("rescue", *words, "-o", tmp_path / name, "--profile", "generic-x86_64")
    disk, tarred = contents(tmp_path / "disk"), contents(tmp_path / "tar")
    assert {**disk, "RESCUED.txt": b""} == {**tarred, "RESCUED.txt": b""}


def test_owner_settings_that_group_json_lacks_come_from_what_lies_there(tmp_path: Path) -> None:
    root = deployed(tmp_path)
    file = root / "greengrass/ggc/deployment/group/group.json"
    file.write_text(file.read_text().replace('"OwnerSetting"', '"Elsewhere"'))
    told = answer("rescue", "--root", root, "-o", tmp_path / "out", "--profile", "generic-x86_64")
    bundle = yaml.safe_load((tmp_path / "out/group.yaml").read_text())
    owners = {
        one["Id"]: one["ResourceDataContainer"]["S3MachineLearningModelResourceData"].get("OwnerSetting")
        for one in bundle["resources"]["Resources"]
        if one["Id"] in "abc"
    }
    assert owners == {
        "a": {"GroupOwner": "5150", "GroupPermission": "ro"},
        "b": {"GroupOwner": "44", "GroupPermission": "rw"},
        "c": None,
    }
    assert len([line for line in told["guessed"] if "OwnerSetting" in line and "nobody" not in line]) == 2


def test_the_rescued_group_can_be_migrated(tmp_path: Path) -> None:
    root = deployed(tmp_path)
    edge("rescue", "--root", root, "-o", tmp_path / "out", "--profile", "generic-x86_64")
    words = ("--from-profile", "generic-x86_64", "--config", tmp_path / "out/config.json")
    found = answer("migrate", tmp_path / "out", *words, "-o", tmp_path / "v2", status=3)
    assert [one["id"] for one in found["functions"]] == ["f", "g"]
    assert "v2-settings-lost" in {one["id"] for one in found["findings"]}
    assert (tmp_path / "v2/components/f/artifacts/models.zip").is_file()
