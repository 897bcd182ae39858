"""The verbs that any process may use."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge_sim.agent.host import HostError, LinuxHost


def test_switch_link(tmp_path: Path) -> None:
    host = LinuxHost(tmp_path)
    host.switch_link("/core", "packages/1")
    assert os.readlink(tmp_path / "core") == "packages/1"  # noqa: PTH115
    inode = (tmp_path / "core").lstat().st_ino
    host.switch_link("/core", "packages/2")
    assert os.readlink(tmp_path / "core") == "packages/2"  # noqa: PTH115
    assert (tmp_path / "core").lstat().st_ino != inode
    assert [path.name for path in tmp_path.iterdir()] == ["core"]


def test_switch_link_over_a_leftover_and_into_nothing(tmp_path: Path) -> None:
    (tmp_path / ".core.new").symlink_to("killed")
    LinuxHost(tmp_path).switch_link("/core", "packages/1")
    assert [path.name for path in tmp_path.iterdir()] == ["core"]
    with pytest.raises(HostError) as failed:
        LinuxHost(tmp_path).switch_link("/missing/core", "x")
    assert failed.value.errno == errno.ENOENT


def test_switch_link_does_not_replace_a_directory(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    with pytest.raises(HostError, match="/core: cannot point to x"):
        LinuxHost(tmp_path).switch_link("/core", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["core"]
    assert (tmp_path / "core").is_dir()


def test_switch_link_reaches_the_disk_or_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(HostError) as failed:
        LinuxHost(tmp_path).switch_link("/core", "packages/1")
    assert failed.value.errno == errno.EIO


def test_sync(tmp_path: Path) -> None:
    LinuxHost(tmp_path).sync("/")
    with pytest.raises(HostError, match=r"/none: cannot bring it to the disk: .* \(ENOENT\)"):
        LinuxHost(tmp_path).sync("/none")
