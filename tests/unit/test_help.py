"""``edge-sim help TOPIC``: every exit status, variable and file in one place, and each command's own help."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_sim import errors
from edge_sim.cli.main import edge_sim
from edge_sim.cli.topics import TOPICS
from edge_sim.errors import EdgeSimError


def shown(*words: str) -> str:
    result = CliRunner().invoke(edge_sim, words)
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_every_status_of_an_error_is_explained() -> None:
    text = shown("help", "exit-status")
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, EdgeSimError)]
    assert len(kinds) > 3
    assert {kind.exit_status for kind in kinds} <= {int(number) for number in re.findall(r"\b(\d+) [a-z]", text)}


def test_every_variable_that_the_command_line_reads_is_explained() -> None:
    """Those of functions and of the agent's own processes are set by edge_sim, not by its user."""
    read = re.compile(r"""(?:environ\.get\(|environ\[|envvar=)"([A-Z_]+)\"""")
    parts = ("cli", "cloud", "emulation")
    places = [Path("edge_sim/folders.py"), *(file for part in parts for file in Path("edge_sim", part).rglob("*.py"))]
    names = {name for place in places for name in read.findall(place.read_text("utf-8"))}
    ours = {"HTTP_HOST", "OTA_AGENT", "PYTHONPATH"}  # a WSGI request's, a build's on the board, a child's
    assert {"XDG_CACHE_HOME", "EDGE_SIM_CACHE"} <= names
    assert [name for name in sorted(names - ours) if name not in shown("help", "environment")] == []


def test_a_command_has_its_own_help() -> None:
    assert "try [OPTIONS] GROUP..." in shown("help", "try")
    assert all(topic in shown("help") for topic in TOPICS)


@pytest.mark.parametrize(("word", "hint"), [("enviroment", "Did you mean environment?"), ("qqq", "Topics: ")])
def test_a_mistyped_topic(word: str, hint: str) -> None:
    error = CliRunner().invoke(edge_sim, ["help", word]).exception
    assert isinstance(error, EdgeSimError)
    assert (error.exit_status, hint in error.explained()) == (2, True)


@pytest.mark.parametrize("group", ["agent", "board", "cloud", "ota", "profiles"])
def test_each_command_of_a_group_is_listed_with_its_whole_sentence(group: str) -> None:
    commands = shown(group, "--help").partition("Commands:\n")[2]
    assert commands
    assert "..." not in commands
