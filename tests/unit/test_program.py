"""What the agent makes of a deployment document before anything is deployed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent import loop, program
from edge_sim.agent.events import Progress
from edge_sim.agent.http import Client
from edge_sim.agent.probe import probe
from edge_sim.agent.update.preflight import BoardIdentity
from edge_sim.emulation.containers import init
from edge_sim.errors import InvalidDefinitionError


@pytest.mark.parametrize("group", [None, 5, "group", []])
def test_a_group_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: object) -> None:
    config = tmp_path / "agent.json"
    config.write_text('{"thing": "core", "broker": "mqtt://127.0.0.1", "architecture": "armv7l"}')
    given: list[Callable[[dict[str, Any], Client, Progress], object]] = []
    monkeypatch.setattr(loop, "run", lambda configuration, root, carry_out, *_, **more: given.append(carry_out))
    program.run(tmp_path, config)
    with pytest.raises(InvalidDefinitionError, match="has no Group"):
        given[0]({"Group": group}, Client(), lambda _: None)


def test_only_what_a_real_board_is_known_to_lack_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "agent.json"
    config.write_text('{"thing": "core", "broker": "mqtt://127.0.0.1", "architecture": "armv7l"}')
    identities: list[BoardIdentity] = []
    monkeypatch.setattr(loop, "run", lambda configuration, root, carry_out, board, **more: identities.append(board))
    facts = replace(probe(tmp_path), programs={"wget": False, "tar": True})
    monkeypatch.setattr(program, "probe", lambda *_, **__: facts)
    program.run(tmp_path, config)
    monkeypatch.setattr(program, "SIMULATED", tmp_path)  # as in a container, whose programs are not a real board's
    program.run(tmp_path, config)
    assert [board.missing_tools for board in identities] == [("wget",), ()]


def test_a_board_in_a_container_is_known_by_what_its_first_process_reads() -> None:
    assert str(program.SIMULATED) == init.PLAN
