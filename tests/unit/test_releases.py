"""Versions on the disk: the link, what counts as a build, and what is never deleted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_sim.agent import crashpoints
from edge_sim.agent.update.releases import Releases, version_key
from edge_sim.agent.update.software import CORE
from edge_sim.errors import UpdateError
from tests.factory import install_core


@pytest.fixture
def gg(tmp_path: Path) -> Path:
    install_core(tmp_path, "/greengrass", "1.9.4")
    install_core(tmp_path, "/greengrass", "1.10.0")
    return tmp_path / "greengrass"


@pytest.fixture
def releases(tmp_path: Path, gg: Path) -> Releases:
    return Releases(tmp_path, gg, CORE)


def test_the_link_says_which_version_is_current(releases: Releases, gg: Path) -> None:
    assert releases.current() == "1.10.0"
    releases.switch("1.9.4")
    assert releases.current() == "1.9.4"
    assert (gg / "ggc/core").readlink() == Path("packages/1.9.4")


def test_the_link_is_old_or_new_at_every_point_of_a_switch(releases: Releases) -> None:
    seen = []
    with crashpoints.armed(lambda name: seen.append((name[:3], releases.current()))):
        releases.switch("1.9.4")
    assert seen == [("P18", "1.10.0"), ("P19", "1.9.4"), ("P20", "1.9.4")]


@pytest.mark.parametrize(
    "target",
    [
        "/etc",
        "packages/1.11.6",
        "packages/../../etc",
        "../packages",
        "packages/x",
        "/packages/1.10.0",
        "core",
        "packages/moved/1.10.0",
        "packages/1.8.0",
    ],
)
def test_a_link_that_leads_elsewhere_is_no_version(releases: Releases, gg: Path, target: str) -> None:
    """Also to another place's ``packages/1.10.0``, and to a version that is itself a link to elsewhere."""
    install_core(gg.parent, "/elsewhere", "1.10.0")
    (gg.parent / "elsewhere/ggc/packages").rename(gg.parent / "packages")
    (gg / "ggc/packages/1.8.0").symlink_to("/packages/1.10.0")
    (gg / "ggc/core").unlink()
    (gg / "ggc/core").symlink_to(target)
    assert releases.current() is None


@pytest.mark.parametrize("target", ["/greengrass/ggc/packages/1.9.4", "../ggc/packages/../packages/1.9.4/."])
def test_a_link_to_a_version_counts_in_whatever_way_it_is_written(releases: Releases, gg: Path, target: str) -> None:
    (gg / "ggc/core").unlink()
    (gg / "ggc/core").symlink_to(target)
    assert releases.current() == "1.9.4"


def test_the_packages_may_lie_behind_a_link_of_the_board(releases: Releases, gg: Path) -> None:
    (gg.parent / "mnt").mkdir()
    (gg / "ggc/packages").rename(gg.parent / "mnt/packages")
    (gg / "ggc/packages").symlink_to("/mnt/packages")
    assert releases.current() == "1.10.0"


def test_nothing_is_switched_to_what_is_no_build(releases: Releases, gg: Path) -> None:
    (gg / "ggc/packages/1.9.4/bin/daemon").chmod(0o644)
    with pytest.raises(UpdateError, match="not executable"):
        releases.switch("1.9.4")
    with pytest.raises(UpdateError, match=r"no packages/1\.11\.6"):
        releases.switch("1.11.6")
    assert releases.current() == "1.10.0"


def test_an_unpacked_build_is_adopted_whole(releases: Releases, gg: Path, tmp_path: Path) -> None:
    install_core(tmp_path / "new", "/", "1.11.6")
    tree = tmp_path / "new/ggc"
    leftover = gg / "ggc/packages/1.11.6"
    leftover.mkdir()
    (leftover / "old-try").touch()
    releases.adopt(tree, "1.11.6")
    assert releases.installed() == ["1.9.4", "1.10.0", "1.11.6"]
    assert not (leftover / "old-try").exists()


def test_a_build_of_another_version_or_of_two_is_refused(releases: Releases, tmp_path: Path) -> None:
    install_core(tmp_path / "new", "/", "1.11.6")
    with pytest.raises(UpdateError, match=r"holds 1\.11\.6 in packages/, not just 1\.11\.5"):
        releases.adopt(tmp_path / "new/ggc", "1.11.5")
    install_core(tmp_path / "new", "/", "1.11.5")
    with pytest.raises(UpdateError, match=r"holds 1\.11\.5, 1\.11\.6"):
        releases.adopt(tmp_path / "new/ggc", "1.11.5")
    with pytest.raises(UpdateError, match="holds nothing"):
        releases.adopt(tmp_path / "nothing", "1.11.5")


def test_the_version_in_use_is_never_replaced(releases: Releases, tmp_path: Path) -> None:
    install_core(tmp_path / "new", "/", "1.10.0")
    with pytest.raises(UpdateError, match="is in use"):
        releases.adopt(tmp_path / "new/ggc", "1.10.0")


def test_pruning_keeps_the_current_the_last_good_and_the_named(releases: Releases, tmp_path: Path) -> None:
    for version in ("1.8.0", "1.9.0", "1.11.6"):
        install_core(tmp_path, "/greengrass", version)
    releases.remember_good("1.9.4")
    releases.switch("1.10.0")
    assert releases.prune(["1.9.0"]) == ["1.8.0", "1.11.6"]
    assert releases.installed() == ["1.9.0", "1.9.4", "1.10.0"]


def test_a_last_good_version_that_is_gone_is_none(releases: Releases, gg: Path) -> None:
    assert releases.last_known_good() is None
    releases.remember_good("1.9.4")
    (gg / "ggc/packages/1.9.4").rename(gg / "elsewhere")
    assert releases.last_known_good() is None


def test_a_link_planted_as_staging_directory_is_removed_not_followed(releases: Releases, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/file").touch()
    releases.staging.symlink_to(tmp_path / "victim")
    place = releases.clear_staging()
    assert (tmp_path / "victim/file").exists()
    assert place.is_dir()
    assert not place.is_symlink()
    assert place.stat().st_mode & 0o777 == 0o700


def test_another_software_has_its_own_versions_link_and_last_good_one(releases: Releases, gg: Path) -> None:
    software = replace(CORE, packages="ota", link="ota/agent", last_good="ota/good", executables=("ggc-ota",))
    agent = Releases(gg.parent, gg, software)
    for version in ("1.2.0", "1.3.0"):
        program = agent.directory(version) / "ggc-ota"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    agent.switch("1.3.0")
    agent.remember_good("1.3.0")
    assert (gg / "ota/agent").readlink() == Path("1.3.0")
    assert (agent.current(), agent.last_known_good(), agent.installed()) == ("1.3.0", "1.3.0", ["1.2.0", "1.3.0"])
    assert (releases.current(), releases.last_known_good()) == ("1.10.0", None)


def test_versions_sort_by_number() -> None:
    versions = ["1.11.6", "1.10.0", "1.9.4", "1.10.0-RC4", "1.10.0-RC1"]
    assert sorted(versions, key=version_key) == ["1.9.4", "1.10.0-RC1", "1.10.0-RC4", "1.10.0", "1.11.6"]
