"""What a shell completes after ``edge-sim``: commands, profiles, rules, and what a group's own files name."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from edge_sim.cli.main import LazyGroup, edge_sim
from edge_sim.profiles import list_profiles

EXAMPLE = str(Path(__file__).parents[2] / "examples/no-container-ml")


def completed(*words: str) -> list[str]:
    """Return what the shell offers for the last word."""
    shell = ShellComplete(edge_sim, {}, "edge-sim", "_EDGE_SIM_COMPLETE")
    return [item.value for item in shell.get_completions([*words[:-1]], words[-1])]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["validate", EXAMPLE, "--profile", "raspberry-pi-zero"], ["raspberry-pi-zero-2-w", "raspberry-pi-zero-w"]),
        (["run", EXAMPLE, "--format", "json", "--profile", ""], ["all", *list_profiles()]),
        (["migrate", EXAMPLE, "--from-profile", "jet"], ["jetson-tx2"]),
        (["profiles", "show", "docker"], ["docker-core"]),
        (["rules", "ml-no"], ["ml-no-container-version"]),
        (["help", "e"], ["environment", "exit-status"]),
        (["access", EXAMPLE, "--function", "s"], ["sort-wine"]),
        (["access", "--probe", EXAMPLE, "--function", ""], ["read-digits", "sort-wine", "meter-log"]),
        (["try", f"{EXAMPLE}/resources.json", "--model", ""], ["digits-model=", "wine-model="]),
        (["try", f"{EXAMPLE}/functions.json", "--code", "read"], ["read-digits="]),
        (["try", f"{EXAMPLE}/functions.json", "--event", "sort"], ["sort-wine="]),
    ],
)
def test_what_is_known_is_offered(words: list[str], offered: list[str]) -> None:
    assert completed(*words) == offered


@pytest.mark.parametrize("command", ["run", "access", "drift"])
def test_the_users_own_boards_are_offered(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "edge-sim").mkdir()
    (tmp_path / "edge-sim/boards").write_text("ssh://pi@raspberrypi.local\nssh://root@10.0.0.7  # the gateway\n")
    assert completed(command, EXAMPLE, "--board", "ssh://pi") == ["ssh://pi@raspberrypi.local"]
    (tmp_path / "edge-sim/boards").write_text("no address\n")
    assert completed(command, EXAMPLE, "--board", "") == []


@pytest.mark.parametrize(
    "words",
    [
        ["access", "-", "--function", ""],  # a terminal is nothing to read
        ["access", "no-such-file", "--function", ""],
        ["access", "--function", ""],
        ["bord", "up", "--pro"],
        ["rules", "no-such"],
    ],
)
def test_what_cannot_be_known_is_no_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert completed(*words) == []
    assert capsys.readouterr() == ("", "")


def test_commands_are_offered_without_loading_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: pytest.fail("a command was loaded"))
    assert completed("co") == ["compare"]
    assert {"run", "validate"} <= {*completed("")}
