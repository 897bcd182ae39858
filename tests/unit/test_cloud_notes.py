"""The notes by which a running cloud is found."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_sim.cli.cloud import command
from edge_sim.cloud import notes

FIRST = {"http": "http://127.0.0.1:1", "mqtt": "mqtt://127.0.0.1:2", "exports": {"A": "first"}}
SECOND = {"http": "http://127.0.0.1:3", "mqtt": "mqtt://127.0.0.1:4", "exports": {"A": "second"}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "edge-sim" / "clouds"


def test_the_first_of_two_clouds_is_found_and_then_the_second(folder: Path) -> None:
    with contextlib.ExitStack() as second:
        with notes.left(FIRST):
            second.enter_context(notes.left(SECOND))
            assert [note["exports"]["A"] for note in notes.read()] == ["first", "second"]
        assert [note["exports"]["A"] for note in notes.read()] == ["second"]
    assert notes.read() == []
    assert list(folder.iterdir()) == []


def test_the_end_of_the_second_cloud_leaves_the_first_ones_note() -> None:
    with notes.left(FIRST):
        with notes.left(SECOND):
            pass
        assert [note["mqtt"] for note in notes.read()] == [FIRST["mqtt"]]


@pytest.mark.process
def test_a_killed_clouds_note_does_not_stand_for_a_running_one(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        with notes.left(FIRST):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list(folder.iterdir())) == 1
    assert notes.read() == []
    assert list(folder.iterdir()) == []


def test_env_names_the_first_cloud_and_says_that_there_are_others() -> None:
    with notes.left(FIRST), notes.left(SECOND):
        done = CliRunner().invoke(command, ["env"])
    assert done.stdout == "export A=first\n"
    assert done.stderr == (
        "note: several clouds are running; this is the first, http://127.0.0.1:1, not http://127.0.0.1:3\n"
    )
