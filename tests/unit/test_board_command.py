"""``edge-sim board``: what is refused before an engine is asked."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from edge_sim.cli.board import command
from edge_sim.errors import UsageError


@pytest.mark.parametrize(
    ("broker", "says"),
    [
        ("nonsense", "not like mqtt://host:port"),
        ("http://10.0.0.1:1883", "not like mqtt://host:port"),
        ("mqtt://localhost:1883", "does not reach this machine's loopback"),
        ("mqtts://127.0.1.1", "does not reach this machine's loopback"),
    ],
)
def test_a_broker_that_no_container_reaches_is_refused_at_once(
    broker: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    done = CliRunner().invoke(command, ["up", "--profile", "raspberry-pi-3", "--mqtt", broker])
    assert isinstance(done.exception, UsageError)
    assert says in str(done.exception)
