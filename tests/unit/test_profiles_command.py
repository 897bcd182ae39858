"""``edge-sim profiles``: what it prints, and that one broken file neither hides the others nor passes for sound."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_sim import profiles
from edge_sim.cli.profiles import command
from edge_sim.errors import InvalidDefinitionError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = Path(shutil.copytree(profiles.profile_folder(), tmp_path / "device_profiles"))
    monkeypatch.setattr(profiles, "profile_folder", lambda: copy)
    return copy


def test_the_list_names_every_profile_with_its_pair() -> None:
    lines = CliRunner().invoke(command, ["list"], catch_exceptions=False).output.splitlines()
    assert [line.split()[0] for line in lines] == list(profiles.list_profiles())
    assert any(line.split()[:2] == ["raspberry-pi-3", "armv7l/raspbian"] for line in lines)


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_a_broken_profile_fails_the_list_and_text_leaves_the_others(folder: Path, fmt: str) -> None:
    (folder / "raspberry-pi-4.yaml").write_text("cpus: many\n", encoding="utf-8")
    result = CliRunner().invoke(command, ["list", "--format", fmt])
    assert isinstance(result.exception, InvalidDefinitionError)
    assert str(folder / "raspberry-pi-4.yaml") in str(result.exception.details)
    if fmt == "json":
        assert "raspberry-pi-4.yaml" in json.loads(result.output)["error"]["details"]
    else:
        assert "raspberry-pi-3" in result.output.split()
        assert "raspberry-pi-4" not in result.output.split()


def test_show_prints_the_file_or_what_was_read(folder: Path) -> None:
    runner = CliRunner()
    file = folder / "openwrt-armv7.yaml"
    for name in ("openwrt-armv7", str(file)):
        assert runner.invoke(command, ["show", name], catch_exceptions=False).output == file.read_text()
        read = runner.invoke(command, ["show", name, "--format", "json"], catch_exceptions=False).output
        assert json.loads(read)["unsupported"] == sorted(profiles.load_profile(name).unsupported)
