"""Versions on the disk: the link, what counts as a build, and what is never deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_sim.agent import crashpoints
from edge_sim.agent.update import releases
from edge_sim.emulation.corebuild import install_core
from edge_sim.errors import UpdateError


@pytest.fixture
def gg(tmp_path: Path) -> Path:
    install_core(tmp_path, "/greengrass", "1.9.4")
    install_core(tmp_path, "/greengrass", "1.10.0")
    return tmp_path / "greengrass"


def test_the_link_says_which_version_is_current(gg: Path) -> None:
    assert releases.current(gg) == "1.10.0"
    releases.switch(gg, "1.9.4")
    assert releases.current(gg) == "1.9.4"
    assert (gg / "ggc/core").readlink() == Path("packages/1.9.4")


def test_the_link_is_old_or_new_at_every_point_of_a_switch(gg: Path) -> None:
    seen = []
    crashpoints.arm(lambda name: seen.append((name[:3], releases.current(gg))))
    try:
        releases.switch(gg, "1.9.4")
    finally:
        crashpoints.arm(None)
    assert seen == [("P18", "1.10.0"), ("P19", "1.9.4"), ("P20", "1.9.4")]


@pytest.mark.parametrize("target", ["/etc", "packages/1.11.6", "packages/../../etc", "../packages", "packages/x"])
def test_a_link_that_leads_elsewhere_is_no_version(gg: Path, target: str) -> None:
    (gg / "ggc/core").unlink()
    (gg / "ggc/core").symlink_to(target)
    assert releases.current(gg) is None


def test_nothing_is_switched_to_what_is_no_build(gg: Path) -> None:
    (gg / "ggc/packages/1.9.4/bin/daemon").chmod(0o644)
    with pytest.raises(UpdateError, match="not executable"):
        releases.switch(gg, "1.9.4")
    with pytest.raises(UpdateError, match=r"no packages/1\.11\.6"):
        releases.switch(gg, "1.11.6")
    assert releases.current(gg) == "1.10.0"


def test_an_unpacked_build_is_adopted_whole(gg: Path, tmp_path: Path) -> None:
    install_core(tmp_path / "new", "/", "1.11.6")
    tree = tmp_path / "new/ggc"
    leftover = gg / "ggc/packages/1.11.6"
    leftover.mkdir()
    (leftover / "old-try").touch()
    releases.adopt(gg, tree, "1.11.6")
    assert releases.installed(gg) == ["1.9.4", "1.10.0", "1.11.6"]
    assert not (leftover / "old-try").exists()


def test_a_build_of_another_version_or_of_two_is_refused(gg: Path, tmp_path: Path) -> None:
    install_core(tmp_path / "new", "/", "1.11.6")
    with pytest.raises(UpdateError, match=r"holds 1\.11\.6 in packages/, not just 1\.11\.5"):
        releases.adopt(gg, tmp_path / "new/ggc", "1.11.5")
    install_core(tmp_path / "new", "/", "1.11.5")
    with pytest.raises(UpdateError, match=r"holds 1\.11\.5, 1\.11\.6"):
        releases.adopt(gg, tmp_path / "new/ggc", "1.11.5")
    with pytest.raises(UpdateError, match="holds nothing"):
        releases.adopt(gg, tmp_path / "nothing", "1.11.5")


def test_the_version_in_use_is_never_replaced(gg: Path, tmp_path: Path) -> None:
    install_core(tmp_path / "new", "/", "1.10.0")
    with pytest.raises(UpdateError, match="is in use"):
        releases.adopt(gg, tmp_path / "new/ggc", "1.10.0")


def test_pruning_keeps_the_current_the_last_good_and_the_named(gg: Path, tmp_path: Path) -> None:
    for version in ("1.8.0", "1.9.0", "1.11.6"):
        install_core(tmp_path, "/greengrass", version)
    releases.remember_good(gg, "1.9.4")
    releases.switch(gg, "1.10.0")
    assert releases.prune(gg, ["1.9.0"]) == ["1.8.0", "1.11.6"]
    assert releases.installed(gg) == ["1.9.0", "1.9.4", "1.10.0"]


def test_a_last_good_version_that_is_gone_is_none(gg: Path) -> None:
    assert releases.last_known_good(gg) is None
    releases.remember_good(gg, "1.9.4")
    (gg / "ggc/packages/1.9.4").rename(gg / "elsewhere")
    assert releases.last_known_good(gg) is None


def test_a_link_planted_as_staging_directory_is_removed_not_followed(gg: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/file").touch()
    releases.staging(gg).symlink_to(tmp_path / "victim")
    place = releases.clear_staging(gg)
    assert (tmp_path / "victim/file").exists()
    assert place.is_dir()
    assert not place.is_symlink()
    assert place.stat().st_mode & 0o777 == 0o700


def test_versions_sort_by_number() -> None:
    versions = ["1.11.6", "1.10.0", "1.9.4", "1.10.0-RC4", "1.10.0-RC1"]
    assert sorted(versions, key=releases.version_key) == ["1.9.4", "1.10.0-RC1", "1.10.0-RC4", "1.10.0", "1.11.6"]
