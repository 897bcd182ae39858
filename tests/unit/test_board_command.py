"""``edge-sim board``: what is refused before an engine is asked."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from edge_sim.cli import board
from edge_sim.cli.board import command
from edge_sim.errors import UsageError


@pytest.mark.parametrize(
    ("broker", "says"),
    [
        ("nonsense", "--mqtt nonsense: expected mqtt://HOST:PORT"),
        ("http://10.0.0.1:1883", "expected mqtt://HOST:PORT"),
        ("mqtt://10.0.0.1:x", "expected mqtt://HOST:PORT"),
        ("mqtt://10.0.0.1:1883/topic", "it must hold only a host and a port"),
        ("mqtt://me:secret@10.0.0.1", "--mqtt: it must hold no user and no password"),
        ("mqtt://localhost:1883", "cannot reach this machine's loopback"),
        ("mqtts://127.0.1.1", "cannot reach this machine's loopback"),
    ],
)
def test_a_broker_that_no_container_reaches_is_refused_at_once(
    broker: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    done = CliRunner().invoke(command, ["up", "--profile", "raspberry-pi-3", "--mqtt", broker])
    assert isinstance(done.exception, UsageError)
    assert says in str(done.exception)
    assert "secret" not in str(done.exception)


def test_a_boards_notes_are_said_when_it_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    made: Any = SimpleNamespace(machine="armv7l", standing_in=None, notes=("capabilities: CHOWN", "no memory limit"))
    about = {**board._about(made), "name": "b", "mqtt": "mqtt://h", "thing": "t", "seconds": 1.0}
    board._say_up(about, "text")
    assert [line for line in capsys.readouterr().out.splitlines() if "•" in line] == [
        "  • capabilities: CHOWN",
        "  • no memory limit",
    ]
    board._say_up(about, "json")
    assert json.loads(capsys.readouterr().out)["notes"] == ["capabilities: CHOWN", "no memory limit"]
