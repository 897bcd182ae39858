"""What the agent makes of a deployment document before anything is deployed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent import loop, program
from edge_sim.agent.http import Client
from edge_sim.errors import InvalidDefinitionError


@pytest.mark.parametrize("group", [None, 5, "group", []])
def test_a_group_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: object) -> None:
    config = tmp_path / "agent.json"
    config.write_text('{"thing": "core", "broker": "mqtt://127.0.0.1", "architecture": "armv7l"}')
    given: list[Callable[[dict[str, Any], Client], object]] = []
    monkeypatch.setattr(loop, "run", lambda configuration, root, carry_out, *_, **more: given.append(carry_out))
    program.run(tmp_path, config)
    with pytest.raises(InvalidDefinitionError, match="has no Group"):
        given[0]({"Group": group}, Client())
